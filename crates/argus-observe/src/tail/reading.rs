//! One file being read, from where reading began to its end.
//!
//! Reading never trusts that a file only grows. The last bytes that were read are read once more with the
//! next ones: if they are others now, the file was emptied and written anew in between, however large it
//! has become since.
//!
//! A head that tells little grows with what is read, before the lines are told: whoever keeps their place
//! can tell the content from others that begin like it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::identity::{Content, Head, Identity, Look};
use super::{FileLine, Told};
use crate::line::{Splitter, Taken};

/// Bytes that are read again to see whether they are still the same.
const ANCHOR: usize = 64;

/// Read from one file before the others get their turn.
const TURN_BYTES: u64 = 4 << 20;

/// A head shorter than this is taken anew when the file has grown: it tells too little. While no more
/// was read, what is read again begins with the file's first byte.
const SHORT_HEAD: u32 = ANCHOR as u32;

/// File systems stamp all that happens between two ticks of their clock alike.
const TICK: Duration = Duration::from_millis(20);

/// Before anything was written.
const NEVER_NS: i64 = i64::MIN;

/// What a turn has come to.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is more to read at once.
    More,
    /// The end, for now.
    AtEnd,
    /// The receiver has no room.
    NoRoom,
    /// What was read is not there any more: the file was emptied.
    Cut,
    /// It cannot be read.
    Failed(io::Error),
}

/// What a file is to the content that is read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It was written to it, and more may be.
    Original,
    /// A copy, made when it ended.
    Copy,
    /// A copy that was read to its end.
    ReadCopy,
}

/// A file's state when its end was reached.
#[derive(Debug, Clone, Copy)]
struct Seen {
    size: u64,
    modified_ns: i64,
    since: Instant,
    /// Whoever wrote to it since has changed one of them.
    is_sure: bool,
}

/// A file being read.
#[derive(Debug)]
pub(super) struct Reading {
    file: File,
    identity: Identity,
    content: Content,
    key: u64,
    /// As which the content was known while it was shorter.
    known_before: Option<(Content, u64)>,
    is_announced: bool,
    /// Where it goes on was told before.
    is_noted: bool,
    role: Role,
    /// While no byte of it was read, from its beginning on: when it had been written to last.
    unmet_since_ns: Option<i64>,
    /// What stood here before this content was written to last then, or earlier.
    follows_ns: i64,
    /// The number of the file among those that have left the place, once that was heard.
    left: Option<u64>,
    /// Read up to here.
    offset: u64,
    /// Up to here, lines are safe.
    accepted: u64,
    anchor: [u8; ANCHOR],
    anchored: usize,
    seen: Option<Seen>,
    splitter: Splitter,
    moved_at: Instant,
    /// What inotify calls it.
    pub(super) watch: Option<i32>,
}

impl Reading {
    /// Reads `file`, which is what `look` tells of, from `offset` on.
    pub(super) fn begin(file: File, look: &Look, offset: u64) -> Self {
        let head = Head::of(&file).unwrap_or_default();
        let content = Content {
            file: look.identity,
            head,
        };
        Self {
            is_noted: false,
            ..Self::go_on(file, look.identity, content, offset)
        }
    }

    /// Reads `file`, the lines of which are known as those of `content`, from `offset` on.
    pub(super) fn go_on(file: File, identity: Identity, content: Content, offset: u64) -> Self {
        Self {
            file,
            identity,
            content,
            key: next_key(),
            known_before: None,
            is_announced: false,
            is_noted: true,
            role: Role::Original,
            unmet_since_ns: (offset == 0).then_some(NEVER_NS),
            follows_ns: identity.born_ns,
            left: None,
            offset,
            accepted: offset,
            anchor: [0; ANCHOR],
            anchored: 0,
            seen: None,
            splitter: Splitter::default(),
            moved_at: Instant::now(),
            watch: None,
        }
    }

    /// What stood before this is read before it, or was read.
    pub(super) fn in_order(self) -> Self {
        Self {
            unmet_since_ns: None,
            ..self
        }
    }

    /// What is read is a copy that was made when its content ended: nobody writes to it.
    pub(super) fn of_copy(self) -> Self {
        Self {
            unmet_since_ns: None,
            role: Role::Copy,
            ..self
        }
    }

    /// The copy of what stood in `cut`, and was read no further: what stood before it is read before it.
    pub(super) fn of_copy_from(self, cut: &Self) -> Self {
        Self {
            unmet_since_ns: cut.unmet_since_ns.map(|_| NEVER_NS),
            follows_ns: cut.follows_ns,
            ..self.of_copy()
        }
    }

    /// Whether this is a copy, and was read to its end.
    pub(super) fn is_read_copy(&self) -> bool {
        self.role == Role::ReadCopy
    }

    /// It has left the place, as the file with this number.
    pub(super) fn leave(&mut self, number: u64) {
        self.left = Some(number);
    }

    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Whether any of it was read.
    pub(super) fn has_begun(&self) -> bool {
        self.offset > 0
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Whose lines these are, and up to where they are safe.
    pub(super) fn place(&self) -> (Content, u64) {
        (self.content, self.accepted)
    }

    /// As which the content was known until it had grown, told once.
    pub(super) fn take_known_before(&mut self) -> Option<(Content, u64)> {
        self.known_before.take()
    }

    /// When bytes were read last.
    pub(super) fn moved_at(&self) -> Instant {
        self.moved_at
    }

    /// When it was written to last, in nanoseconds since the Unix epoch.
    pub(super) fn modified_ns(&self) -> i64 {
        Look::through(&self.file).map_or(i64::MAX, |look| look.modified_ns)
    }

    /// What stood in this file before this content, and was copied, was written to last then or later.
    pub(super) fn follows_ns(&self) -> i64 {
        self.follows_ns
    }

    /// How many bytes, at least, are there that were not made safe; of a file that was cut, as of the
    /// last look.
    pub(super) fn unread(&self) -> u64 {
        let size = self.seen.map_or(self.offset, |seen| seen.size);
        let least = u64::from(self.content.head.bytes);
        size.max(self.offset).max(least) - self.accepted
    }

    /// Whether this is about to be read for the first time: there is something to read, or something
    /// was written and emptied again. Tells when it was written to last. Nothing if it is another content
    /// by now: reading will tell.
    ///
    /// Its head is taken now: what is looked for from here on was there before it, and if it is not what
    /// is read then, that is seen.
    pub(super) fn is_met_first(&mut self) -> Option<i64> {
        let since_ns = self.unmet_since_ns?;
        let look = Look::through(&self.file).ok()?;
        let head = Head::of(&self.file).ok()?;
        if !self.content.head.fits(&self.file) {
            return None;
        }
        let known = self.content.head.bytes;
        if known < SHORT_HEAD && head.bytes > known {
            self.content.head = head;
            self.key = next_key();
            self.is_announced = false;
        }
        let is_empty = self.content.head.bytes == 0;
        if is_empty && look.modified_ns == since_ns {
            self.follows_ns = self.follows_ns.max(since_ns);
            return None;
        }
        Some(look.modified_ns)
    }

    /// What stood before this was looked for, after it was written to last at this time. While there is
    /// nothing to read, more may have come and gone when it is looked at again.
    pub(super) fn meet(&mut self, modified_ns: i64) {
        let is_empty = self.content.head.bytes == 0;
        self.unmet_since_ns = is_empty.then_some(modified_ns);
    }

    /// Whether the file holds what was read of it, as far as its first and the last bytes tell.
    pub(super) fn is_intact(&self) -> bool {
        let from = self.offset - self.anchored as u64;
        let mut space = [0; ANCHOR];
        let last = &mut space[..self.anchored];
        self.content.head.fits(&self.file)
            && self.file.read_exact_at(last, from).is_ok()
            && self.anchor.starts_with(last)
    }

    /// Whether `other`, which begins like this, holds everything up to the place where lines are safe:
    /// it is a copy of what was there.
    pub(super) fn is_continued_by(&self, other: &File, size: u64) -> bool {
        if size < self.accepted || !ends_a_line(other, self.accepted) {
            return false;
        }
        let from = self.offset - self.anchored as u64;
        let mut space = [0; ANCHOR];
        let wanted = &mut space[..self.anchored];
        size < self.offset
            || other.read_exact_at(wanted, from).is_ok() && self.anchor.starts_with(wanted)
    }

    /// Reads what is new, a few megabytes at most.
    pub(super) fn read(
        &mut self,
        (source, path): (usize, &Path),
        buffer: &mut [u8],
        told: &mut dyn FnMut(Told<'_>) -> Taken,
    ) -> Progress {
        let look = match Look::through(&self.file) {
            Ok(look) => look,
            Err(error) => return Progress::Failed(error),
        };
        if self.unmet_since_ns.is_some() {
            return if self.content.head.fits(&self.file) {
                match self.announce(source, path, told) {
                    Taken::Yes => Progress::AtEnd,
                    Taken::NoRoom => Progress::NoRoom,
                }
            } else {
                Progress::Cut
            };
        }
        if look.size < self.offset.max(u64::from(self.content.head.bytes)) {
            return Progress::Cut;
        }
        if self.is_unchanged(&look) {
            return Progress::AtEnd;
        }
        if self.anchored == 0 && self.offset > 0 && !self.cast_anchor() {
            return Progress::Cut;
        }
        let turn_ends = self.offset + TURN_BYTES;
        while self.offset < turn_ends {
            let back = self.anchored;
            let from = self.offset - back as u64;
            let length = match self.file.read_at(buffer, from) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Nothing was consumed: the next look tries again.
                Err(error) => return Progress::Failed(error),
            };
            let is_same = buffer[..length].starts_with(&self.anchor[..back])
                && (from > 0 || self.begins_with(&buffer[..length]));
            if !is_same {
                return Progress::Cut;
            }
            if length == back && self.is_noted {
                // Where it goes on is no news while nothing comes.
                self.see(&look);
                return Progress::AtEnd;
            }
            if self.announce(source, path, told) == Taken::NoRoom {
                self.step_back();
                return Progress::NoRoom;
            }
            if length == back {
                self.see(&look);
                return Progress::AtEnd;
            }
            if self.offer(source, &buffer[back..length], told) == Taken::NoRoom {
                self.step_back();
                return Progress::NoRoom;
            }
            self.offset += (length - back) as u64;
            self.anchored = length.min(ANCHOR);
            self.anchor[..self.anchored].copy_from_slice(&buffer[length - self.anchored..length]);
            self.moved_at = Instant::now();
        }
        Progress::More
    }

    /// Tells whose lines come next, once.
    fn announce(
        &mut self,
        source: usize,
        path: &Path,
        told: &mut dyn FnMut(Told<'_>) -> Taken,
    ) -> Taken {
        if self.is_announced {
            return Taken::Yes;
        }
        let taken = told(Told::Begins {
            source,
            path,
            content: &self.content,
            key: self.key,
            offset: self.accepted,
            file: Some(&self.file),
        });
        self.is_announced = taken == Taken::Yes;
        taken
    }

    /// Whether this is the file that was looked at, and there is nothing in it to be read.
    pub(super) fn rests(&self, look: &Look) -> bool {
        self.unmet_since_ns.is_none() && self.identity() == look.identity && self.is_unchanged(look)
    }

    /// Whether nothing was written since the end was reached.
    fn is_unchanged(&self, look: &Look) -> bool {
        let is_alike = |seen: &Seen| (seen.size, seen.modified_ns) == (look.size, look.modified_ns);
        self.seen
            .as_ref()
            .filter(|seen| seen.is_sure)
            .is_some_and(is_alike)
    }

    /// The end was reached; `look` was taken before.
    fn see(&mut self, look: &Look) {
        let (size, modified_ns) = (look.size, look.modified_ns);
        let before = self.seen.as_ref();
        let before = before.filter(|seen| (seen.size, seen.modified_ns) == (size, modified_ns));
        let since = before.map_or_else(Instant::now, |seen| seen.since);
        self.seen = Some(Seen {
            size,
            modified_ns,
            since,
            is_sure: since.elapsed() > TICK,
        });
        self.follows_ns = self.follows_ns.max(modified_ns);
    }

    /// Looks at the bytes before the place where reading goes on; whether they are of this content.
    fn cast_anchor(&mut self) -> bool {
        let length = self.offset.min(ANCHOR as u64) as usize;
        let before = &mut self.anchor[..length];
        let from = self.offset - length as u64;
        let is_there = self.file.read_exact_at(before, from).is_ok();
        // Looked at last: whatever is written anew from here on is told by these bytes.
        let is_right = is_there && self.content.head.fits(&self.file);
        self.anchored = if is_right { length } else { 0 };
        is_right
    }

    fn offer(
        &mut self,
        source: usize,
        bytes: &[u8],
        told: &mut dyn FnMut(Told<'_>) -> Taken,
    ) -> Taken {
        let (base, content, key) = (self.offset, &self.content, self.key);
        let accepted = &mut self.accepted;
        self.splitter.offer(bytes, |line, end| {
            let end = base + end as u64;
            let line = FileLine {
                source,
                content,
                key,
                end,
                line,
            };
            let taken = told(Told::Line(line));
            if taken == Taken::Yes {
                *accepted = end;
            }
            taken
        })
    }

    /// Whether these first bytes of the file are of this content. Then a short head grows by them.
    fn begins_with(&mut self, bytes: &[u8]) -> bool {
        let head = self.content.head;
        let known = head.bytes as usize;
        if bytes.len() < known || Head::of_bytes(&bytes[..known]) != head {
            return false;
        }
        if head.bytes < SHORT_HEAD && bytes.len() > known {
            self.known_before = Some(self.place()).filter(|(_, accepted)| *accepted > 0);
            self.content.head = Head::of_bytes(bytes);
            self.key = next_key();
            self.is_announced = false;
        }
        true
    }

    /// Goes back to behind the last line that is safe.
    fn step_back(&mut self) {
        self.splitter.clear();
        self.offset = self.accepted;
        self.anchored = 0;
        self.seen = None;
    }

    /// Hands out a line without an end.
    pub(super) fn finish_line(
        &mut self,
        source: usize,
        told: &mut dyn FnMut(Told<'_>) -> Taken,
    ) -> Taken {
        let (content, key, end) = (&self.content, self.key, self.offset);
        let taken = self.splitter.offer_last(|line| {
            told(Told::Line(FileLine {
                source,
                content,
                key,
                end,
                line,
            }))
        });
        if taken == Taken::Yes {
            self.accepted = self.offset;
        }
        taken
    }

    /// The file was emptied: what it holds now is another content, to be read from its beginning.
    pub(super) fn begin_anew(&mut self) {
        self.splitter.clear();
        self.content = Content {
            file: self.identity,
            head: Head::of(&self.file).unwrap_or_default(),
        };
        self.key = next_key();
        self.is_announced = false;
        self.is_noted = false;
        self.role = Role::Original;
        self.unmet_since_ns = Some(NEVER_NS);
        (self.offset, self.accepted, self.anchored) = (0, 0, 0);
        self.seen = None;
    }

    /// A copy that was read to its end: nothing will come any more. A line that its writer had not
    /// finished goes on in no file.
    pub(super) fn finish_copy(
        &mut self,
        source: usize,
        told: &mut dyn FnMut(Told<'_>) -> Taken,
    ) -> Taken {
        if self.role != Role::Copy {
            return Taken::Yes;
        }
        let taken = self.finish_line(source, told);
        if taken == Taken::Yes {
            self.role = Role::ReadCopy;
        }
        taken
    }
}

/// Whether a line ends right before `offset` in this file.
pub(super) fn ends_a_line(file: &File, offset: u64) -> bool {
    let mut last = [0];
    let Some(before) = offset.checked_sub(1) else {
        return true;
    };
    file.read_exact_at(&mut last, before).is_ok() && last[0] == b'\n'
}

/// Distinguishes contents for whoever notes something about each of them.
fn next_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
