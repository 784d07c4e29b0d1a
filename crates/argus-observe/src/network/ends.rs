//! Hears of connections that have ended.
//!
//! The kernel keeps little room for what it tells: some thousands of ends for the superuser, some
//! hundreds for others on older kernels, and it tells them in bursts. A look a second would be too
//! late on a busy server, so a thread collects them. It wakes when something ends, but not more often
//! than every [`PAUSE`], and sleeps as long as nothing does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::diag::{self, Message, Seen};
use super::link;
use crate::wake::{Bell, wait_any};

/// Between two wakings. What ends meanwhile is told together.
const PAUSE: Duration = Duration::from_millis(10);

/// As many are kept until somebody looks, two megabytes. The kernel counts what finds no room then.
const MOST_KEPT: usize = 20_000;

/// One end in each datagram.
const DATAGRAM_BYTES: usize = 4 << 10;

/// What has been heard since it was asked for last.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) sockets: Vec<Seen>,
    /// How often the kernel had to drop some for want of room.
    pub(super) overruns: u64,
}

/// Collects ends until it is dropped.
#[derive(Debug)]
pub(super) struct Ends {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    stop: Bell,
    heard: Mutex<Heard>,
}

impl Ends {
    /// Begins to hear, with room for so many bytes in the kernel.
    pub(super) fn hear(room: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            socket: link::hear_of_ends(room)?,
            stop: Bell::new()?,
            heard: Mutex::default(),
        });
        let collected = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("ends".into())
            .spawn(move || collected.collect())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What has ended since this was asked last.
    pub(super) fn take(&self) -> Heard {
        let mut heard = self.shared.lock();
        self.shared.drain(&mut heard);
        std::mem::take(&mut *heard)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.shared.stop.ring();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked in a way that matters to anybody now.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn collect(&self) {
        let stop = self.stop.as_fd();
        loop {
            match wait_any([stop, self.socket.as_fd()], None) {
                Ok([false, _]) => {}
                Ok([true, _]) | Err(_) => return,
            }
            self.drain(&mut self.lock());
            if !matches!(wait_any([stop], Some(PAUSE)), Ok([false])) {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, heard: &mut Heard) {
        let mut space = [0_u8; DATAGRAM_BYTES];
        while heard.sockets.len() < MOST_KEPT {
            match rustix::net::recv(&self.socket, &mut space[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    for message in diag::messages(&space[..length]) {
                        if let Message::Socket(seen) = message {
                            heard.sockets.push(seen);
                        }
                    }
                }
                Err(Errno::NOBUFS) => heard.overruns += 1,
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    fn end_connections(count: usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..count {
            let line = TcpStream::connect(address).unwrap();
            drop((listener.accept().unwrap(), line));
        }
    }

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < deadline, "not within ten seconds: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn ends_are_collected_without_being_asked_for() {
        let ends = Ends::hear(4 << 20).unwrap();
        end_connections(50);
        let kept = || ends.shared.lock().sockets.len();
        until("all are kept", || kept() >= 100);
        assert!(ends.take().sockets.len() >= 100);
    }

    #[test]
    fn ends_for_which_there_is_no_room_are_said_to_be_missing() {
        let ends = Ends::hear(4096).unwrap();
        // Nobody collects as long as this is held.
        let heard = ends.shared.lock();
        end_connections(100);
        drop(heard);
        // The kernel tells ends when it finds time to, and the overrun with the next one.
        let mut overruns = 0;
        until("some are missing", || {
            end_connections(10);
            overruns += ends.take().overruns;
            overruns > 0
        });
    }
}
