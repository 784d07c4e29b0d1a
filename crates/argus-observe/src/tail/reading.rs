//! One file being read, from where reading began to its end.
//!
//! Reading never trusts that a file only grows. The last bytes that were read are read once more with the
//! next ones: if they are others now, the file was emptied and written anew in between, however large it
//! has become since.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::identity::{Content, Head, Identity, Look};
use super::{FileLine, Told};
use crate::line::{Splitter, Taken};

/// Bytes that are read again to see whether they are still the same.
const ANCHOR: usize = 64;

/// Read from one file before the others get their turn.
const TURN_BYTES: u64 = 4 << 20;

/// A head shorter than this is taken anew when the file has grown: it tells too little.
const SHORT_HEAD: u32 = 64;

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
    /// While no byte of it was read, from its beginning on: when it had been written to last.
    unmet_since_ns: Option<i64>,
    /// Read up to here.
    offset: u64,
    /// Up to here, lines are safe.
    accepted: u64,
    anchor: [u8; ANCHOR],
    anchored: usize,
    /// Size and time of modification when its end was reached.
    seen: Option<(u64, i64)>,
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
        Self::go_on(file, look.identity, content, offset)
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
            unmet_since_ns: (offset == 0).then_some(NEVER_NS),
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

    /// How many bytes, at least, are there that were not made safe; of a file that was cut, as of the
    /// last look.
    pub(super) fn unread(&self) -> u64 {
        let size = self.seen.map_or(self.offset, |(size, _)| size);
        size.max(self.offset) - self.accepted
    }

    /// Whether this is about to be read for the first time: there is something to read, or something
    /// was written and emptied again.
    pub(super) fn is_met_first(&mut self) -> bool {
        let Some(since_ns) = self.unmet_since_ns else {
            return false;
        };
        let Ok(look) = Look::through(&self.file) else {
            return false;
        };
        if !self.content.head.fits(&self.file) {
            // Another content by now, and nothing was read of the one before.
            self.begin_anew();
        }
        if look.size > 0 {
            self.unmet_since_ns = None;
            self.lengthen_head(look.size);
            return true;
        }
        self.unmet_since_ns = Some(look.modified_ns);
        look.modified_ns != since_ns
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

    /// Whether `other` holds what this file holds, as far as both go.
    pub(super) fn has_copy_in(&self, other: &File, size: u64) -> bool {
        let head = &self.content.head;
        if !head.may_be_copied_to(other, self.accepted) {
            return false;
        }
        let until = size.min(self.offset);
        let from = until.saturating_sub(ANCHOR as u64);
        let (mut ours, mut theirs) = ([0; ANCHOR], [0; ANCHOR]);
        let length = (until - from) as usize;
        let ours_read = self.file.read_exact_at(&mut ours[..length], from);
        let theirs_read = other.read_exact_at(&mut theirs[..length], from);
        // What was emptied meanwhile cannot be compared, and its head was the same.
        ours_read.is_err() || theirs_read.is_ok() && ours == theirs
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
        if self.content.head.bytes < SHORT_HEAD {
            self.lengthen_head(look.size);
        }
        if !self.is_announced {
            let begins = Told::Begins {
                source,
                path,
                content: &self.content,
                key: self.key,
                offset: self.accepted,
                file: &self.file,
            };
            if told(begins) == Taken::NoRoom {
                return Progress::NoRoom;
            }
            self.is_announced = true;
        }
        let state = (look.size, look.modified_ns);
        if self.seen == Some(state) {
            return Progress::AtEnd;
        }
        let head = &self.content.head;
        // It may have grown between the look and the taking of its head.
        let is_shorter = look.size < u64::from(head.bytes) && !head.fits(&self.file);
        if look.size < self.offset || is_shorter {
            return Progress::Cut;
        }
        if self.anchored == 0 && self.offset > 0 && !self.cast_anchor() {
            return Progress::Cut;
        }
        let turn_ends = self.offset + TURN_BYTES;
        // Where the head tells little, only as much is read as was there when it was taken: lines must not be
        // noted in a content that could be any.
        let known = match self.content.head.bytes {
            bytes @ 0..SHORT_HEAD => look.size.max(bytes.into()),
            _ => u64::MAX,
        };
        while self.offset < turn_ends {
            let back = self.anchored;
            let most = (known - self.offset).saturating_add(back as u64);
            let most = usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
            let from = self.offset - back as u64;
            let length = match self.file.read_at(&mut buffer[..most], from) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Nothing was consumed: the next look tries again.
                Err(error) => return Progress::Failed(error),
            };
            let is_same = match self.offset {
                // Nothing was read that could have changed: it may be another content by now.
                0 => self.content.head.fits_bytes(&buffer[..length]),
                _ => buffer[..length].starts_with(&self.anchor[..back]),
            };
            if !is_same {
                return Progress::Cut;
            }
            if length == back {
                self.seen = Some(state);
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

    /// The same content under a longer head, unless something else stands there now.
    fn lengthen_head(&mut self, size: u64) {
        let is_own = self.content.file == self.identity;
        if !is_own || size <= u64::from(self.content.head.bytes) || size < self.offset {
            return;
        }
        let head = Head::of(&self.file).unwrap_or_default();
        if head.bytes > self.content.head.bytes && self.content.head.fits(&self.file) {
            self.known_before = Some(self.place());
            self.content.head = head;
            self.key = next_key();
            self.is_announced = false;
        }
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
        self.unmet_since_ns = Some(NEVER_NS);
        (self.offset, self.accepted, self.anchored) = (0, 0, 0);
        self.seen = None;
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
