//! Signals as something to wait for, instead of something that interrupts.
//!
//! A handler may do next to nothing, and a flag that it sets is looked at too late or too often. A
//! blocked signal read from a descriptor is just one more event in a loop, and says who sent it.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::Signal;

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The kernel: a key pressed in the terminal, its hang-up, its new size. The whole foreground
    /// process group was told, a child in it included.
    Kernel,
    /// A process, which meant this one.
    Process,
}

/// A signal that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Its number.
    pub number: i32,
    /// Who sent it.
    pub sender: Sender,
}

/// Some signals, kept from interrupting and collected by a descriptor that polls readable.
///
/// Holds for the thread that makes it and for threads started afterwards, so it is made first.
/// Dropping it restores the thread's mask.
#[derive(Debug)]
pub struct Signals {
    descriptor: OwnedFd,
    mask_before: libc::sigset_t,
}

impl Signals {
    /// Blocks these signals in this thread and begins to collect them.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn collect(signals: &[Signal]) -> io::Result<Self> {
        let set = set_of(signals);
        // SAFETY: a signal set is integers only; the call below overwrites it.
        let mut mask_before: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: both pointers are to live sets, the call changes this thread's mask only.
        let answer =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut mask_before) };
        if answer != 0 {
            return Err(io::Error::from_raw_os_error(answer));
        }
        // SAFETY: the set is initialised; −1 asks for a new descriptor.
        let raw =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw < 0 {
            let error = io::Error::last_os_error();
            restore(&mask_before);
            return Err(error);
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self {
            descriptor,
            mask_before,
        })
    }

    /// What was blocked before.
    pub(super) fn mask_before(&self) -> libc::sigset_t {
        self.mask_before
    }

    /// The next signal that has arrived, without waiting.
    pub fn next(&self) -> Option<Delivered> {
        // SAFETY: the struct holds integers only, for which all bits zero is a value.
        let mut info: libc::signalfd_siginfo = unsafe { mem::zeroed() };
        let size = mem::size_of_val(&info);
        // SAFETY: the kernel writes at most `size` bytes into a live struct of that size.
        let read = unsafe { libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), size) };
        if usize::try_from(read) != Ok(size) {
            return None;
        }
        Some(Delivered {
            number: info.ssi_signo.cast_signed(),
            sender: if info.ssi_code == libc::SI_KERNEL {
                Sender::Kernel
            } else {
                Sender::Process
            },
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What arrived and was not read would be delivered by the restored mask, and kill us.
        while self.next().is_some() {}
        restore(&self.mask_before);
    }
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    // SAFETY: a signal set is integers only, and is initialised by the next call.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a live set.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: the pointer is to an initialised set, the number is a signal's.
        unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
    }
    set
}

/// Sets this thread's mask.
pub(super) fn restore(mask: &libc::sigset_t) {
    // SAFETY: the set was filled by the kernel; the call changes this thread's mask only.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

/// Lets every signal through to this thread.
pub(super) fn block_nothing() {
    restore(&set_of(&[]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_sent_by_a_process_is_collected_and_told_so() {
        let signals = Signals::collect(&[Signal::USR1]).unwrap();
        assert_eq!(signals.next(), None);
        // SAFETY: the thread sends a signal to itself which it has blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        assert_eq!(
            signals.next(),
            Some(Delivered {
                number: libc::SIGUSR1,
                sender: Sender::Process
            })
        );
        assert_eq!(signals.next(), None);
    }
}
