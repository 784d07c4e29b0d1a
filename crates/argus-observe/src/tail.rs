//! Follows log files: every line that is appended, within milliseconds, across rotation.
//!
//! What is followed is a path, or a pattern of paths ([`is_pattern`]). What is read are files, and a file
//! is known by what it is ([`Identity`]) and how it begins ([`Head`]), not by its name:
//!
//! - *Renamed and made anew*: the new file is read from its beginning, the old one to its end and on, for
//!   its writer may not have noticed. Files that came and were moved on between two looks are found
//!   by the names that inotify told.
//! - *Copied and emptied* (`copytruncate`): what was not read before is read from the copy.
//! - *Emptied and written anew*, however large it has become: the last bytes read are compared with what
//!   stands there now. Where no copy is found, that is a [`Gap`].
//! - *Removed, made again, a symbolic link turned, a file that appears later*: read from its beginning.
//!
//! Compressed files hold no lines and are left alone. Lines are those of [`crate::line`]: complete ones
//! only, of any file in constant memory.
//!
//! Every line comes with its [`Content`] and the offset behind it. Whoever keeps them can go on exactly
//! there ([`StartAt::Resume`]), whatever has become of the files in between.
//!
//! A receiver that has no room refuses a line ([`Taken::NoRoom`]); reading stops before it and goes on
//! later. Files that leave their path meanwhile stay open, so nothing is lost by waiting.
//!
//! inotify says when to look: on the files for what is written, on their folders for what comes and
//! goes. A look every [`SAFETY_LOOK`] covers what it does not tell (network file systems, exhausted
//! watches); it costs a system call for each path.
//!
//! What can be lost:
//!
//! - A file that is moved to another folder, or removed or compressed, between two looks; the target of a
//!   link that is turned twice between them. inotify tells that something came, and that is a [`Gap`].
//! - What was written between the copy and the emptying of a file: only its writer knows of it.
//! - A file that was emptied and holds, when it is looked at, all that was read of it before and more: a
//!   run that begins with the same banner, lines that are all the same. From outside it is a file that
//!   has grown. It takes bytes of its own to tell a content, the first 256 and the last 64 that were read.
//! - Where nobody looked, only the first of them are known: of contents that begin alike, the one that was
//!   copied first is taken for the one that was being read.
//!
//! A line that was not finished when its file was copied and emptied is told as two: its writer goes on
//! in the emptied file.

mod followed;
mod identity;
mod notices;
mod pattern;
mod place;
mod reading;
mod resume;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::exit::timespec;
use crate::line::{Line, Taken};
use followed::Followed;
pub use identity::{Content, Head, Identity};
use notices::Notices;
use pattern::Pattern;
pub use pattern::is_pattern;

/// How often the files are looked at although nothing was heard of them.
pub const SAFETY_LOOK: Duration = Duration::from_millis(500);

/// Read at once, and the memory a follower needs however many files it follows.
const BUFFER_BYTES: usize = 256 * 1024;

/// How long the last call may take: one writer that never pauses must not keep us for ever.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Where reading begins in a file that is there from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartAt {
    /// Behind what it holds: only new lines.
    #[default]
    End,
    /// At its first byte.
    Beginning,
    /// Where reading stopped the last time; at the end of what was never read.
    Resume,
}

/// Up to where the lines of a content are safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Whose lines.
    pub content: Content,
    /// The number of bytes.
    pub offset: u64,
    /// When this was noted, in nanoseconds since the Unix epoch.
    pub noted_ns: i64,
}

/// Recalls the positions that were noted for a path, the newest first.
pub type Memory = Box<dyn FnMut(&Path) -> Vec<Position> + Send>;

/// What a follower has to tell.
#[derive(Debug)]
pub enum Told<'a> {
    /// A content is read from here on: its position, before there is a line.
    Begins {
        /// The index of its path, see [`Follower::path`].
        source: usize,
        /// The path.
        path: &'a Path,
        /// What is read.
        content: &'a Content,
        /// As [`FileLine::key`].
        key: u64,
        /// Reading begins behind so many bytes.
        offset: u64,
        /// The file, for whoever wants to know what stands before; none for what is no file.
        file: Option<&'a File>,
    },
    /// A line.
    Line(FileLine<'a>),
    /// Lines cannot be had.
    Gap {
        /// The path.
        path: &'a Path,
        /// Which, and why.
        gap: Gap,
    },
    /// Something keeps a path from being followed, or a file from being read. Whether it is taken does
    /// not matter.
    Warning(TailWarning),
}

/// A line of a file.
#[derive(Debug)]
pub struct FileLine<'a> {
    /// The index of its path, see [`Follower::path`].
    pub source: usize,
    /// In what it stood.
    pub content: &'a Content,
    /// The same for all lines of a content, and for no other content of this process.
    pub key: u64,
    /// The offset behind the line.
    pub end: u64,
    /// The line.
    pub line: Line<'a>,
}

/// Lines that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The index of the path, see [`Follower::path`].
    pub source: usize,
    /// In what they stood, where that is known.
    pub content: Option<Content>,
    /// From where on.
    pub from: u64,
    /// How many bytes at least; `None` when that is not known, and may be none.
    pub bytes: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

/// Why lines cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The file was emptied, and there is no copy of what it held.
    Emptied,
    /// The file that was read last is nowhere to be found.
    Vanished,
    /// So many files came and were removed before they could be opened.
    Removed(u64),
}

impl GapReason {
    /// The word stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Emptied => "emptied",
            Self::Vanished => "vanished",
            Self::Removed(_) => "removed",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from;
        match (self.reason, self.bytes) {
            (GapReason::Emptied, Some(bytes)) => {
                write!(f, "emptied, with {bytes} bytes from {from} on unread")
            }
            (GapReason::Emptied, None) => {
                write!(f, "emptied; what was last written before is not known")
            }
            (GapReason::Vanished, _) => write!(
                f,
                "the file read last is gone; what stood in it behind byte {from} is not known"
            ),
            (GapReason::Removed(1), _) => {
                f.write_str("a file came and was removed before it could be read")
            }
            (GapReason::Removed(files), _) => write!(
                f,
                "{files} files came and were removed before they could be read"
            ),
        }
    }
}

/// A file that cannot be followed now. It will be as soon as that changes, if it can
/// ([`TailWarning::may_pass`]).
#[derive(Debug, thiserror::Error)]
pub enum TailWarning {
    /// There is no such file now.
    #[error("log file not found: {0}")]
    Missing(PathBuf),
    /// It may not be read.
    #[error("log file may not be read: {0}")]
    NotPermitted(PathBuf),
    /// It is a folder, a pipe, or a device.
    #[error("not a regular file: {0}")]
    NotAFile(PathBuf),
    /// The operating system refused.
    #[error("log file cannot be opened: {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its error.
        source: io::Error,
    },
    /// It was opened, and reading fails.
    #[error("log file cannot be read: {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of reading.
        source: io::Error,
    },
    /// The pattern is none.
    #[error("not a pattern of files: {pattern}: {why}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl TailWarning {
    /// Whether it may change by itself.
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::BadPattern { .. })
    }

    fn of(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            ErrorKind::NotFound => Self::Missing(path),
            ErrorKind::PermissionDenied => Self::NotPermitted(path),
            _ => Self::Io {
                path,
                source: error,
            },
        }
    }
}

/// Who reads which file: what a path has read already is not read again for another.
#[derive(Debug, Default)]
struct Registry(HashMap<Identity, usize>);

impl Registry {
    fn claim(&mut self, identity: Identity, source: usize) {
        self.0.entry(identity).or_insert(source);
    }

    fn release(&mut self, identity: Identity, source: usize) {
        if self.0.get(&identity) == Some(&source) {
            self.0.remove(&identity);
        }
    }

    fn is_anothers(&self, identity: Identity, source: usize) -> bool {
        self.0.get(&identity).is_some_and(|owner| *owner != source)
    }
}

/// What a file that a pattern matches is, if no position in it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// It has come while its pattern was watched; a copy of what is followed already is no file of its
    /// own.
    IsNew,
    /// It has come since, if it is younger than what is remembered; else it was there before anybody looked.
    IsNewIfYoung,
}

/// Follows any number of log files.
pub struct Follower {
    files: Vec<Followed>,
    patterns: Vec<Pattern>,
    start: StartAt,
    memory: Memory,
    registry: Registry,
    notices: Notices,
    /// Told with the next read.
    gaps: Vec<Gap>,
    next_look: Instant,
    must_expand: bool,
    more: bool,
    buffer: Vec<u8>,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("files", &self.files)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// Begins to follow `paths`, patterns among them; says which of them cannot be read yet.
    pub fn open(paths: &[PathBuf], start: StartAt) -> (Self, Vec<TailWarning>) {
        Self::open_with(paths, start, Box::new(|_| Vec::new()))
    }

    /// [`Follower::open`] with a memory of where reading stopped, asked when [`StartAt::Resume`] is.
    pub fn open_with(
        paths: &[PathBuf],
        start: StartAt,
        memory: Memory,
    ) -> (Self, Vec<TailWarning>) {
        let mut follower = Self {
            files: Vec::new(),
            patterns: Vec::new(),
            start,
            memory,
            registry: Registry::default(),
            notices: Notices::open(),
            gaps: Vec::new(),
            next_look: Instant::now() + SAFETY_LOOK,
            must_expand: false,
            more: true,
            buffer: vec![0; BUFFER_BYTES],
        };
        let mut warnings = Vec::new();
        for path in paths {
            if !is_pattern(path) {
                warnings.extend(follower.follow(path, start));
                continue;
            }
            match Pattern::new(path) {
                Ok(pattern) => follower.patterns.push(pattern),
                Err(warning) => warnings.push(warning),
            }
        }
        warnings.extend(follower.expand(start, Unread::IsNewIfYoung));
        follower.hear();
        let files = follower.files.iter_mut();
        files.for_each(Followed::begin_to_count);
        (follower, warnings)
    }

    fn follow(&mut self, path: &Path, start: StartAt) -> Option<TailWarning> {
        let positions = self.recall(path, start);
        self.follow_from(path, start, &positions)
    }

    fn recall(&mut self, path: &Path, start: StartAt) -> Vec<Position> {
        match start {
            StartAt::Resume => (self.memory)(path),
            StartAt::End | StartAt::Beginning => Vec::new(),
        }
    }

    fn follow_from(
        &mut self,
        path: &Path,
        start: StartAt,
        positions: &[Position],
    ) -> Option<TailWarning> {
        let source = self.files.len();
        let (file, warning, gaps) = Followed::open(
            path,
            source,
            start,
            positions,
            &mut self.notices,
            &mut self.registry,
        );
        self.files.push(file);
        self.gaps.extend(gaps);
        warning
    }

    /// Follows what the patterns match and is not followed yet; from where on, if it was never read.
    fn expand(&mut self, start: StartAt, unread: Unread) -> Vec<TailWarning> {
        let mut warnings = Vec::new();
        for index in 0..self.patterns.len() {
            self.patterns[index].watch(&mut self.notices, index);
            let mut found = Vec::new();
            for matched in self.patterns[index].matches() {
                let mut files = self.files.iter();
                let is_followed = files.any(|file| file.path == matched.path)
                    || self.registry.0.contains_key(&matched.look.identity);
                let is_copy = |file: &Followed| file.is_copied_to(&matched.path);
                let is_copied = unread == Unread::IsNew && self.files.iter().any(is_copy);
                if !is_followed && !is_copied {
                    let positions = self.recall(&matched.path, start);
                    found.push((matched, positions));
                }
            }
            // Whoever was read before knows the files that it was rotated to, unless they are read under
            // their own names, which are longer.
            found.sort_by_key(|(matched, positions)| {
                (
                    positions.is_empty(),
                    Reverse(matched.path.as_os_str().len()),
                )
            });
            let known: Vec<Position> = found.iter().flat_map(|(_, it)| it).copied().collect();
            for (matched, positions) in found {
                if self.registry.0.contains_key(&matched.look.identity) {
                    continue;
                }
                let start = match (start, unread) {
                    (StartAt::Resume, Unread::IsNew) if positions.is_empty() => StartAt::Beginning,
                    (StartAt::Resume, Unread::IsNewIfYoung)
                        if positions.is_empty() && resume::is_new(&matched.look, &known) =>
                    {
                        StartAt::Beginning
                    }
                    (start, _) => start,
                };
                warnings.extend(self.follow_from(&matched.path, start, &positions));
            }
        }
        warnings
    }

    /// The followed path with this index. Patterns add paths at the end.
    pub fn path(&self, source: usize) -> Option<&Path> {
        self.files.get(source).map(|file| file.path.as_path())
    }

    /// How many paths are followed.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no path is followed, and none will be.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.patterns.is_empty()
    }

    /// Waits until there may be something to read, at most `timeout`, or until `wake` is readable.
    ///
    /// # Errors
    /// When the system call for waiting fails.
    pub fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>) -> io::Result<()> {
        if self.more || !self.gaps.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        let pauses = self.files.iter().filter_map(Followed::paused_until);
        let due = pauses.chain([self.next_look]).min();
        let until_due = due.map_or(timeout, |due| due.saturating_duration_since(now));
        let longest = timespec(timeout.min(until_due));
        let notify = self.notices.descriptor();
        let notify = notify
            .as_ref()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        let wake = wake
            .as_ref()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        let mut polled: Vec<_> = notify.into_iter().chain(wake).collect();
        match rustix::event::poll(&mut polled, longest.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells every line that is complete by now, and whatever else there is to tell. Returns after a
    /// few megabytes of each file, so that its caller can do other things as well.
    pub fn read(&mut self, mut told: impl FnMut(Told<'_>) -> Taken) {
        self.hear();
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + SAFETY_LOOK;
            let is_told = self.notices.is_complete();
            for file in &mut self.files {
                file.look_regularly(is_told);
            }
            self.must_expand |= !self.patterns.is_empty();
        }
        if std::mem::take(&mut self.must_expand) {
            let start = match self.start {
                StartAt::Resume => StartAt::Resume,
                StartAt::End | StartAt::Beginning => StartAt::Beginning,
            };
            // What a pattern has found and cannot be read will be looked at like any other path.
            self.expand(start, Unread::IsNew);
        }
        let files = &self.files;
        self.gaps.retain(|gap| {
            let path = files[gap.source].path.as_path();
            told(Told::Gap { path, gap: *gap }) == Taken::NoRoom
        });
        self.look_at_paths(&mut told);
        self.more = false;
        for file in &mut self.files {
            if file.needs.read && !file.rests(now) {
                let (notices, registry) = (&mut self.notices, &mut self.registry);
                let more = file.read(notices, registry, &mut self.buffer, &mut told);
                file.needs.read |= more;
                self.more |= more;
            }
        }
    }

    /// Reads what is there, and tells unfinished lines as well: the last call. What finds no room then
    /// is not told; its position says so.
    pub fn finish(mut self, mut told: impl FnMut(Told<'_>) -> Taken) {
        for file in &mut self.files {
            file.needs = followed::Needs {
                read: true,
                look: true,
                search: false,
            };
        }
        let deadline = Instant::now() + LAST_LOOK;
        self.read(&mut told);
        while self.more && Instant::now() < deadline {
            self.read(&mut told);
        }
        for file in &mut self.files {
            file.finish(&mut told);
        }
    }

    /// Looks at the paths of which something was heard, until nothing more is heard: what left a path
    /// before it was looked at is known before its successor is read.
    fn look_at_paths(&mut self, told: followed::Tell<'_>) {
        for _ in 0..followed::MOST_LOOKS {
            let mut spotted = Vec::new();
            for (index, file) in self.files.iter_mut().enumerate() {
                if std::mem::take(&mut file.needs.look) {
                    spotted.push((index, file.spot_strangers()));
                }
            }
            if spotted.is_empty() {
                return;
            }
            self.hear();
            for (index, strangers) in &spotted {
                let file = &mut self.files[*index];
                let (notices, registry) = (&mut self.notices, &mut self.registry);
                file.adopt_strangers(strangers, notices, registry);
                file.look_at_path(notices, registry, told);
            }
            self.hear();
            for (index, _) in spotted {
                let file = &mut self.files[index];
                if !file.needs.look {
                    self.gaps.extend(file.take_unmet());
                }
            }
        }
    }

    /// Takes in what inotify has to tell.
    fn hear(&mut self) {
        let (files, must_expand) = (&mut self.files, &mut self.must_expand);
        self.notices
            .hear(files.len(), |source, notice| match files.get_mut(source) {
                Some(file) => file.hear(notice),
                None => *must_expand = true,
            });
    }
}
