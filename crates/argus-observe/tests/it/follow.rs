//! Integration tests of spec/1: tail a log file, and handle one that is not there. Beyond them:
//! rotation, truncation, and every byte counted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argus_observe::line::Taken;
use argus_observe::tail::{Follower, StartAt, TailWarning, Told};

use crate::stranger::eventually;

struct Log {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Log {
    fn new(content: &str) -> Self {
        let log = Self::absent();
        fs::write(&log.path, content).unwrap();
        log
    }

    fn absent() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        Self { folder, path }
    }

    fn append(&self, text: &str) {
        append(&self.path, text.as_bytes());
    }

    fn follow(&self) -> Tail {
        let (follower, warnings) = Follower::open(std::slice::from_ref(&self.path), StartAt::End);
        assert!(warnings.is_empty(), "{warnings:?}");
        Tail::of(follower)
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

struct Tail {
    follower: Follower,
    lines: Vec<String>,
}

impl Tail {
    fn of(follower: Follower) -> Self {
        Self {
            follower,
            lines: Vec::new(),
        }
    }

    fn read(&mut self) {
        self.follower.wait(Duration::from_millis(20), None).unwrap();
        let lines = &mut self.lines;
        self.follower.read(|told| take(told, lines));
    }

    /// Reads until as many lines are there, and takes them.
    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        let found = eventually("the lines are read", || {
            self.read();
            (self.lines.len() >= expected.len()).then(|| std::mem::take(&mut self.lines))
        });
        assert_eq!(found, expected);
    }

    fn finish(mut self) -> Vec<String> {
        let lines = &mut self.lines;
        self.follower.finish(|told| take(told, lines));
        self.lines
    }
}

fn take(told: Told<'_>, lines: &mut Vec<String>) -> Taken {
    if let Told::Line(line) = told {
        lines.push(line.line.text.into_owned());
    }
    Taken::Yes
}

#[test]
fn tails_a_log_file_and_captures_new_lines() {
    let log = Log::new("old\n");
    let mut tail = log.follow();
    log.append("[INFO] Terrain generation started\n");
    tail.expect(&["[INFO] Terrain generation started"]);
    for number in 0..10 {
        log.append(&format!("line {number}\n"));
    }
    let expected: Vec<_> = (0..10).map(|number| format!("line {number}")).collect();
    tail.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(tail.finish(), [""; 0]);
}

#[test]
fn new_lines_are_seen_within_milliseconds() {
    let log = Log::new("");
    let mut tail = log.follow();
    tail.read();
    let mut delays = Vec::new();
    for number in 0..20 {
        let written = Instant::now();
        log.append(&format!("{number}\n"));
        tail.follower.wait(Duration::from_secs(5), None).unwrap();
        tail.read();
        delays.push(written.elapsed());
    }
    assert_eq!(tail.lines.len(), 20);
    delays.sort_unstable();
    // The aim is 10 ms at p95; 20 of this are `read`'s own wait. Polling would take 250 on average.
    assert!(delays[10] < Duration::from_millis(100), "{delays:?}");
}

#[test]
fn an_unfinished_line_waits_and_is_flushed_at_the_end() {
    let log = Log::new("");
    let mut tail = log.follow();
    log.append("first\nsec");
    tail.expect(&["first"]);
    log.append("ond\nlast");
    tail.expect(&["second"]);
    assert_eq!(tail.finish(), ["last"]);
}

#[test]
fn handles_a_non_existent_log_file_gracefully() {
    let log = Log::absent();
    let (follower, warnings) = Follower::open(std::slice::from_ref(&log.path), StartAt::End);
    assert!(matches!(&warnings[..], [TailWarning::Missing(path)] if *path == log.path));
    let mut tail = Tail::of(follower);
    tail.read();
    log.append("born later\n");
    tail.expect(&["born later"]);
}

#[test]
fn a_file_in_a_folder_that_appears_later_is_followed() {
    let log = Log::absent();
    let path = log.folder.path().join("sub/app.log");
    let (follower, warnings) = Follower::open(std::slice::from_ref(&path), StartAt::End);
    assert_eq!(warnings.len(), 1);
    let mut tail = Tail::of(follower);
    fs::create_dir(path.parent().unwrap()).unwrap();
    append(&path, b"late\n");
    tail.expect(&["late"]);
}

#[test]
fn what_is_no_file_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (_, warnings) = Follower::open(&[folder.path().to_owned()], StartAt::End);
    assert!(
        matches!(&warnings[..], [TailWarning::NotAFile(_)]),
        "{warnings:?}"
    );
}

#[test]
fn rotation_by_rename_loses_and_doubles_nothing() {
    let log = Log::new("");
    let mut tail = log.follow();
    let mut writer = OpenOptions::new().append(true).open(&log.path).unwrap();
    let mut expected = Vec::new();
    for turn in 0..5 {
        writeln!(writer, "{turn} before").unwrap();
        let old = log.folder.path().join(format!("app.log.{turn}"));
        fs::rename(&log.path, old).unwrap();
        writeln!(writer, "{turn} after the rename, old file").unwrap();
        let mut successor = File::create(&log.path).unwrap();
        writeln!(successor, "{turn} new").unwrap();
        writeln!(writer, "{turn} old file once more").unwrap();
        writer = successor;
        expected.extend(
            [
                "before",
                "after the rename, old file",
                "new",
                "old file once more",
            ]
            .map(|text| format!("{turn} {text}")),
        );
        let due = expected.len();
        eventually("this turn's lines", || {
            tail.read();
            (tail.lines.len() >= due).then_some(())
        });
    }
    let mut found = tail.finish();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_file_that_comes_back_is_not_read_twice() {
    let log = Log::new("");
    let mut tail = log.follow();
    log.append("once\n");
    tail.expect(&["once"]);
    let aside = log.folder.path().join("aside.log");
    fs::rename(&log.path, &aside).unwrap();
    log.append("other\n");
    tail.expect(&["other"]);
    fs::rename(&aside, &log.path).unwrap();
    log.append("back\n");
    tail.expect(&["back"]);
    assert_eq!(tail.finish(), [""; 0]);
}

#[test]
fn a_truncated_file_is_read_anew() {
    let log = Log::new("");
    let mut tail = log.follow();
    log.append("a rather long first line\n");
    tail.expect(&["a rather long first line"]);
    fs::write(&log.path, "short\n").unwrap();
    tail.expect(&["short"]);
}

#[test]
fn invalid_bytes_and_endless_lines_are_flagged() {
    let log = Log::new("");
    let (mut follower, _) = Follower::open(std::slice::from_ref(&log.path), StartAt::End);
    append(&log.path, b"bad \xff byte\n");
    append(&log.path, &vec![b'x'; 3 << 20]);
    append(&log.path, b"\nfine\n");
    let mut lines = Vec::new();
    eventually("three lines", || {
        follower.wait(Duration::from_millis(20), None).unwrap();
        follower.read(|told| {
            if let Told::Line(line) = told {
                lines.push((line.line.text.len(), line.line.altered));
            }
            Taken::Yes
        });
        (lines.len() >= 3).then_some(())
    });
    assert_eq!(lines, [(12, true), (1 << 20, true), (4, false)]);
}

#[test]
fn a_large_backlog_is_read_in_constant_memory_and_whole() {
    let log = Log::new("");
    let mut tail = log.follow();
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    log.append(&line.repeat(200_000));
    eventually("all lines", || {
        tail.read();
        (tail.lines.len() >= 200_000).then_some(())
    });
    assert!(tail.lines.iter().all(|found| found == line.trim_end()));
    assert_eq!(tail.finish().len(), 200_000);
}

#[test]
fn several_files_are_told_apart() {
    let (one, two) = (Log::new(""), Log::new(""));
    let paths = [one.path.clone(), two.path.clone()];
    let (mut follower, _) = Follower::open(&paths, StartAt::End);
    one.append("of one\n");
    two.append("of two\n");
    let mut lines = Vec::new();
    eventually("both lines", || {
        follower.wait(Duration::from_millis(20), None).unwrap();
        follower.read(|told| {
            if let Told::Line(line) = told {
                lines.push((line.source, line.line.text.into_owned()));
            }
            Taken::Yes
        });
        (lines.len() == 2).then_some(())
    });
    lines.sort_unstable();
    assert_eq!(lines, [(0, "of one".to_owned()), (1, "of two".to_owned())]);
}

#[test]
fn a_symbolic_link_that_is_turned_is_followed() {
    let (one, two) = (Log::new(""), Log::new(""));
    let link = one.folder.path().join("current.log");
    std::os::unix::fs::symlink(&one.path, &link).unwrap();
    let (follower, _) = Follower::open(std::slice::from_ref(&link), StartAt::End);
    let mut tail = Tail::of(follower);
    one.append("through the link\n");
    tail.expect(&["through the link"]);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&two.path, &link).unwrap();
    two.append("turned\n");
    tail.expect(&["turned"]);
}

#[test]
fn from_the_beginning_everything_is_read() {
    let log = Log::new("one\ntwo\n");
    let (follower, _) = Follower::open(std::slice::from_ref(&log.path), StartAt::Beginning);
    Tail::of(follower).expect(&["one", "two"]);
}
