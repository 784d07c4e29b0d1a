//! A log file that is written to and rotated.
//!
//! Lines are `NUMBER ORDER xxx…`: numbers count from 0, and what follows them can be told from them. The
//! lines of one order must be stored in the order of their numbers; where a writer stays with its old file
//! after the new one was made, the next file has the next order.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::bed::Chance;

/// How long a storm lasts.
pub(super) const TIME: Duration = Duration::from_secs(2);
const LINE: Duration = Duration::from_micros(500);
const LINES_BETWEEN_ROTATIONS: u64 = 200;
/// A writer that was held up must not make up for it in a burst: clocks of file systems tick every four
/// milliseconds, and no two rotations may fall into one.
const APART: Duration = Duration::from_millis(20);
/// Lines written to the old file when there is a new one already.
const LINGERING: u64 = 20;

/// A way to rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotation {
    /// Renamed, and made anew by the writer.
    Rename,
    /// Renamed and made anew; the writer notices some lines later.
    Linger,
    /// Copied, and emptied, with nothing written in between.
    Copy,
    /// Removed, and made anew.
    Remove,
    /// A symbolic link is turned to a new file.
    Link,
}

/// The text of a line.
pub(super) fn line(number: u64, order: u64) -> String {
    // As `handlers.py` has it.
    let long = if number % 199 == 7 { 4_000 } else { 0 };
    let length = usize::try_from(number * 7_919 % 160 + long).unwrap();
    format!("{number} {order} {}", "x".repeat(length))
}

pub(super) struct Scene {
    path: PathBuf,
    writer: File,
    chance: Chance,
    number: u64,
    order: u64,
    /// Files that were moved on, or copied.
    moved: u32,
}

impl Scene {
    pub(super) fn new(path: PathBuf, seed: u64) -> Self {
        let writer = append_to(&path);
        Self {
            path,
            writer,
            chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            number: 0,
            order: 0,
            moved: 0,
        }
    }

    pub(super) fn written(&self) -> u64 {
        self.number
    }

    /// Writes and rotates for a while; how many lines were written.
    pub(super) fn storm(&mut self, kinds: &[Rotation]) -> u64 {
        let kinds_count = kinds.len() as u64;
        self.storm_with(|scene| {
            let kind = kinds[usize::try_from(scene.chance.below(kinds_count)).unwrap()];
            scene.rotate(kind);
        })
    }

    /// [`Scene::storm`] with somebody else's rotation.
    pub(super) fn storm_with(&mut self, mut rotate: impl FnMut(&mut Self)) -> u64 {
        let begun = Instant::now();
        while begun.elapsed() < TIME {
            for _ in 0..LINES_BETWEEN_ROTATIONS {
                self.write_line();
                let due = begun + LINE * u32::try_from(self.number).unwrap();
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            thread::sleep(APART);
            rotate(self);
        }
        self.number
    }

    pub(super) fn write(&mut self, lines: u64) {
        (0..lines).for_each(|_| self.write_line());
    }

    /// Now and then in two writes.
    fn write_line(&mut self) {
        let text = line(self.number, self.order) + "\n";
        let cut = match self.chance.below(16) {
            0 => usize::try_from(self.chance.below(text.len() as u64)).unwrap(),
            _ => text.len(),
        };
        let (first, second) = text.as_bytes().split_at(cut);
        self.writer.write_all(first).unwrap();
        if !second.is_empty() {
            self.writer.write_all(second).unwrap();
        }
        self.number += 1;
    }

    pub(super) fn rotate(&mut self, kind: Rotation) {
        match kind {
            Rotation::Rename => {
                self.move_on();
                self.reopen();
            }
            Rotation::Linger => {
                self.move_on();
                let new = append_to(&self.path);
                self.linger();
                self.writer = new;
            }
            Rotation::Copy => {
                self.make_way();
                fs::copy(&self.path, self.numbered(1)).unwrap();
                self.empty();
            }
            Rotation::Remove => {
                fs::remove_file(&self.path).unwrap();
                self.reopen();
            }
            Rotation::Link => self.turn_link(),
        }
    }

    /// Keeps to the old file for some lines.
    pub(super) fn linger(&mut self) {
        self.write(LINGERING);
        self.order += 1;
    }

    pub(super) fn reopen(&mut self) {
        self.writer = append_to(&self.path);
    }

    pub(super) fn empty(&mut self) {
        self.writer.set_len(0).unwrap();
    }

    /// The log becomes `app.log.1`, which becomes `app.log.2`, and so on.
    fn move_on(&mut self) {
        self.make_way();
        fs::rename(&self.path, self.numbered(1)).unwrap();
    }

    fn make_way(&mut self) {
        for number in (1..=self.moved).rev() {
            fs::rename(self.numbered(number), self.numbered(number + 1)).unwrap();
        }
        self.moved += 1;
    }

    /// Of the files that were moved on, only so many stay.
    pub(super) fn keep(&mut self, count: u32) {
        while self.moved > count {
            fs::remove_file(self.numbered(self.moved)).unwrap();
            self.moved -= 1;
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        with_ending(&self.path, &format!(".{number}"))
    }

    /// From now on the log is a link to the file that is written.
    pub(super) fn become_link(&mut self) {
        fs::remove_file(&self.path).unwrap();
        self.turn_link();
    }

    fn turn_link(&mut self) {
        self.moved += 1;
        let file = with_ending(&self.path, &format!("-{:06}", self.moved));
        self.writer = append_to(&file);
        let link = with_ending(&self.path, "-new-link");
        symlink(&file, &link).unwrap();
        fs::rename(&link, &self.path).unwrap();
    }
}

fn append_to(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.append(true).create(true).open(path).unwrap()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(ending);
    whole.into()
}
