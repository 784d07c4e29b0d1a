//! Follows log files: every line that is appended, within milliseconds, across rotation.
//!
//! A file is followed by its path. Reading begins at its end (or its beginning, if asked); a file
//! that appears later is read from its beginning. When another file takes the path, the new one is
//! read from its beginning, and the old one for some seconds more, since its writer may not have
//! noticed yet. A file that has become shorter is read from its beginning again. Lines are those of
//! [`crate::line`]: complete ones only, of any file in constant memory.
//!
//! inotify says when to look: on the files for what is written, on their folders for what comes and
//! goes. A look every [`SAFETY_LOOK`] covers what it does not tell (network file systems, a symbolic
//! link that is turned, exhausted watches).
//!
//! A file that cannot be followed is a [`TailWarning`]; it is followed as soon as it can be. Known
//! limit: a file cut and refilled beyond its old length between two looks is not seen as cut.

mod file;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::exit::timespec;
use crate::line::Line;
use file::{Followed, More};

/// How often the files are looked at although nothing was heard of them.
pub const SAFETY_LOOK: Duration = Duration::from_millis(500);

/// Read at once, and the memory a follower needs however many files it follows.
const BUFFER_BYTES: usize = 64 * 1024;

/// Where reading begins in a file that is there from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartAt {
    /// Behind what it holds: only new lines.
    #[default]
    End,
    /// At its first byte.
    Beginning,
}

/// A file that cannot be followed now. It will be as soon as that changes.
#[derive(Debug, thiserror::Error)]
pub enum TailWarning {
    /// There is no such file yet.
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
}

/// Follows any number of log files.
#[derive(Debug)]
pub struct Follower {
    files: Vec<Followed>,
    notify: Option<OwnedFd>,
    next_look: Instant,
    look: Look,
    more: More,
    buffer: Vec<u8>,
}

/// How closely the files are looked at next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// For new bytes.
    Contents,
    /// Also for other files that have taken their paths.
    Paths,
}

impl Follower {
    /// Begins to follow `paths`; says which of them cannot be read yet.
    pub fn open(paths: &[PathBuf], start: StartAt) -> (Self, Vec<TailWarning>) {
        let notify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let mut warnings = Vec::new();
        let mut files = Vec::new();
        for path in paths {
            watch_folder(notify.as_ref(), path);
            let (file, warning) = Followed::open(path, start, notify.as_ref());
            files.push(file);
            warnings.extend(warning);
        }
        let follower = Self {
            files,
            notify,
            next_look: Instant::now() + SAFETY_LOOK,
            look: Look::Paths,
            more: More::No,
            buffer: vec![0; BUFFER_BYTES],
        };
        (follower, warnings)
    }

    /// Waits until there may be something to read, at most `timeout`, or until `wake` is readable.
    ///
    /// # Errors
    /// When the system call for waiting fails.
    pub fn wait(&mut self, timeout: Duration, wake: Option<BorrowedFd<'_>>) -> io::Result<()> {
        if self.more == More::Yes {
            return Ok(());
        }
        let until_look = self.next_look.saturating_duration_since(Instant::now());
        let longest = timespec(timeout.min(until_look));
        let notify = self.notify.as_ref();
        let notify = notify.map(|fd| PollFd::new(fd, PollFlags::IN));
        let wake = wake
            .as_ref()
            .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        let mut polled: Vec<_> = notify.into_iter().chain(wake).collect();
        match rustix::event::poll(&mut polled, longest.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands every line that is complete by now to `each`, with the index of its path. Returns
    /// after a few megabytes, so that its caller can do other things as well.
    pub fn read(&mut self, mut each: impl FnMut(usize, Line<'_>)) {
        self.hear();
        if Instant::now() >= self.next_look {
            self.look = Look::Paths;
            self.next_look = Instant::now() + SAFETY_LOOK;
        }
        let look = std::mem::replace(&mut self.look, Look::Contents);
        self.more = More::No;
        for (index, file) in self.files.iter_mut().enumerate() {
            if look == Look::Paths {
                watch_folder(self.notify.as_ref(), file.path());
                file.look_at_path(self.notify.as_ref());
            }
            let more = file.read(self.notify.as_ref(), &mut self.buffer, &mut |line| {
                each(index, line);
            });
            if more == More::Yes {
                self.more = More::Yes;
            }
        }
    }

    /// Reads what is there, and hands out unfinished lines as well: the last call.
    pub fn finish(mut self, mut each: impl FnMut(usize, Line<'_>)) {
        self.look = Look::Paths;
        self.read(&mut each);
        // One writer that never pauses must not keep us for ever.
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.more == More::Yes && Instant::now() < deadline {
            self.read(&mut each);
        }
        for (index, file) in self.files.iter_mut().enumerate() {
            file.finish(&mut |line| each(index, line));
        }
    }

    /// Takes in what inotify has to tell.
    fn hear(&mut self) {
        let Some(notify) = &self.notify else { return };
        let mut space = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(notify, &mut space);
        while let Ok(event) = reader.next() {
            if event.events() != ReadFlags::MODIFY {
                self.look = Look::Paths;
            }
        }
    }
}

/// Asks to be told of files that come and go in the folder of `path`. Asking again changes nothing.
fn watch_folder(notify: Option<&OwnedFd>, path: &Path) {
    let Some(notify) = notify else { return };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let flags = WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::ONLYDIR;
    // A folder that is not there, or one watch too many: the safety look goes on without.
    let _ = inotify::add_watch(notify, folder, flags);
}
