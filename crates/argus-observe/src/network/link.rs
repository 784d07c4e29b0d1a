//! The connection to the kernel that sockets are asked for over.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::diag::{self, Message, Seen, SocketId};

/// Questions sent at once: their answers must fit the room that a socket has by default.
const QUESTIONS: usize = 32;

/// More than the kernel ever sends at once.
const DATAGRAM_BYTES: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Link {
    questions: OwnedFd,
    walk: Walk,
    space: Vec<u8>,
}

/// How all sockets are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Once,
    PerFamily,
}

impl Link {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            questions: open_socket()?,
            walk: Walk::Once,
            space: vec![0; DATAGRAM_BYTES],
        })
    }

    /// Every socket of this network namespace.
    pub(super) fn all(&mut self) -> io::Result<Vec<Seen>> {
        if self.walk == Walk::Once {
            match self.ask(&diag::ask_for_all()) {
                Err(error) if is_unknown_question(&error) => self.walk = Walk::PerFamily,
                answer => return answer,
            }
        }
        let mut all = self.ask(&diag::ask_for_family(diag::INET))?;
        match self.ask(&diag::ask_for_family(diag::INET6)) {
            Ok(more) => all.extend(more),
            // A machine without version 6.
            Err(error) if is_unknown_question(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(all)
    }

    /// These sockets, without those that are gone.
    pub(super) fn some(&mut self, ids: &[SocketId]) -> io::Result<Vec<Seen>> {
        let mut some = Vec::with_capacity(ids.len());
        for batch in ids.chunks(QUESTIONS) {
            let questions: Vec<u8> = batch.iter().flat_map(diag::ask_for_one).collect();
            some.extend(self.ask_each(&questions, batch.len())?);
        }
        Ok(some)
    }

    /// Asks one question that has many answers.
    fn ask(&mut self, question: &[u8]) -> io::Result<Vec<Seen>> {
        self.send(question)?;
        let mut sockets = Vec::new();
        loop {
            let length = self.receive()?;
            for message in diag::messages(&self.space[..length]) {
                match message {
                    Message::Socket(seen) => sockets.push(seen),
                    Message::Done => return Ok(sockets),
                    Message::Refused(number) => return Err(io::Error::from_raw_os_error(number)),
                    Message::Other => {}
                }
            }
        }
    }

    /// Asks many questions that have one answer each, be it a refusal.
    fn ask_each(&mut self, questions: &[u8], mut answers: usize) -> io::Result<Vec<Seen>> {
        self.send(questions)?;
        let mut sockets = Vec::new();
        while answers > 0 {
            let length = self.receive()?;
            for message in diag::messages(&self.space[..length]) {
                answers = answers.saturating_sub(1);
                if let Message::Socket(seen) = message {
                    sockets.push(seen);
                }
            }
        }
        Ok(sockets)
    }

    fn send(&mut self, questions: &[u8]) -> io::Result<()> {
        // What an earlier question left behind when it failed would be taken for an answer.
        while self.receive().is_ok() {}
        rustix::net::send(&self.questions, questions, SendFlags::empty())?;
        Ok(())
    }

    /// Answers are there when a question has been sent, so there is no need to wait.
    fn receive(&mut self) -> io::Result<usize> {
        let (length, _) =
            rustix::net::recv(&self.questions, &mut self.space[..], RecvFlags::DONTWAIT)?;
        Ok(length)
    }
}

fn open_socket() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(netlink::SOCK_DIAG),
    )
}

/// A connection over which the ends of TCP sockets are told, with so much room for them if the machine
/// allows it.
pub(super) fn hear_of_ends(room: usize) -> Result<OwnedFd, Errno> {
    let socket = open_socket()?;
    // The superuser may have more than others; either is better than nothing.
    if sockopt::set_socket_recv_buffer_size_force(&socket, room).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, room);
    }
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, diag::ENDS))?;
    Ok(socket)
}

fn is_unknown_question(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        number,
        Some(Errno::INVAL | Errno::NOENT | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT)
    )
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn one_socket_and_all_sockets_are_told_alike() {
        let mut link = Link::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_ours = |seen: &&Seen| seen.id.local_port() == port;
        let by_walk = *link.all().unwrap().iter().find(is_ours).unwrap();
        link.walk = Walk::PerFamily;
        let by_family = *link.all().unwrap().iter().find(is_ours).unwrap();
        assert!(by_walk.is_listening && by_walk == by_family);
        let line = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let of_line = line.local_addr().unwrap().port();
        let is_line = |seen: &&Seen| seen.id.local_port() == of_line;
        let by_walk = *link.all().unwrap().iter().find(is_line).unwrap();
        assert_eq!(link.some(&[by_walk.id]).unwrap(), [by_walk]);
        drop((listener, line));
        assert_eq!(link.some(&[by_walk.id]).unwrap(), [], "it has ended");
    }
}
