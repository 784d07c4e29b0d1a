//! What inotify tells: which file was written to, and what came and went in which folder.
//!
//! Where a watch cannot be had (a network file system, exhausted watches) or notices were lost, looks at
//! regular intervals do the same, more slowly; [`Notices::is_complete`] tells.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::reading::Reading;

/// Something that concerns a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice<'a> {
    /// A file of it was written to, or changed otherwise.
    Written,
    /// Something of this name came or went in a folder of its.
    Moved {
        name: &'a OsStr,
        what: ReadFlags,
        cookie: u32,
    },
    /// Notices were lost: anything may have happened.
    Lost,
    /// A folder of it was removed or moved: from there nothing is told any more.
    Deaf,
}

/// What watches, and for whom.
#[derive(Debug)]
pub(super) struct Notices {
    inotify: Option<OwnedFd>,
    folders: HashMap<i32, Vec<usize>>,
    files: HashMap<i32, Vec<usize>>,
    is_complete: bool,
}

impl Notices {
    pub(super) fn open() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        Self {
            is_complete: inotify.is_some(),
            inotify,
            folders: HashMap::new(),
            files: HashMap::new(),
        }
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Whether all watches could be had so far.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Asks to be told of what comes and goes in `folder`. Asking again changes nothing.
    pub(super) fn watch_folder(&mut self, folder: &Path, source: usize) {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let inotify = self.inotify.as_ref();
        let watch = inotify.map(|inotify| inotify::add_watch(inotify, folder, flags));
        match watch {
            Some(Ok(watch)) => note(&mut self.folders, watch, source),
            // A folder that is not there yet is looked for at intervals.
            Some(Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR)) => {}
            Some(Err(_)) | None => self.is_complete = false,
        }
    }

    /// Asks to be told of what is written to a file: this one, whatever its path names by now.
    pub(super) fn watch(&mut self, reading: &mut Reading, source: usize) {
        let path = format!("/proc/self/fd/{}", reading.file().as_raw_fd());
        let inotify = self.inotify.as_ref();
        let watch = inotify.map(|inotify| inotify::add_watch(inotify, path, WatchFlags::MODIFY));
        match watch {
            Some(Ok(watch)) => {
                note(&mut self.files, watch, source);
                reading.watch = Some(watch);
            }
            Some(Err(_)) | None => self.is_complete = false,
        }
    }

    pub(super) fn unwatch(&mut self, reading: &mut Reading, source: usize) {
        let Some(watch) = reading.watch.take() else {
            return;
        };
        let Some(sources) = self.files.get_mut(&watch) else {
            return;
        };
        sources.retain(|it| *it != source);
        if sources.is_empty() {
            self.files.remove(&watch);
            if let Some(inotify) = &self.inotify {
                // The kernel has removed it by itself if the file is gone.
                let _ = inotify::remove_watch(inotify, watch);
            }
        }
    }

    /// Hands out what was told since the last time, with the source that it concerns.
    pub(super) fn hear(&mut self, sources: usize, mut each: impl FnMut(usize, Notice<'_>)) {
        let Some(inotify) = &self.inotify else { return };
        let mut space = [const { MaybeUninit::uninit() }; 16 * 1024];
        let mut reader = inotify::Reader::new(inotify, &mut space);
        while let Ok(event) = reader.next() {
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                (0..sources).for_each(|source| each(source, Notice::Lost));
                continue;
            }
            if what.intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) {
                let deaf = self.folders.remove(&event.wd()).unwrap_or_default();
                deaf.into_iter()
                    .for_each(|source| each(source, Notice::Deaf));
                if what.contains(ReadFlags::IGNORED) {
                    self.files.remove(&event.wd());
                } else {
                    // It tells of another place now.
                    let _ = inotify::remove_watch(inotify, event.wd());
                }
                continue;
            }
            let written = self.files.get(&event.wd()).into_iter().flatten();
            written.for_each(|source| each(*source, Notice::Written));
            let Some(name) = event.file_name() else {
                continue;
            };
            let moved = Notice::Moved {
                name: OsStr::from_bytes(name.to_bytes()),
                what,
                cookie: event.cookie(),
            };
            let concerned = self.folders.get(&event.wd()).into_iter().flatten();
            concerned.for_each(|source| each(*source, moved));
        }
    }
}

fn note(watches: &mut HashMap<i32, Vec<usize>>, watch: i32, source: usize) {
    let sources = watches.entry(watch).or_default();
    if !sources.contains(&source) {
        sources.push(source);
    }
}
