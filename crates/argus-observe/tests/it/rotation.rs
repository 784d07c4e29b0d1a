//! Every way in which log files are rotated, with looks at the worst of moments: no line is lost, none is
//! told twice, and the order is that of writing.

mod storm;
mod traps;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use argus_observe::line::Taken;
use argus_observe::tail::{Follower, Position, StartAt, Told};

use crate::stranger::eventually;

/// A folder with a log file that is written and rotated.
struct Scene {
    folder: tempfile::TempDir,
    writer: Option<File>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut scene = Self {
            folder,
            writer: None,
        };
        scene.reopen();
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn path(&self) -> PathBuf {
        self.at("app.log")
    }

    fn reopen(&mut self) {
        let mut options = OpenOptions::new();
        let opened = options.append(true).create(true).open(self.path());
        self.writer = Some(opened.unwrap());
    }

    fn write(&mut self, text: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }

    /// `app.log.1` becomes `app.log.2`, and so on.
    fn make_way(&self, keep: u32) {
        for number in (1..keep).rev() {
            let (from, to) = (
                format!("app.log.{number}"),
                format!("app.log.{}", number + 1),
            );
            let _ = fs::rename(self.at(&from), self.at(&to));
        }
    }

    fn rename_away(&self) {
        self.make_way(100);
        fs::rename(self.path(), self.at("app.log.1")).unwrap();
    }

    fn rotate(&mut self) {
        self.rename_away();
        self.reopen();
    }

    fn copy_and_empty(&mut self) {
        self.make_way(100);
        fs::copy(self.path(), self.at("app.log.1")).unwrap();
        self.writer.as_ref().unwrap().set_len(0).unwrap();
    }

    fn follow(&self) -> Reader {
        Reader::of(Follower::open(&[self.path()], StartAt::Beginning).0)
    }
}

/// A follower and what it has told.
struct Reader {
    follower: Follower,
    lines: Vec<String>,
    gaps: Vec<String>,
    positions: Vec<Position>,
    /// Refuses every so manieth thing.
    refuses: Option<usize>,
    asked: usize,
}

impl Reader {
    fn of(follower: Follower) -> Self {
        Self {
            follower,
            lines: Vec::new(),
            gaps: Vec::new(),
            positions: Vec::new(),
            refuses: None,
            asked: 0,
        }
    }

    fn read(&mut self) {
        self.follower.wait(Duration::from_millis(5), None).unwrap();
        let Self {
            follower,
            lines,
            gaps,
            positions,
            refuses,
            asked,
        } = self;
        follower.read(|told| {
            *asked += 1;
            if refuses.is_some_and(|every| asked.is_multiple_of(every)) {
                return Taken::NoRoom;
            }
            let (content, offset) = match told {
                Told::Line(line) => {
                    lines.push(line.line.text.into_owned());
                    (*line.content, line.end)
                }
                Told::Begins {
                    content, offset, ..
                } => (*content, offset),
                Told::Gap { gap, .. } => {
                    gaps.push(gap.to_string());
                    return Taken::Yes;
                }
                Told::Warning(warning) => unreachable!("{warning}"),
            };
            positions.retain(|position: &Position| position.content != content);
            let noted = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            positions.push(Position {
                content,
                offset,
                noted_ns: i64::try_from(noted.as_nanos()).unwrap(),
            });
            Taken::Yes
        });
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        eventually("the lines are read", || {
            self.read();
            (self.lines.len() >= expected.len()).then_some(())
        });
        self.read();
        assert_eq!(self.lines, expected);
        self.lines.clear();
    }

    /// Dies, and has a successor that knows what had been told, the newest first.
    fn die(&mut self, scene: &Path) {
        let mut positions = self.positions.clone();
        positions.reverse();
        let memory = Box::new(move |_: &Path| positions.clone());
        // It may be born in the moment in which the path leads nowhere.
        let paths = [scene.to_owned()];
        self.follower = Follower::open_with(&paths, StartAt::Resume, memory).0;
    }
}

#[test]
fn two_rotations_between_looks() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a\n");
    reader.expect(&["a"]);
    scene.write("a2\n");
    scene.rotate();
    scene.write("b\n");
    scene.rotate();
    scene.write("c\n");
    scene.rotate();
    scene.write("d\n");
    reader.expect(&["a2", "b", "c", "d"]);
}

#[test]
fn a_burst_and_a_rename() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    reader.read();
    let burst: Vec<String> = (0..50_000).map(|number| format!("{number}")).collect();
    scene.write(&(burst.join("\n") + "\n"));
    scene.rotate();
    scene.write("after\n");
    let mut expected: Vec<&str> = burst.iter().map(String::as_str).collect();
    expected.push("after");
    reader.expect(&expected);
}

#[test]
fn a_copy_has_what_was_not_read_of_an_emptied_file() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a first line\n");
    reader.expect(&["a first line"]);
    scene.write("not read yet\nneither is this\n");
    scene.copy_and_empty();
    scene.write("new\n");
    reader.expect(&["not read yet", "neither is this", "new"]);
    scene.copy_and_empty();
    scene.write("grown much larger than all that stood there before\n");
    reader.expect(&["grown much larger than all that stood there before"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn emptied_twice_between_looks() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a first line\n");
    reader.expect(&["a first line"]);
    scene.write("rest of a\n");
    scene.copy_and_empty();
    scene.write("b, whole\n");
    scene.copy_and_empty();
    scene.write("c\n");
    reader.expect(&["rest of a", "b, whole", "c"]);
}

#[test]
fn a_copy_over_the_one_before() {
    let mut scene = Scene::new();
    fs::write(scene.at("app.log.1"), "what was there\n").unwrap();
    let mut reader = scene.follow();
    scene.write("a first line\n");
    reader.expect(&["a first line"]);
    scene.write("not read yet\n");
    fs::copy(scene.path(), scene.at("app.log.1")).unwrap();
    scene.writer.as_ref().unwrap().set_len(0).unwrap();
    scene.write("new\n");
    reader.expect(&["not read yet", "new"]);
}

#[test]
fn a_backup_is_no_rotation() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a first line\n");
    scene.rotate();
    scene.write("a second line\n");
    reader.expect(&["a first line", "a second line"]);
    fs::copy(scene.path(), scene.at("app.log.bak")).unwrap();
    fs::copy(scene.path(), scene.at("app.log.2")).unwrap();
    scene.write("a third line\n");
    scene.rotate();
    scene.write("a fourth line\n");
    reader.expect(&["a third line", "a fourth line"]);
}

#[test]
fn an_emptied_file_without_a_copy_is_a_gap() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a first line\n");
    reader.expect(&["a first line"]);
    scene.writer.as_ref().unwrap().set_len(0).unwrap();
    scene.write("grown much larger than all that stood there before\n");
    reader.expect(&["grown much larger than all that stood there before"]);
    assert_eq!(
        reader.gaps,
        ["emptied; what was last written before is not known"]
    );
}

#[test]
fn removed_and_made_again() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    for turn in 0..5 {
        let (last, first) = (format!("{turn} last words"), format!("{turn} first words"));
        scene.write(&format!("{last}\n"));
        fs::remove_file(scene.path()).unwrap();
        scene.write("written to what is removed\n");
        scene.reopen();
        scene.write(&format!("{first}\n"));
        reader.expect(&[&last, "written to what is removed", &first]);
    }
}

#[test]
fn compressed_files_are_left_alone() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a\n");
    scene.rotate();
    scene.write("b\n");
    reader.expect(&["a", "b"]);
    scene.rename_away();
    fs::write(scene.at("app.log.2.gz"), b"\x1f\x8b\x08 and so on\n").unwrap();
    fs::remove_file(scene.at("app.log.2")).unwrap();
    fs::write(scene.at("app.log.2"), b"\x1f\x8b\x08 and so on\n").unwrap();
    scene.reopen();
    scene.write("c\n");
    reader.expect(&["c"]);
}

#[test]
fn an_unfinished_line_is_finished_in_the_file_that_was_moved() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("whole\nhalf");
    reader.expect(&["whole"]);
    scene.rename_away();
    scene.write(" a line\n");
    scene.reopen();
    scene.write("next\n");
    reader.expect(&["half a line", "next"]);
}

#[test]
fn who_has_no_room_gets_everything_once() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    reader.refuses = Some(7);
    let mut expected = Vec::new();
    for turn in 0..10 {
        for number in 0..30 {
            let line = format!("{turn} {number}");
            scene.write(&format!("{line}\n"));
            expected.push(line);
        }
        match turn % 3 {
            0 => scene.rotate(),
            1 => scene.copy_and_empty(),
            _ => {}
        }
        reader.read();
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    reader.expect(&expected);
}

#[test]
fn a_successor_goes_on_exactly_where_its_predecessor_was_killed() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("letter a\nletter b\n");
    reader.expect(&["letter a", "letter b"]);
    scene.write("letter c\n");
    reader.die(&scene.path());
    scene.write("letter d\n");
    reader.expect(&["letter c", "letter d"]);
    // Two rotations while nobody looks.
    reader.die(&scene.path());
    scene.write("letter e\n");
    scene.rotate();
    scene.write("letter f\n");
    scene.rotate();
    scene.write("letter g\n");
    reader.die(&scene.path());
    reader.expect(&["letter e", "letter f", "letter g"]);
    // Copied and emptied while nobody looks.
    scene.write("letter h\n");
    scene.copy_and_empty();
    scene.write("letter i\n");
    reader.die(&scene.path());
    reader.expect(&["letter h", "letter i"]);
    reader.die(&scene.path());
    scene.write("letter j\n");
    reader.expect(&["letter j"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_successor_says_when_what_was_read_last_is_gone() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a\n");
    reader.expect(&["a"]);
    scene.write("never seen\n");
    fs::remove_file(scene.path()).unwrap();
    scene.reopen();
    scene.write("b\n");
    reader.die(&scene.path());
    reader.expect(&["b"]);
    assert_eq!(
        reader.gaps,
        ["the file read last is gone; what stood in it behind byte 2 is not known"]
    );
}

#[test]
fn a_pattern_follows_what_appears_and_reads_nothing_twice() {
    let mut scene = Scene::new();
    scene.write("a\n");
    let (follower, warnings) = Follower::open(&[scene.at("*.log*")], StartAt::Beginning);
    assert!(warnings.is_empty());
    let mut reader = Reader::of(follower);
    reader.expect(&["a"]);
    scene.rotate();
    scene.write("b\n");
    reader.expect(&["b"]);
    fs::write(scene.at("other.log"), "of another\n").unwrap();
    reader.expect(&["of another"]);
    fs::write(scene.at("unrelated.txt"), "no line\n").unwrap();
    scene.rotate();
    scene.write("c\n");
    reader.expect(&["c"]);
}

/// Files that came while nobody looked, and files that come later, were never read: they begin at their
/// beginning, unlike those that were there before anybody looked.
#[test]
fn a_pattern_that_resumes_reads_what_came_meanwhile_from_its_beginning() {
    let mut scene = Scene::new();
    scene.write("a\n");
    let mut reader = scene.follow();
    reader.expect(&["a"]);
    let (path, positions) = (scene.path(), reader.positions.clone());
    scene.write("a2\n");
    fs::write(scene.at("new.log"), "b\n").unwrap();
    let memory = move |asked: &Path| {
        let is_its = asked == path;
        positions.iter().filter(|_| is_its).copied().collect()
    };
    let pattern = [scene.at("*.log")];
    let resumed = Follower::open_with(&pattern, StartAt::Resume, Box::new(memory)).0;
    let mut reader = Reader::of(resumed);
    reader.expect(&["a2", "b"]);
    let mut later = File::create(scene.at("later.log")).unwrap();
    later.write_all(b"c\nd\n").unwrap();
    reader.expect(&["c", "d"]);
}

/// No byte of it was read, so none can be found changed: its head tells.
#[test]
fn what_was_copied_and_emptied_before_its_first_line_was_taken_is_read_from_the_copy() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("the first of these lines\nand another one\n");
    reader.refuses = Some(1);
    reader.read();
    scene.copy_and_empty();
    scene.write("the first of those that came after it was emptied\n");
    reader.refuses = None;
    reader.expect(&[
        "the first of these lines",
        "and another one",
        "the first of those that came after it was emptied",
    ]);
    assert!(reader.gaps.is_empty(), "{:?}", reader.gaps);
}

/// A content without a head fits every file: whoever went on in it would go on in another.
#[test]
fn no_line_is_told_of_a_content_that_could_be_any() {
    let mut scene = Scene::new();
    let mut follower = Follower::open(&[scene.path()], StartAt::Beginning).0;
    let mut heads = Vec::new();
    eventually("the lines are read", || {
        follower.read(|told| {
            match told {
                // Between the look at the file and the reading of it.
                Told::Begins { content, .. } if content.head.bytes == 0 => {
                    scene.write("one\ntwo\n");
                }
                Told::Line(line) => heads.push(line.content.head.bytes),
                _ => {}
            }
            Taken::Yes
        });
        follower.wait(Duration::from_millis(5), None).unwrap();
        (heads.len() >= 2).then_some(())
    });
    assert_eq!(heads, [8, 8]);
}
