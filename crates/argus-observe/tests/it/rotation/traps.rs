//! States of files that were taken for others once: contents that begin alike, copies that came in a
//! moment, folders and links that are others by now.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use argus_observe::tail::{Follower, StartAt};

use super::{Reader, Scene};

fn append(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

impl Scene {
    /// Copied over the last copy, as a line in a crontab does, and emptied.
    fn copy_over_and_empty(&self) {
        fs::copy(self.path(), self.at("app.log.1")).unwrap();
        self.writer.as_ref().unwrap().set_len(0).unwrap();
    }
}

#[test]
fn a_first_content_of_a_few_bytes_is_known_again_in_its_copy() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("0\n");
    reader.expect(&["0"]);
    scene.write("1\n2 and much more, so that the head of the file grows\n3\n");
    scene.copy_and_empty();
    reader.expect(&[
        "1",
        "2 and much more, so that the head of the file grows",
        "3",
    ]);
    scene.write("4\n");
    reader.expect(&["4"]);
    reader.die(&scene.path());
    scene.write("5\n");
    reader.expect(&["5"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn copies_are_read_when_the_turn_of_their_file_has_come() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    reader.read();
    scene.rename_away();
    scene.write("letter b\n");
    scene.reopen();
    scene.write("letter c\n");
    // Its successor knows how the file begins, and nothing of it was read when it is emptied twice.
    reader.die(&scene.path());
    scene.copy_and_empty();
    scene.write("letter d\n");
    scene.copy_and_empty();
    scene.write("letter e\n");
    reader.expect(&["letter b", "letter c", "letter d", "letter e"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn rotations_in_one_tick_of_the_clock_are_read_in_order() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    reader.read();
    let mut expected = Vec::new();
    for turn in 0..12 {
        scene.write(&format!("line {turn} of this file\n"));
        expected.push(format!("line {turn} of this file"));
        if turn % 2 == 0 {
            scene.rotate();
        } else {
            scene.copy_and_empty();
        }
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    reader.expect(&expected);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_copy_is_written_over_again_and_again() {
    let mut scene = Scene::new();
    fs::write(scene.at("app.log.1"), "what was there\n").unwrap();
    let mut reader = scene.follow();
    for turn in 0..4 {
        let (read, unread) = (format!("{turn} was read"), format!("{turn} was not read"));
        scene.write(&format!("{read}\n"));
        reader.expect(&[&read]);
        scene.write(&format!("{unread}\n"));
        scene.copy_over_and_empty();
        reader.expect(&[&unread]);
    }
    // Nothing of it was read when it was copied.
    scene.write("came\n");
    scene.copy_over_and_empty();
    scene.write("stays\n");
    reader.expect(&["came", "stays"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn what_was_never_read_is_found_in_a_copy_over_a_file_that_was_there_before() {
    let mut scene = Scene::new();
    fs::write(scene.at("app.log.1"), "what was there\n").unwrap();
    let mut reader = scene.follow();
    reader.read();
    scene.write("came\n");
    scene.copy_over_and_empty();
    scene.write("stays\n");
    reader.expect(&["came", "stays"]);
}

#[test]
fn contents_that_begin_alike_are_told_apart() {
    let banner = "a line of the banner with which every run begins\n".repeat(8);
    let lines: Vec<&str> = banner.lines().collect();
    let run = |last: &'static str| [&lines[..], &[last]].concat();
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    // Something of its own: a content that begins with all that was read cannot be told from it.
    scene.write(&format!("{banner}begun\n"));
    reader.expect(&run("begun"));
    scene.write("first\n");
    scene.copy_and_empty();
    scene.write(&format!("{banner}second, longer than the first\n"));
    scene.copy_and_empty();
    scene.write(&format!("{banner}third\n"));
    let expected = [
        &["first"][..],
        &run("second, longer than the first"),
        &run("third"),
    ];
    reader.expect(&expected.concat());
    scene.rotate();
    scene.write(&banner);
    scene.rotate();
    scene.write(&format!("{banner}fourth\n"));
    reader.expect(&[&lines[..], &run("fourth")].concat());
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_header_of_its_own_makes_no_content_known() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("time,level,text\n");
    reader.expect(&["time,level,text"]);
    scene.write("1,info,a row that is longer than sixty-four bytes, as rows are at times\n");
    reader.expect(&["1,info,a row that is longer than sixty-four bytes, as rows are at times"]);
    scene.rotate();
    scene.write("time,level,text\n2,info,b\n");
    scene.rotate();
    scene.write("time,level,text\n3,info,c\n");
    reader.die(&scene.path());
    reader.expect(&["time,level,text", "2,info,b", "time,level,text", "3,info,c"]);
    // Emptied while nobody looks, it begins as it did when it was short.
    reader.die(&scene.path());
    scene.copy_and_empty();
    scene.write("time,level,text\n4,info,d\n5,info,e\n");
    reader.expect(&["time,level,text", "4,info,d", "5,info,e"]);
}

#[test]
fn what_was_read_last_is_not_all_that_was_being_read() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("letter a\n");
    reader.expect(&["letter a"]);
    scene.rename_away();
    append(&scene.path(), "letter b\n");
    reader.expect(&["letter b"]);
    scene.write("letter a, from a writer that has not noticed\n");
    reader.expect(&["letter a, from a writer that has not noticed"]);
    append(&scene.path(), "letter c\n");
    scene.reopen();
    scene.copy_and_empty();
    scene.write("letter d\n");
    reader.die(&scene.path());
    reader.expect(&["letter c", "letter d"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn who_was_far_behind_has_read_nothing_of_what_came_meanwhile() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("letter a\n");
    reader.expect(&["letter a"]);
    scene.write("letter b\n");
    scene.rotate();
    scene.write("letter c\n");
    scene.copy_and_empty();
    scene.write("letter d\n");
    scene.rotate();
    scene.write("letter e\n");
    for position in &mut reader.positions {
        position.noted_ns += 60_000_000_000;
    }
    reader.die(&scene.path());
    reader.expect(&["letter b", "letter c", "letter d", "letter e"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_successor_hears_a_writer_that_has_not_noticed() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("letter a\n");
    reader.expect(&["letter a"]);
    scene.rename_away();
    reader.die(&scene.path());
    scene.write("letter b\n");
    scene.reopen();
    scene.write("letter c\n");
    reader.expect(&["letter b", "letter c"]);
}

#[test]
fn an_unfinished_line_is_told_at_the_end_of_its_copy() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("whole\nhalf");
    reader.expect(&["whole"]);
    scene.copy_and_empty();
    scene.write("next\n");
    reader.expect(&["half", "next"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_copy_that_is_compressed_before_it_is_read_is_a_gap() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("read\n");
    reader.expect(&["read"]);
    scene.write("compressed before anybody looked\n");
    scene.copy_and_empty();
    fs::write(scene.at("app.log.1.gz"), b"\x1f\x8b\x08 and so on\n").unwrap();
    fs::remove_file(scene.at("app.log.1")).unwrap();
    scene.write("a line of the next content\n");
    reader.expect(&["a line of the next content"]);
    assert_eq!(
        reader.gaps,
        ["emptied; what was last written before is not known"]
    );
}

#[test]
fn what_was_emptied_while_nobody_looked_and_was_not_copied_is_a_gap() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a line that was read\n");
    reader.expect(&["a line that was read"]);
    scene.write("and one that was not\n");
    scene.writer.as_ref().unwrap().set_len(0).unwrap();
    scene.write("new\n");
    reader.die(&scene.path());
    reader.expect(&["new"]);
    assert_eq!(
        reader.gaps,
        ["emptied; what was last written before is not known"]
    );
}

#[test]
fn lost_notices_lose_no_lines() {
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    scene.write("a\n");
    reader.expect(&["a"]);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    let limit: usize = limit.unwrap().trim().parse().unwrap();
    for _ in 0..limit {
        fs::write(scene.at("of another"), "").unwrap();
        fs::remove_file(scene.at("of another")).unwrap();
    }
    scene.write("b\n");
    scene.rotate();
    scene.write("c\n");
    scene.rotate();
    scene.write("d\n");
    reader.expect(&["b", "c", "d"]);
    // What was learnt of names before is not believed any more.
    scene.copy_and_empty();
    scene.write("e\n");
    scene.rotate();
    scene.write("f\n");
    reader.expect(&["e", "f"]);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_folder_that_is_made_anew_is_heard_of_from_its_beginning() {
    let scene = Scene::new();
    let folder = scene.at("logs");
    let log = folder.join("app.log");
    fs::create_dir(&folder).unwrap();
    append(&log, "a\n");
    let (follower, _) = Follower::open(std::slice::from_ref(&log), StartAt::Beginning);
    let mut reader = Reader::of(follower);
    reader.expect(&["a"]);
    let rotate = |line: &str| {
        fs::create_dir(&folder).unwrap();
        append(&log, line);
        fs::rename(&log, folder.join("app.log.1")).unwrap();
        append(&log, "the one after it\n");
    };
    fs::rename(&folder, scene.at("aside")).unwrap();
    rotate("after the folder was moved\n");
    reader.expect(&["after the folder was moved", "the one after it"]);
    fs::remove_dir_all(&folder).unwrap();
    rotate("after the folder was removed\n");
    reader.expect(&["after the folder was removed", "the one after it"]);
    append(&log, "and on\n");
    reader.expect(&["and on"]);
}

#[test]
fn a_folder_that_appears_later_holds_nothing_that_was_there_before() {
    let scene = Scene::new();
    let folder = scene.at("logs");
    let log = folder.join("app.log");
    let (follower, warnings) = Follower::open(std::slice::from_ref(&log), StartAt::End);
    assert_eq!(warnings.len(), 1);
    let mut reader = Reader::of(follower);
    fs::create_dir(&folder).unwrap();
    append(&log, "a\n");
    fs::rename(&log, folder.join("app.log.1")).unwrap();
    append(&log, "b\n");
    reader.expect(&["a", "b"]);
}

#[test]
fn a_link_that_is_turned_twice_is_a_gap() {
    let scene = Scene::new();
    let link = scene.at("current");
    let turn = |name: &str| {
        append(&scene.at(name), &format!("of {name}\n"));
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(scene.at(name), &link).unwrap();
    };
    turn("run-1");
    let (follower, _) = Follower::open(std::slice::from_ref(&link), StartAt::Beginning);
    let mut reader = Reader::of(follower);
    reader.expect(&["of run-1"]);
    turn("run-2");
    reader.expect(&["of run-2"]);
    assert_eq!(reader.gaps, [""; 0]);
    turn("run-3");
    turn("run-4");
    reader.expect(&["of run-4"]);
    assert_eq!(
        reader.gaps,
        ["a file came and was removed before it could be read"]
    );
}

#[test]
fn a_pattern_takes_a_copy_for_no_file_of_its_own() {
    let mut scene = Scene::new();
    scene.write("a first line\n");
    let (follower, _) = Follower::open(&[scene.at("*.log*")], StartAt::Beginning);
    let mut reader = Reader::of(follower);
    reader.expect(&["a first line"]);
    scene.write("a second line\n");
    scene.copy_and_empty();
    scene.write("a third line\n");
    reader.expect(&["a second line", "a third line"]);
    scene.copy_and_empty();
    scene.write("a fourth line\n");
    reader.expect(&["a fourth line"]);
    assert_eq!(reader.gaps, [""; 0]);
}
