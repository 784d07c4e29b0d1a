//! A program that runs for a purpose of ours, beside what is observed.
//!
//! It leads a process group of its own, so that it can be stopped together with whatever it has
//! started; it reads nothing, and the signals that its caller collects are not blocked in it. It is
//! always collected: nothing stays behind as a zombie. Nobody waits for it but [`Drop`], and that
//! only for the moment that being killed takes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::child::Ended;
use crate::exit::{Exit, timespec};
use crate::platform::{self, Bond};

/// How often what runs is looked at: what it says must not fill its pipe, and where there are no
/// pidfds nothing tells of its end.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Killed, a process is gone in microseconds; one that waits for a broken disk may never be.
const LAST_WAIT: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Errand {
    process: std::process::Child,
    pid: Option<Pid>,
    pidfd: Option<OwnedFd>,
    ended: Option<Exit>,
}

impl Errand {
    /// Starts a program whose output and error streams have been chosen.
    pub(crate) fn start(mut command: Command, bond: Bond) -> io::Result<Self> {
        command.stdin(Stdio::null());
        // What a service manager is told is ours to say.
        command.env_remove("NOTIFY_SOCKET");
        platform::start_in_own_group(&mut command, bond);
        let process = command.spawn()?;
        // Our child, not collected yet: the id is its own.
        Ok(Self {
            pid: platform::raw_pid(process.id()),
            pidfd: platform::pidfd_open(process.id()).ok(),
            ended: None,
            process,
        })
    }

    /// Its output, if that was to be a pipe; reading it never blocks.
    pub(crate) fn output(&mut self) -> io::Result<Option<OwnedFd>> {
        let output = self.process.stdout.take().map(OwnedFd::from);
        output.map(unblocked).transpose()
    }

    /// Its error stream, if that was to be a pipe; reading it never blocks.
    pub(crate) fn error(&mut self) -> io::Result<Option<LastLine>> {
        let error = self.process.stderr.take().map(OwnedFd::from);
        let error = error.map(unblocked).transpose()?;
        Ok(error.map(|from| LastLine {
            from: Some(from),
            line: Vec::new(),
            is_over: false,
        }))
    }

    /// The descriptor that polls readable once it has ended.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Whether it has ended. It is not collected yet, so its group can still be reached.
    pub(crate) fn has_ended(&self) -> bool {
        let (None, Some(pid)) = (self.ended, self.pid) else {
            return true;
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // It fails only when somebody else has collected our children.
        !matches!(
            rustix::process::waitid(WaitId::Pid(pid), options),
            Ok(None) | Err(rustix::io::Errno::INTR)
        )
    }

    /// Sends a signal to everybody in its group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let (None, Some(pid)) = (self.ended, self.pid) {
            // Whoever was to get it may have ended by himself.
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }

    /// Collects it; how it ended, `None` while it runs.
    pub(crate) fn collect(&mut self) -> Option<Exit> {
        if self.ended.is_none() {
            self.ended = match self.process.try_wait() {
                Ok(status) => status.map(Ended::of).map(|ended| Exit {
                    code: Some(ended.code),
                    core_dumped: Some(ended.core_dumped),
                }),
                // Somebody else has collected it.
                Err(_) => Some(Exit::default()),
            };
        }
        self.ended
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        self.signal(Signal::KILL);
        match &self.pidfd {
            Some(pidfd) => {
                let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
                let _ = rustix::event::poll(&mut polled, timespec(LAST_WAIT).as_ref());
            }
            None => std::thread::sleep(LAST_WAIT),
        }
        self.collect();
    }
}

/// The last line of a stream that has any text, cut after [`LastLine::MAX_BYTES`].
#[derive(Debug)]
pub(crate) struct LastLine {
    from: Option<OwnedFd>,
    line: Vec<u8>,
    is_over: bool,
}

impl LastLine {
    const MAX_BYTES: usize = 200;

    /// Takes what is there; at most what a pipe holds, so that nobody keeps us reading.
    pub(crate) fn read(&mut self) {
        let mut space = [0; 4096];
        for _ in 0..16 {
            let Some(from) = &self.from else { return };
            match rustix::io::read(from, &mut space) {
                Ok(0) => self.from = None,
                Ok(count) => self.take(&space[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.is_over = true;
            } else if self.is_over && !byte.is_ascii_whitespace() {
                self.line.clear();
                self.line.push(*byte);
                self.is_over = false;
            } else if !self.is_over && self.line.len() < Self::MAX_BYTES {
                self.line.push(*byte);
            }
        }
    }

    /// The line, if there was one.
    pub(crate) fn text(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.line).trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }
}

fn unblocked(fd: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok(fd)
}
