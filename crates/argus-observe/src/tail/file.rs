//! One followed path: the file that stands there now, and those that stood there before.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, WatchFlags};

use super::{StartAt, TailWarning};
use crate::line::{Line, Splitter};

/// How long a file is still read after another has taken its path.
const RETIREMENT: Duration = Duration::from_secs(5);

/// Read from one file before the others get their turn.
const TURN_BYTES: u64 = 4 << 20;

/// Whether there is more to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
}

/// A path and what stands, or stood, there.
#[derive(Debug)]
pub(super) struct Followed {
    path: PathBuf,
    current: Option<Open>,
    retiring: Vec<(Open, Instant)>,
    /// How much of a file that was there at the start, but could not be opened, is old.
    old: Option<(Identity, u64)>,
}

/// What makes a file this file, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A file being read.
#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
    offset: u64,
    watch: Option<i32>,
    splitter: Splitter,
}

impl Followed {
    pub(super) fn open(
        path: &Path,
        start: StartAt,
        notify: Option<&OwnedFd>,
    ) -> (Self, Option<TailWarning>) {
        let mut followed = Self {
            path: path.to_owned(),
            current: None,
            retiring: Vec::new(),
            old: None,
        };
        match open_regular(path) {
            Ok((file, metadata)) => {
                let offset = match start {
                    StartAt::End => metadata.len(),
                    StartAt::Beginning => 0,
                };
                followed.current = Some(Open::new(file, Identity::of(&metadata), offset, notify));
                (followed, None)
            }
            Err(warning) => {
                if let (Ok(metadata), StartAt::End) = (std::fs::metadata(path), start) {
                    followed.old = Some((Identity::of(&metadata), metadata.len()));
                }
                (followed, Some(warning))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notices when another file has taken the path.
    pub(super) fn look_at_path(&mut self, notify: Option<&OwnedFd>) {
        let Ok(metadata) = std::fs::metadata(&self.path) else {
            return; // Moved away, with no successor yet: its writer may still write to it.
        };
        let identity = Identity::of(&metadata);
        if self
            .current
            .as_ref()
            .is_some_and(|open| open.identity == identity)
        {
            return;
        }
        let Ok((file, metadata)) = open_regular(&self.path) else {
            return; // As the start has warned, or gone again in between; looked at again soon.
        };
        let identity = Identity::of(&metadata);
        let known = self
            .retiring
            .iter()
            .position(|(open, _)| open.identity == identity);
        let successor = match known {
            // It stood here before and has come back: read on where we were.
            Some(index) => self.retiring.swap_remove(index).0,
            None => {
                let offset = match self.old.take() {
                    Some((old, length)) if old == identity && length <= metadata.len() => length,
                    _ => 0,
                };
                Open::new(file, identity, offset, notify)
            }
        };
        if let Some(open) = self.current.replace(successor) {
            self.retiring.push((open, Instant::now() + RETIREMENT));
        }
    }

    /// Reads what is new, the older files first.
    pub(super) fn read(
        &mut self,
        notify: Option<&OwnedFd>,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Line<'_>),
    ) -> More {
        let mut more = More::No;
        let now = Instant::now();
        self.retiring.retain_mut(|(open, until)| {
            let unread = open.read(buffer, each);
            if unread == More::Yes {
                more = More::Yes;
            }
            let stays = unread == More::Yes || now < *until;
            if !stays {
                open.splitter.finish(&mut *each);
                open.unwatch(notify);
            }
            stays
        });
        if let Some(open) = &mut self.current
            && open.read(buffer, each) == More::Yes
        {
            more = More::Yes;
        }
        more
    }

    pub(super) fn finish(&mut self, each: &mut dyn FnMut(Line<'_>)) {
        let retiring = self.retiring.iter_mut().map(|(open, _)| open);
        for open in retiring.chain(&mut self.current) {
            open.splitter.finish(&mut *each);
        }
    }
}

impl Open {
    fn new(file: File, identity: Identity, offset: u64, notify: Option<&OwnedFd>) -> Self {
        // By descriptor, so that it is this file that is watched, whatever the path names by now.
        let watch = notify.and_then(|notify| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            inotify::add_watch(notify, path, WatchFlags::MODIFY).ok()
        });
        Self {
            file,
            identity,
            offset,
            watch,
            splitter: Splitter::default(),
        }
    }

    fn unwatch(&mut self, notify: Option<&OwnedFd>) {
        if let (Some(notify), Some(watch)) = (notify, self.watch.take()) {
            // The kernel has removed it by itself if the file is gone.
            let _ = inotify::remove_watch(notify, watch);
        }
    }

    fn read(&mut self, buffer: &mut [u8], each: &mut dyn FnMut(Line<'_>)) -> More {
        let length = self.file.metadata().map_or(self.offset, |file| file.len());
        if length < self.offset {
            self.splitter.finish(&mut *each);
            self.offset = 0;
        }
        let turn_ends = self.offset + TURN_BYTES;
        while self.offset < turn_ends {
            match self.file.read_at(buffer, self.offset) {
                Ok(0) => return More::No,
                Ok(count) => {
                    self.offset += count as u64;
                    self.splitter.push(&buffer[..count], &mut *each);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing was consumed: the next look tries again.
                Err(_) => return More::No,
            }
        }
        More::Yes
    }
}

/// Opens without waiting for the other end of a pipe, and without becoming a terminal's owner.
fn open_regular(path: &Path) -> Result<(File, std::fs::Metadata), TailWarning> {
    let refused = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => TailWarning::Missing(path.to_owned()),
        ErrorKind::PermissionDenied => TailWarning::NotPermitted(path.to_owned()),
        _ => TailWarning::Io {
            path: path.to_owned(),
            source: error,
        },
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(refused)?;
    let metadata = file.metadata().map_err(refused)?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(TailWarning::NotAFile(path.to_owned()))
    }
}
