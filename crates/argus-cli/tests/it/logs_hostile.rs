//! Log files that are none, go away, or hold what no log should: each is said once, in a sentence, and
//! everything else goes on.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::alone::{Own, alone};
use crate::gaze_logs::{append, gaze, stored};
use crate::nobody::Nobody;
use crate::observed::{Home, Running, Stranger};

/// A gaze on a good log and on others, from their beginnings.
struct Scene {
    home: Home,
    good: PathBuf,
    _stranger: Stranger,
    gaze: Running,
}

impl Scene {
    fn new(home: Home, others: &[&Path]) -> Self {
        let good = home.path("good.log");
        fs::write(&good, "").unwrap();
        let stranger = Stranger::sleeping(&home.path(""));
        let mut options = vec!["--from", "start", "--logfile", good.to_str().unwrap()];
        for other in others {
            options.extend(["--logfile", other.to_str().unwrap()]);
        }
        let mut gaze = gaze(&home, &stranger, &options);
        gaze.wait_for("[Gaze] Metrics");
        Self {
            home,
            good,
            _stranger: stranger,
            gaze,
        }
    }

    /// The good log is followed, and has been looked at several times more when this returns: gaze looks
    /// twice between two measurements.
    fn goes_on(&mut self, line: &str) {
        append(&self.good, &format!("{line}\n"));
        self.gaze.wait_for(&format!("[Gaze] Log: {line}"));
        for _ in 0..3 {
            self.gaze.wait_for("[Gaze] Metrics");
        }
    }

    /// Ends it; what it said on standard error.
    fn end(&mut self) -> Vec<String> {
        self.gaze.signal(Signal::INT);
        let (code, _, errors) = self.gaze.finish();
        assert_eq!(code, 0, "{errors}");
        errors.lines().map(str::to_owned).collect()
    }
}

fn warning(what: &str, path: &Path) -> String {
    let path = path.display();
    format!("[Gaze] Warning: {what}: {path}; followed as soon as it can be read")
}

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn what_is_no_file_is_said_once_and_the_rest_goes_on() {
    let home = Home::new();
    let (folder, pipe, device) = (
        home.path("folder"),
        home.path("pipe"),
        Path::new("/dev/zero"),
    );
    fs::create_dir(&folder).unwrap();
    make_pipe(&pipe);
    let mut scene = Scene::new(home, &[&folder, &pipe, device]);
    scene.goes_on("of the good one");
    let expected = [&*folder, &*pipe, device].map(|path| warning("not a regular file", path));
    assert_eq!(scene.end(), expected);
    stored(&scene.home, &["of the good one"]);
}

/// To open a pipe would let its writer go on, and write to nobody.
#[test]
fn who_waits_at_a_pipe_for_a_reader_goes_on_waiting() {
    let home = Home::new();
    let pipe = home.path("pipe");
    make_pipe(&pipe);
    let path = pipe.clone();
    let writer = std::thread::spawn(move || {
        let mut pipe = File::options().write(true).open(path).unwrap();
        pipe.write_all(b"for its reader\n").unwrap();
    });
    let mut scene = Scene::new(home, &[&pipe]);
    scene.goes_on("of the good one");
    assert!(!writer.is_finished());
    let mut line = String::new();
    BufReader::new(File::open(&pipe).unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "for its reader\n");
    writer.join().unwrap();
    assert_eq!(scene.end(), [warning("not a regular file", &pipe)]);
}

/// What was opened is read on, whatever may be done by now; what stands there next may not be opened.
#[test]
fn a_file_that_may_not_be_read_is_said_once_and_read_when_it_may() {
    let nobody = Nobody::new();
    let (good, closed) = (nobody.path("good.log"), nobody.path("closed.log"));
    let permit = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let may = |mode| permit(&closed, mode);
    fs::write(&good, "").unwrap();
    fs::write(&closed, "behind closed doors\n").unwrap();
    may(0o000);
    let stranger = Stranger::sleeping(&std::env::temp_dir());
    let mut command = nobody.command(nobody.argus());
    command.args(["gaze", "--from", "start", "--interval", "1"]);
    command.args(["--pid", &stranger.pid.to_string()]);
    command.arg("--logfile").arg(&good);
    command.arg("--logfile").arg(&closed);
    command.env("ARGUS_HOME", nobody.path("home"));
    command.env_remove("ARGUS_DB").env("ARGUS_COLLECTOR", "off");
    let mut gaze = Running::start(command);
    gaze.wait_for("[Gaze] Metrics");
    append(&good, "of the good one\n");
    gaze.wait_for("[Gaze] Log: of the good one");
    may(0o644);
    gaze.wait_for("[Gaze] Log: behind closed doors");
    may(0o200);
    append(&closed, "behind doors that were closed again\n");
    gaze.wait_for("[Gaze] Log: behind doors that were closed again");
    fs::rename(&closed, nobody.path("closed.log.1")).unwrap();
    let successor = nobody.path("successor");
    fs::write(&successor, "never seen\n").unwrap();
    permit(&successor, 0o000);
    fs::rename(&successor, &closed).unwrap();
    for _ in 0..3 {
        gaze.wait_for("[Gaze] Metrics");
    }
    gaze.signal(Signal::INT);
    let (code, said, errors) = gaze.finish();
    assert_eq!(code, 0, "{errors}");
    let told = warning("log file may not be read", &closed);
    let complaints: Vec<_> = errors.lines().filter(|line| *line == told).collect();
    // Root may read everything, and this test is of somebody else, or of nobody.
    assert!((1..=2).contains(&complaints.len()), "{errors}");
    assert!(!said.contains("never seen"), "{said}");
}

#[test]
fn a_file_that_vanishes_for_good_is_said_once_and_the_rest_goes_on() {
    let home = Home::new();
    let doomed = home.path("doomed.log");
    fs::write(&doomed, "its last words\n").unwrap();
    let mut scene = Scene::new(home, &[&doomed]);
    fs::remove_file(&doomed).unwrap();
    scene.goes_on("of the good one");
    scene.goes_on("and another one");
    assert_eq!(scene.end(), [warning("log file not found", &doomed)]);
    let expected = ["its last words", "of the good one", "and another one"];
    stored(&scene.home, &expected);
}

#[test]
fn a_file_system_that_goes_away_is_said_once_and_the_rest_goes_on() {
    let name = "logs_hostile::a_file_system_that_goes_away_is_said_once_and_the_rest_goes_on";
    alone(name, Own::Mounts, || {
        let home = Home::new();
        let folder = home.path("mounted");
        fs::create_dir(&folder).unwrap();
        let mount = || {
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "of-a-test"]).arg(&folder);
            mount.status().unwrap().success()
        };
        if !mount() {
            println!("{name}: not run, nothing may be mounted here");
            return;
        }
        let log = folder.join("app.log");
        fs::write(&log, "of the first one\n").unwrap();
        let mut scene = Scene::new(home, &[&log]);
        let unmounted = Command::new("umount").arg("--lazy").arg(&folder).status();
        assert!(unmounted.unwrap().success());
        scene.goes_on("of the good one");
        scene.goes_on("and another one");
        assert!(mount());
        fs::write(&log, "of the second one\n").unwrap();
        scene.gaze.wait_for("[Gaze] Log: of the second one");
        assert_eq!(scene.end(), [warning("log file not found", &log)]);
        let expected = [
            "of the first one",
            "of the good one",
            "and another one",
            "of the second one",
        ];
        stored(&scene.home, &expected);
        let _ = Command::new("umount").arg("--lazy").arg(&folder).status();
    });
}

#[test]
fn what_is_no_text_or_too_long_is_kept_as_far_as_it_goes_and_flagged() {
    let home = Home::new();
    let bad = home.path("bad.log");
    let mut text = b"zero \0 byte\nno \xff text\n".to_vec();
    text.resize(text.len() + (10 << 20), b'x');
    text.extend_from_slice(b"\nthe next one\n");
    fs::write(&bad, text).unwrap();
    let mut scene = Scene::new(home, &[&bad]);
    scene.goes_on("of the good one");
    assert_eq!(scene.end(), Vec::<String>::new());
    let query =
        "SELECT hex(substr(CAST(log_line AS BLOB), 1, 12)) AS begins, length(CAST(log_line AS BLOB)) AS bytes,
                 altered, file_offset FROM log_entries ORDER BY id";
    let row = |begins: &[u8], bytes: u64, altered: bool, end: u64| {
        let begins: String = begins.iter().map(|byte| format!("{byte:02X}")).collect();
        let altered = u8::from(altered);
        json!({"begins": begins, "bytes": bytes, "altered": altered, "file_offset": end})
    };
    let long = 22 + (10 << 20) + 1;
    let expected = [
        row(b"zero \0 byte", 11, false, 12),
        row("no \u{fffd} text".as_bytes(), 11, true, 22),
        row(&[b'x'; 12], 1 << 20, true, long),
        row(b"the next one", 12, false, long + 13),
        row(b"of the good ", 15, false, 16),
    ];
    assert_eq!(scene.home.rows(query), expected);
    let mut found = scene.home.start(&["logs", "--regex", "^zero .* byte$"]);
    let (code, said, _) = found.finish();
    assert!(code == 0 && said.contains("zero"), "{said}");
    assert!(
        !said.contains('\0'),
        "no control character reaches a terminal"
    );
}

/// The documented exit code, and a sentence that says why.
#[test]
fn expressions_that_are_none_or_explode_are_wrong_usage() {
    let home = Home::new();
    let huge = "(a{1000}){1000}";
    let half = "(a{100}){700}";
    for (options, told) in [
        (vec!["--alert-log", "("], "unclosed group"),
        (vec!["--alert-log", huge], "the expression is too large"),
        (
            vec!["--alert-log", half, "--alert-log", half],
            "the expression is too large",
        ),
        (
            vec!["--correlate", "order=("],
            "the pattern of order: not a regular expression: unclosed group",
        ),
        (
            vec!["--correlate", &format!("order={huge}")],
            "the pattern of order: the expression is too large",
        ),
    ] {
        let arguments = [&["gaze", "--pid", "1"], &*options].concat();
        let (code, said, errors) = home.start(&arguments).finish();
        assert_eq!((code, said.as_str()), (2, ""), "{options:?}: {errors}");
        assert!(errors.contains(told), "{options:?}: {errors}");
        let first = errors.lines().next().unwrap();
        assert!(first.contains(told), "one sentence: {errors}");
    }
    assert!(!home.data().folder().exists(), "nothing was made");
}

#[test]
fn a_pattern_of_files_that_is_none_is_said_once_and_the_rest_goes_on() {
    let home = Home::new();
    let pattern = home.path("[.log");
    let mut scene = Scene::new(home, &[&pattern]);
    scene.goes_on("of the good one");
    let pattern = pattern.display();
    let told = format!(
        "[Gaze] Warning: not a pattern of files: {pattern}: invalid range pattern; nothing is followed for it"
    );
    assert_eq!(scene.end(), [told]);
    stored(&scene.home, &["of the good one"]);
}
