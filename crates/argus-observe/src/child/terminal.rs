//! The program's terminal: a pair of ends, its size, and the mode of the caller's own.

use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::OpenptFlags;
use rustix::stdio;
use rustix::termios::{OptionalActions, Termios};

/// Our end of the terminal that a program runs in.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) end: OwnedFd,
}

impl Terminal {
    /// A new terminal like the caller's (mode and size), and the end meant for the program.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let end = rustix::pty::openpt(flags)?;
        rustix::pty::unlockpt(&end)?;
        let inner = rustix::pty::ioctl_tiocgptpeer(&end, flags)?;
        if let Ok(mode) = rustix::termios::tcgetattr(stdio::stdin()) {
            rustix::termios::tcsetattr(&inner, OptionalActions::Now, &mode)?;
        }
        unblock(&end)?;
        let terminal = Self { end };
        terminal.take_size();
        Ok((terminal, inner))
    }

    /// Gives the program's terminal the size of the caller's.
    pub(super) fn take_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(stdio::stdout()) {
            // A terminal of an odd size is no reason to stop.
            let _ = rustix::termios::tcsetwinsize(&self.end, size);
        }
    }
}

/// The caller's terminal in raw mode: keys go to the program as they are. Dropping it restores the
/// mode of before.
#[derive(Debug)]
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches the caller's terminal; `None` when its standard input is none.
    pub(super) fn enter() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = rustix::termios::tcgetattr(stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Drain: what the program printed last is shown in the mode it was printed for.
        let _ = rustix::termios::tcsetattr(stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Makes reads and writes return instead of waiting.
pub(super) fn unblock(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(descriptor)?;
    Ok(fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?)
}
