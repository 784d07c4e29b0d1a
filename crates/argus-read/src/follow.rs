//! Waits for commits.
//!
//! A [`Follower`] binds a datagram socket `<database>.d/followers/<pid>-<n>.sock`; the collector
//! sends one byte to every socket there after each COMMIT. The byte says only "look again": whether
//! there is news is decided by [`Store::version`], which is also asked every 50 ms, so that a socket
//! that cannot be made (a read-only folder, a path beyond the 107 bytes a socket address holds) or a
//! collector that cannot reach it costs 50 ms and nothing else.
//!
//! The socket is unlinked on drop. One left behind by a killed follower refuses connections, by
//! which the collector knows it; a follower never unlinks another's, because the same pid may be
//! alive in another pid namespace that shares the folder.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argus_model::paths::DataDir;
use argus_store::{ReadError, Store};

/// How often the store is asked when nobody calls.
const POLL: Duration = Duration::from_millis(50);

/// Names tried before polling must do: others of this pid exist only in other pid namespaces, or
/// were left behind by killed ones.
const NAMES: u32 = 64;

/// Why [`Follower::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Something was committed since the last time this was returned.
    Committed,
    /// A [`Waker`] called.
    Called,
    /// Neither happened in time.
    TimedOut,
}

/// How a follower learns of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The collector calls: news within a fraction of a millisecond.
    Socket,
    /// Nobody can call: news within 50 ms.
    Polling,
}

/// Waits for commits to one database.
#[derive(Debug)]
pub struct Follower {
    receiver: UnixDatagram,
    sender: UnixDatagram,
    path: Option<PathBuf>,
    seen: Option<u64>,
}

/// Ends a [`Follower::wait`] from another thread, for example because a key was pressed.
#[derive(Debug)]
pub struct Waker(UnixDatagram);

impl Waker {
    /// Ends the wait under way, or else the next one. Never blocks.
    pub fn wake(&self) {
        // A full socket has calls enough waiting; a closed one has nobody left to call.
        let _ = self.0.send(&[0]);
    }
}

impl Follower {
    /// Follows the database that `places` belong to, and makes the folder of sockets (mode 0700)
    /// if there is none. Falls back to polling without an error.
    ///
    /// # Errors
    /// Only when the process can have no further file descriptor.
    pub fn bind(places: &DataDir) -> io::Result<Self> {
        match bind_in(&places.followers()) {
            Ok(follower) => Ok(follower),
            Err(_) => Self::polling(),
        }
    }

    /// A follower that nobody but its own [`Waker`] can call.
    ///
    /// # Errors
    /// Only when the process can have no further file descriptor.
    pub fn polling() -> io::Result<Self> {
        let (receiver, sender) = UnixDatagram::pair()?;
        sender.set_nonblocking(true)?;
        Ok(Self {
            receiver,
            sender,
            path: None,
            seen: None,
        })
    }

    /// How it learns of commits.
    pub fn channel(&self) -> Channel {
        match self.path {
            Some(_) => Channel::Socket,
            None => Channel::Polling,
        }
    }

    /// A handle by which other threads end a wait.
    ///
    /// # Errors
    /// Only when the process can have no further file descriptor.
    pub fn waker(&self) -> io::Result<Waker> {
        self.sender.try_clone().map(Waker)
    }

    /// Returns when something was committed, when a [`Waker`] called, or after `timeout`.
    ///
    /// The first wait with a store returns at once: what it holds has not been seen yet. Without
    /// a store (there is none yet) only calls are noticed; the collector's first one is among them.
    pub fn wait(
        &mut self,
        store: Option<&dyn Store>,
        timeout: Duration,
    ) -> Result<Wake, ReadError> {
        let began = Instant::now();
        loop {
            if self.has_news(store)? {
                return Ok(Wake::Committed);
            }
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(Wake::TimedOut);
            }
            if self.receive(left.min(POLL)) {
                return Ok(match self.has_news(store)? {
                    true => Wake::Committed,
                    false => Wake::Called,
                });
            }
        }
    }

    fn has_news(&mut self, store: Option<&dyn Store>) -> Result<bool, ReadError> {
        let Some(store) = store else {
            return Ok(false);
        };
        let version = Some(store.version()?);
        let news = version != self.seen;
        self.seen = version;
        Ok(news)
    }

    /// Whether a datagram came within `timeout`. Takes all that wait: a hundred commits that
    /// happened while the screen was drawn are one reason to look again.
    fn receive(&self, timeout: Duration) -> bool {
        let mut byte = [0];
        let first = self
            .receiver
            .set_read_timeout(Some(timeout))
            .and_then(|()| self.receiver.recv(&mut byte));
        match first {
            Ok(_) => {}
            Err(error) if is_quiet(&error) => return false,
            Err(_) => {
                // Nothing is known to cause this; without the pause the caller would spin on it.
                std::thread::sleep(timeout);
                return false;
            }
        }
        if self.receiver.set_nonblocking(true).is_ok() {
            while self.receiver.recv(&mut byte).is_ok() {}
        }
        // Left non-blocking, the next wait would turn into a busy loop.
        self.receiver
            .set_nonblocking(false)
            .expect("a socket that was made non-blocking can be made blocking again");
        true
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Gone already, or not removable: the collector cleans up what refuses connections.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn is_quiet(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn bind_in(folder: &Path) -> io::Result<Follower> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let (receiver, path) = bind_free_name(folder)?;
    let sender = UnixDatagram::unbound()?;
    sender.connect(&path)?;
    sender.set_nonblocking(true)?;
    Ok(Follower {
        receiver,
        sender,
        path: Some(path),
        seen: None,
    })
}

fn bind_free_name(folder: &Path) -> io::Result<(UnixDatagram, PathBuf)> {
    let pid = std::process::id();
    for number in 0..NAMES {
        let path = folder.join(format!("{pid}-{number}.sock"));
        match UnixDatagram::bind(&path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound.map(|socket| (socket, path)),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn places() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let places = DataDir::of(folder.path().join("x.db"));
        (folder, places)
    }

    fn sockets(places: &DataDir) -> Vec<PathBuf> {
        std::fs::read_dir(places.followers())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    #[test]
    fn the_folder_is_private_and_the_socket_leaves_with_its_follower() {
        let (_folder, places) = places();
        let follower = Follower::bind(&places).unwrap();
        let second = Follower::bind(&places).unwrap();
        assert_eq!(follower.channel(), Channel::Socket);
        let mode = std::fs::metadata(places.followers()).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o700);
        assert_eq!(sockets(&places).len(), 2);
        drop((follower, second));
        assert!(sockets(&places).is_empty());
    }

    #[test]
    fn a_datagram_ends_the_wait() {
        let (_folder, places) = places();
        let mut follower = Follower::bind(&places).unwrap();
        let caller = UnixDatagram::unbound().unwrap();
        caller.send_to(&[1], &sockets(&places)[0]).unwrap();
        caller.send_to(&[1], &sockets(&places)[0]).unwrap();
        assert_eq!(follower.wait(None, SOON).unwrap(), Wake::Called);
        let brief = Duration::from_millis(1);
        assert_eq!(follower.wait(None, brief).unwrap(), Wake::TimedOut);
    }

    #[test]
    fn without_a_socket_it_polls_and_can_still_be_woken() {
        let folder = tempfile::tempdir().unwrap();
        let too_long = folder.path().join("long".repeat(30)).join("x.db");
        let mut follower = Follower::bind(&DataDir::of(too_long)).unwrap();
        assert_eq!(follower.channel(), Channel::Polling);
        let waker = follower.waker().unwrap();
        std::thread::spawn(move || waker.wake());
        assert_eq!(follower.wait(None, SOON).unwrap(), Wake::Called);
    }

    #[test]
    fn a_waker_never_blocks_on_a_follower_that_does_not_listen() {
        let follower = Follower::polling().unwrap();
        let waker = follower.waker().unwrap();
        for _ in 0..100_000 {
            waker.wake();
        }
    }
}
