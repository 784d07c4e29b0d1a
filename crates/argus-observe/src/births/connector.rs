//! The kernel's own report of every fork, exec and exit: the process connector (`cn_proc`).
//!
//! A netlink datagram an event, each with the moment it happened, a fork with the process that made
//! it, an exit with its wait status. It is open to the superuser, since Linux 6.6 to everybody, in
//! the machine's first namespaces only: elsewhere the kernel does not even answer a subscription.
//!
//! The layout is that of `linux/cn_proc.h` behind `struct cn_msg` behind `struct nlmsghdr`, in the
//! machine's byte order. A filter in the kernel drops what concerns single threads and what nobody
//! here asks for, so a program that makes threads does not wake us.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use argus_model::Monotonic;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::platform::{self, FilterStep};

/// Room in the kernel for events that were not read yet; one takes about 800 bytes of it.
const BUFFER_BYTES: usize = 4 << 20;

const NETLINK_HEADER: usize = 16;
const WHAT: usize = NETLINK_HEADER + 20;
const AT: usize = WHAT + 8;
const DATA: usize = WHAT + 16;
/// A whole event: the kernel sends the largest of them always.
const MESSAGE: usize = WHAT + 40;

const NONE: u32 = 0;
const FORK: u32 = 1;
const EXEC: u32 = 2;
const EXIT: u32 = 1 << 31;

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It was made.
    Fork {
        pid: u32,
        parent: u32,
        at: Monotonic,
    },
    /// It became another program.
    Exec { pid: u32 },
    /// Its first thread ended, which is nearly always its own end.
    Exit {
        pid: u32,
        wait_status: i32,
        at: Monotonic,
    },
}

/// How much [`Connector::receive`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Received {
    /// Datagrams read.
    pub(super) count: usize,
    /// Whether the kernel dropped some because nobody read them in time.
    pub(super) lost: bool,
}

/// A subscription to all process events of the machine.
#[derive(Debug)]
pub(super) struct Connector(OwnedFd);

impl Connector {
    /// Subscribes; `None` where that is not permitted or not to be had.
    pub(super) fn open() -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::CONNECTOR);
        let socket =
            net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol).ok()?;
        net::bind(&socket, &SocketAddrNetlink::new(0, libc::CN_IDX_PROC)).ok()?;
        if net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).is_err() {
            // Less than asked for is given; losses are noticed.
            let _ = net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES);
        }
        let connector = Self(socket);
        connector.ask(libc::PROC_CN_MCAST_LISTEN).ok()?;
        if !connector.is_answered() {
            return None;
        }
        // What comes through unfiltered is sorted out below.
        let _ = platform::attach_filter(&connector.0, &FILTER);
        Some(connector)
    }

    /// Reads at most `most` datagrams.
    ///
    /// # Errors
    /// When the socket cannot be read any more.
    pub(super) fn receive(&self, most: usize, mut each: impl FnMut(Event)) -> io::Result<Received> {
        let mut received = Received::default();
        while received.count < most {
            let mut space = [0; 2 * MESSAGE];
            match net::recvfrom(&self.0, &mut space[..], RecvFlags::empty()) {
                Ok((length, _, sender)) => {
                    received.count += 1;
                    let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
                    let is_kernel = sender.is_some_and(|sender| sender.pid() == 0);
                    if let Some(event) = space.get(..length).filter(|_| is_kernel).and_then(parse) {
                        each(event);
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::NOBUFS) => received.lost = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(received)
    }

    fn ask(&self, operation: u32) -> io::Result<()> {
        const LENGTH: usize = WHAT + 4;
        let length = u32::try_from(LENGTH).unwrap_or(0);
        let done = u16::try_from(libc::NLMSG_DONE).unwrap_or(0);
        let mut message = Vec::with_capacity(LENGTH);
        message.extend(length.to_ne_bytes());
        message.extend([done.to_ne_bytes(), [0; 2]].concat());
        for word in [0, 0, libc::CN_IDX_PROC, libc::CN_VAL_PROC, 0, tag()] {
            message.extend(word.to_ne_bytes());
        }
        message.extend([4_u16.to_ne_bytes(), [0; 2]].concat());
        message.extend(operation.to_ne_bytes());
        let kernel = SocketAddrNetlink::new(0, 0);
        net::sendto(&self.0, &message, SendFlags::empty(), &kernel)?;
        Ok(())
    }

    /// Whether the kernel has agreed. It answers before `sendto` returns, or never, and so that all
    /// subscribers hear it.
    fn is_answered(&self) -> bool {
        let mut space = [0; 2 * MESSAGE];
        while let Ok((length, _)) = net::recv(&self.0, &mut space[..], RecvFlags::empty()) {
            let message = &space[..length.min(space.len())];
            let is_ours = word(message, WHAT) == Some(NONE)
                && word(message, NETLINK_HEADER + 12) == Some(tag() + 1);
            if is_ours {
                return word(message, DATA) == Some(0);
            }
        }
        false
    }
}

/// What the kernel's answer is known by: it gives it back, and one more.
fn tag() -> u32 {
    std::process::id()
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Before 6.6 the kernel went on producing events for a listener that had left.
        let _ = self.ask(libc::PROC_CN_MCAST_IGNORE);
    }
}

/// `None` for what is no event, and for events of single threads.
fn parse(message: &[u8]) -> Option<Event> {
    let nanos = message.get(AT..AT + 8)?.try_into().ok()?;
    let at = Monotonic::from_nanos(u64::from_ne_bytes(nanos));
    let data = |index: usize| word(message, DATA + 4 * index);
    let process = |pid: u32, group: u32| (pid == group).then_some(pid);
    match word(message, WHAT)? {
        FORK => Some(Event::Fork {
            pid: process(data(2)?, data(3)?)?,
            parent: data(1)?,
            at,
        }),
        EXEC => Some(Event::Exec {
            pid: process(data(0)?, data(1)?)?,
        }),
        EXIT => Some(Event::Exit {
            pid: process(data(0)?, data(1)?)?,
            wait_status: data(2)?.cast_signed(),
            at,
        }),
        _ => None,
    }
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    let bytes = message.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}

/// Forks, execs and exits of processes pass; threads and everything else are dropped.
#[rustfmt::skip]
const FILTER: [FilterStep; 14] = {
    use FilterStep::{Accept, Drop, Jump, JumpIfKept, Keep, Load};
    [
        /*  0 */ Load(WHAT),
        /*  1 */ Jump { equal: FORK, then: 2, otherwise: 0 },
        /*  2 */ Jump { equal: EXEC, then: 9, otherwise: 0 },
        /*  3 */ Jump { equal: EXIT, then: 4, otherwise: 9 },
        /*  4: a fork's child: its own id and its process's */ Load(DATA + 8),
        /*  5 */ Keep,
        /*  6 */ Load(DATA + 12),
        /*  7 */ JumpIfKept { then: 4, otherwise: 5 },
        /*  8: an exit: the same of the one that ended */ Load(DATA),
        /*  9 */ Keep,
        /* 10 */ Load(DATA + 4),
        /* 11 */ JumpIfKept { then: 0, otherwise: 1 },
        /* 12 */ Accept,
        /* 13 */ Drop,
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel sends it, in words from the event's kind on.
    fn check(what: u32, data: [u32; 6], expected: Option<Event>) {
        let mut message = vec![0; WHAT];
        for word in [what, 1, 7, 0].into_iter().chain(data) {
            message.extend(word.to_ne_bytes());
        }
        assert_eq!(message.len(), MESSAGE);
        assert_eq!(parse(&message), expected);
        for length in 0..MESSAGE - 8 {
            parse(&message[..length]);
        }
    }

    #[test]
    fn events_of_processes_are_read_and_those_of_threads_are_not() {
        let at = Monotonic::from_nanos(if cfg!(target_endian = "little") {
            7
        } else {
            7 << 32
        });
        let fork = Event::Fork {
            pid: 20,
            parent: 10,
            at,
        };
        check(FORK, [11, 10, 20, 20, 0, 0], Some(fork));
        check(FORK, [10, 10, 21, 20, 0, 0], None);
        check(EXEC, [20, 20, 0, 0, 0, 0], Some(Event::Exec { pid: 20 }));
        let exit = Event::Exit {
            pid: 20,
            wait_status: 7 << 8,
            at,
        };
        check(EXIT, [20, 20, 7 << 8, 17, 10, 10], Some(exit));
        check(EXIT, [21, 20, 0, 17, 10, 10], None);
        check(NONE, [0; 6], None);
    }
}
