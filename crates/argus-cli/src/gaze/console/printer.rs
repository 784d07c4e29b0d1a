//! Standard output, without waiting for it.
//!
//! A thread of its own writes what was gathered since it wrote the last time: the slower the terminal and
//! the more there is to say, the more it writes at once. What would have to wait behind megabytes is left
//! out and counted.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;
use argus_observe::wake::Bell;

/// Text that may wait for a slow terminal.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// Text that is worth to be written before anybody asks for it.
const WORTHWHILE: usize = 64 * 1024;

/// What waits to be printed.
#[derive(Debug, Default)]
struct Waiting {
    text: String,
    left_out: u64,
    /// It may be printed now.
    is_released: bool,
    /// Nothing more will be said.
    is_over: bool,
    /// Nobody reads our output.
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    released: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, waiting: &mut Waiting) {
        if !waiting.is_released {
            waiting.is_released = true;
            self.released.notify_one();
        }
    }
}

/// Prints lines in a thread of its own.
pub(super) struct Printer {
    desk: Arc<Desk>,
    closed: Arc<Bell>,
    thread: JoinHandle<()>,
}

impl Printer {
    /// # Errors
    /// When the process is out of descriptors.
    pub(super) fn start() -> Result<Self> {
        let closed = Arc::new(Bell::new()?);
        let desk = Arc::<Desk>::default();
        let thread = std::thread::spawn({
            let (desk, closed) = (Arc::clone(&desk), Arc::clone(&closed));
            move || print(&desk, &closed)
        });
        Ok(Self {
            desk,
            closed,
            thread,
        })
    }

    /// Readable once nobody reads our output any more.
    pub(super) fn closed(&self) -> BorrowedFd<'_> {
        self.closed.as_fd()
    }

    /// Takes a line, to be printed when it is released.
    pub(super) fn say(&self, line: impl Display) {
        let mut waiting = self.desk.lock();
        if waiting.is_closed || waiting.text.len() >= MOST_WAITING {
            waiting.left_out += 1;
            return;
        }
        // Text grows as it must: writing to it does not fail.
        let _ = writeln!(waiting.text, "{line}");
        if waiting.text.len() >= WORTHWHILE {
            self.desk.release(&mut waiting);
        }
    }

    /// Has everything printed that was said so far.
    pub(super) fn release(&self) {
        let mut waiting = self.desk.lock();
        if !waiting.text.is_empty() {
            self.desk.release(&mut waiting);
        }
    }

    /// How many lines found no room.
    pub(super) fn left_out(&self) -> u64 {
        self.desk.lock().left_out
    }

    /// Says the last words, for which there is always room, and waits until everything is out.
    pub(super) fn conclude(self, lines: impl IntoIterator<Item = String>) {
        let mut waiting = self.desk.lock();
        for line in lines {
            let _ = writeln!(waiting.text, "{line}");
        }
        waiting.is_over = true;
        self.desk.release(&mut waiting);
        drop(waiting);
        let _ = self.thread.join();
    }
}

fn print(desk: &Desk, closed: &Bell) {
    let mut out = io::stdout().lock();
    let mut text = String::new();
    loop {
        let mut waiting = desk.lock();
        while !waiting.is_released {
            let woken = desk.released.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.text, &mut text);
        waiting.is_released = waiting.is_over;
        if text.is_empty() && waiting.is_over {
            return;
        }
        drop(waiting);
        let written = out.write_all(text.as_bytes());
        if written.and_then(|()| out.flush()).is_err() {
            desk.lock().is_closed = true;
            closed.ring();
            return;
        }
        text.clear();
        text.shrink_to(WORTHWHILE);
    }
}
