//! A client that counts what it moves: every byte that it writes to a socket or reads from one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::bed::{PATIENCE, until};

/// What the client moved; the server received what it sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Moved {
    /// The same, as the server has it.
    pub(super) fn other_side(self) -> Self {
        Self {
            sent: self.received,
            received: self.sent,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until somebody listens on a port. Moves nothing, and waits until the server has hung up, too:
/// the end mark of a connection that is still open later may be taken for a byte.
pub(crate) fn until_it_listens(port: u16) {
    until("the server listens", || {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
            return false;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // It may hang up rudely.
        let _ = stream.read_to_end(&mut Vec::new());
        true
    });
}

/// One connection, counted.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    pub(super) moved: Moved,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            moved: Moved::default(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
        self.moved.sent += bytes.len() as u64;
    }

    pub(crate) fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        self.moved.received += length as u64;
        bytes
    }

    pub(crate) fn receive_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the server hangs up: {line:?}");
        self.moved.received += line.len() as u64;
        line
    }

    /// Asks for a page and reads all of it.
    pub(super) fn request(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.send(request.as_bytes());
        self.receive_answer();
    }

    /// Reads a page, whatever its status, and all of it.
    pub(crate) fn receive_answer(&mut self) {
        let mut length = 0;
        loop {
            let line = self.receive_line();
            let header = line.trim_end().to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if header.is_empty() {
                break;
            }
        }
        assert!(length > 0, "a page with a length");
        self.receive(length);
    }

    /// Hangs up, waits until the server has, too, and says what was moved.
    pub(super) fn close(self) -> Moved {
        let stream = self.stream.get_ref();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = self.stream;
        let mut left = Vec::new();
        rest.read_to_end(&mut left).unwrap();
        let mut moved = self.moved;
        moved.received += left.len() as u64;
        moved
    }
}
