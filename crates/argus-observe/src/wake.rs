//! Waiting for several things at once, and waking whoever waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags};

use crate::exit::timespec;

/// Rung once, heard by everybody who waits for it, now and later.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A bell that has not been rung.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(rustix::event::eventfd(0, flags)?))
    }

    /// Rings. Ringing again changes nothing.
    pub fn ring(&self) {
        // It fails only when the counter is full, and then it has been rung.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Rung again and again, and heard once each time by the one who listens.
#[derive(Debug)]
pub struct Chime(Bell);

impl Chime {
    /// A chime that has not been rung.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Bell::new()?))
    }

    /// Rings. Ringing before it was heard changes nothing.
    pub fn ring(&self) {
        self.0.ring();
    }

    /// Makes it silent again.
    pub fn hush(&self) {
        // It fails only when nobody has rung.
        let _ = rustix::io::read(&self.0.0, &mut [0; 8]);
    }
}

impl AsFd for Chime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of these is readable, at most `timeout` (`None`: for ever); says which are. A
/// signal may end the wait early, with none of them.
///
/// # Errors
/// When the system call for waiting fails.
pub fn wait_any<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled =
        descriptors.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    match rustix::event::poll(&mut polled, timeout.and_then(timespec).as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(polled.map(|polled| !polled.revents().is_empty()))
}

/// Waits until one of these is readable, at most `timeout` (`None`: for ever). A signal may end the
/// wait early.
///
/// # Errors
/// When the system call for waiting fails.
pub fn wait_for(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let mut polled: Vec<_> = descriptors
        .iter()
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    match rustix::event::poll(&mut polled, timeout.and_then(timespec).as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chime_is_heard_once() {
        let chime = Chime::new().unwrap();
        chime.hush();
        chime.ring();
        chime.ring();
        let heard = || wait_any([chime.as_fd()], Some(Duration::ZERO)).unwrap();
        assert_eq!(heard(), [true]);
        chime.hush();
        assert_eq!(heard(), [false]);
    }

    #[test]
    fn a_bell_stays_rung() {
        let (rung, silent) = (Bell::new().unwrap(), Bell::new().unwrap());
        rung.ring();
        rung.ring();
        for _ in 0..2 {
            let heard = wait_any([rung.as_fd(), silent.as_fd()], None).unwrap();
            assert_eq!(heard, [true, false]);
        }
        let heard = wait_any([silent.as_fd()], Some(Duration::ZERO)).unwrap();
        assert_eq!(heard, [false]);
    }
}
