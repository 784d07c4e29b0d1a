//! The kernel's socket diagnosis (`sock_diag(7)`): bytes to values, nothing else.
//!
//! Numbers stand in the machine's own byte order, ports and addresses in the network's. A message
//! that is too short for what it should hold is left out.

use super::Traffic;

/// Messages that ask for, tell, and report the end of sockets.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The older question, which knows no family and therefore walks over all sockets once, not twice.
const TCPDIAG_GETSOCK: u16 = 18;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const HEADER_BYTES: usize = 16;

/// `struct inet_diag_msg`: four bytes, the socket's id, five numbers.
const MESSAGE_BYTES: usize = 72;
const ID: std::ops::Range<usize> = 4..4 + ID_BYTES;
const ID_BYTES: usize = 48;
const INODE: usize = 68;

/// The attribute that holds `struct tcp_info`, and the bit that asks for it.
const INET_DIAG_INFO: u16 = 2;
const WANT_INFO: u8 = 1 << (INET_DIAG_INFO - 1);
const IPPROTO_TCP: u8 = 6;

/// Where `struct tcp_info` counts payload. Not `tcpi_bytes_acked`, which counts the marks of a
/// connection's beginning and end as bytes.
const BYTES_RECEIVED: usize = 128;
const BYTES_SENT: usize = 200;
const BYTES_RETRANSMITTED: usize = 208;

const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const LISTEN: u8 = 10;
const CLOSING: u8 = 11;
/// All states but those in which there is no socket any more, or none yet.
const STATES: u32 = 0b1111_1011_1110;

pub(super) const INET: u8 = 2;
pub(super) const INET6: u8 = 10;

/// The groups that are told of the end of TCP sockets, of either family, as bits.
pub(super) const ENDS: u32 = 0b101;

/// Names one socket, for as long as the machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SocketId {
    family: u8,
    raw: [u8; ID_BYTES],
}

impl SocketId {
    /// Never given twice.
    pub(super) fn cookie(&self) -> u64 {
        u64::from(u32_at(&self.raw, 40).unwrap_or(0))
            | u64::from(u32_at(&self.raw, 44).unwrap_or(0)) << 32
    }

    pub(super) fn local_port(&self) -> u16 {
        u16::from_be_bytes([self.raw[0], self.raw[1]])
    }

    /// The local address as one of version 6, of whichever version it is.
    pub(super) fn local_address(&self) -> [u8; 16] {
        let mut address = [0; 16];
        address.copy_from_slice(&self.raw[4..20]);
        if self.family == INET {
            let four = [address[0], address[1], address[2], address[3]];
            address = [0; 16];
            address[10..12].fill(0xff);
            address[12..].copy_from_slice(&four);
        }
        address
    }
}

/// A socket as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: SocketId,
    pub(super) is_listening: bool,
    /// 0 when no process has it open: not accepted yet, or closed already.
    pub(super) inode: u32,
    /// What it has moved since it began.
    pub(super) traffic: Traffic,
    /// Whether the kernel's count of what was received holds the other side's end mark, as one byte.
    pub(super) end_received: bool,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Socket(Seen),
    /// Nothing more follows.
    Done,
    /// The kernel's error number.
    Refused(i32),
    /// Of no interest, or not understood.
    Other,
}

/// Asks for all sockets, of both families.
pub(super) fn ask_for_all() -> Vec<u8> {
    // family, address lengths, wanted attributes, id, states, bindings
    let mut body = vec![0, 0, 0, WANT_INFO];
    body.extend([0; ID_BYTES]);
    body.extend(STATES.to_ne_bytes());
    body.extend([0; 4]);
    message(TCPDIAG_GETSOCK, NLM_F_REQUEST | NLM_F_DUMP, &body)
}

/// Asks for all sockets of one family, as newer kernels may insist on.
pub(super) fn ask_for_family(family: u8) -> Vec<u8> {
    let body = request(family, &[0; ID_BYTES]);
    message(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, &body)
}

/// Asks for one socket.
pub(super) fn ask_for_one(id: &SocketId) -> Vec<u8> {
    let body = request(id.family, &id.raw);
    message(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, &body)
}

fn request(family: u8, id: &[u8; ID_BYTES]) -> Vec<u8> {
    let mut body = vec![family, IPPROTO_TCP, WANT_INFO, 0];
    body.extend(STATES.to_ne_bytes());
    body.extend(id);
    body
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port: answers come in order, and to the socket that asked
    bytes.extend(body);
    bytes
}

/// The messages of one datagram.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let whole = rest.get(..length).filter(|_| length >= HEADER_BYTES)?;
        let kind = u16_at(rest, 4)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(parse(kind, &whole[HEADER_BYTES..]))
    })
}

fn parse(kind: u16, body: &[u8]) -> Message {
    match kind {
        SOCK_DIAG_BY_FAMILY | TCPDIAG_GETSOCK => {
            parse_socket(body).map_or(Message::Other, Message::Socket)
        }
        NLMSG_DONE => Message::Done,
        NLMSG_ERROR => {
            let number = u32_at(body, 0).map_or(0, u32::cast_signed);
            Message::Refused(number.saturating_neg())
        }
        _ => Message::Other,
    }
}

/// `None` for what is too short, or carries no counts (as the rest of a closed connection does).
fn parse_socket(body: &[u8]) -> Option<Seen> {
    let (family, state) = (*body.first()?, *body.get(1)?);
    let id = SocketId {
        family,
        raw: body.get(ID)?.try_into().ok()?,
    };
    let mut seen = Seen {
        id,
        is_listening: state == LISTEN,
        inode: u32_at(body, INODE)?,
        traffic: Traffic::default(),
        end_received: matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING),
    };
    let info = attribute(body.get(MESSAGE_BYTES..)?, INET_DIAG_INFO)?;
    if !seen.is_listening {
        let sent = u64_at(info, BYTES_SENT)?;
        let again = u64_at(info, BYTES_RETRANSMITTED)?;
        seen.traffic.sent = sent.saturating_sub(again);
        seen.traffic.received = u64_at(info, BYTES_RECEIVED)?;
    }
    Some(seen)
}

/// The payload of the attribute with this number.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    const HEADER: usize = 4;
    loop {
        let length = usize::from(u16_at(bytes, 0)?);
        let whole = bytes.get(..length).filter(|_| length >= HEADER)?;
        if u16_at(bytes, 2)? == wanted {
            return Some(&whole[HEADER..]);
        }
        bytes = bytes.get(aligned(length)..)?;
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(
        bytes.get(offset..offset + 2)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(
        bytes.get(offset..offset + 8)?.try_into().ok()?,
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A socket of version 4 at 127.0.0.1 with this cookie and port.
    pub(in super::super) fn socket(cookie: u32, port: u16, inode: u32) -> Seen {
        let mut raw = [0; ID_BYTES];
        raw[..2].copy_from_slice(&port.to_be_bytes());
        raw[4..8].copy_from_slice(&[127, 0, 0, 1]);
        raw[40..44].copy_from_slice(&cookie.to_ne_bytes());
        Seen {
            id: SocketId { family: INET, raw },
            is_listening: false,
            inode,
            traffic: Traffic::default(),
            end_received: false,
        }
    }

    fn told(state: u8, sent: u64, again: u64, received: u64) -> Vec<u8> {
        let id = socket(7, 80, 0).id;
        let mut body = vec![INET, state, 0, 0];
        body.extend(id.raw);
        body.extend([0; 16]);
        body.extend(4711_u32.to_ne_bytes());
        body.extend([5, 0, 9, 0, 1, 0, 0, 0]); // an attribute of one byte, padded
        let mut info = [0; 232];
        info[BYTES_RECEIVED..][..8].copy_from_slice(&received.to_ne_bytes());
        info[BYTES_SENT..][..8].copy_from_slice(&sent.to_ne_bytes());
        info[BYTES_RETRANSMITTED..][..8].copy_from_slice(&again.to_ne_bytes());
        body.extend(236_u16.to_ne_bytes());
        body.extend(INET_DIAG_INFO.to_ne_bytes());
        body.extend(info);
        message(SOCK_DIAG_BY_FAMILY, 0, &body)
    }

    #[test]
    fn what_was_sent_twice_is_counted_once() {
        let mut datagram = told(1, 1500, 500, 70);
        datagram.extend(message(NLMSG_DONE, 0, &[0; 4]));
        let expected = Seen {
            traffic: Traffic {
                received: 70,
                sent: 1000,
            },
            ..socket(7, 80, 4711)
        };
        let messages: Vec<_> = messages(&datagram).collect();
        assert_eq!(messages, [Message::Socket(expected), Message::Done]);
        assert_eq!(expected.id.cookie(), 7);
        assert_eq!(expected.id.local_port(), 80);
    }

    #[test]
    fn the_other_sides_end_mark_is_known_by_the_state() {
        let end_received = |state| match messages(&told(state, 0, 0, 1)).next() {
            Some(Message::Socket(seen)) => seen.end_received,
            other => panic!("{other:?}"),
        };
        assert!(end_received(CLOSE_WAIT) && end_received(LAST_ACK) && end_received(CLOSING));
        assert!(!end_received(1) && !end_received(5));
    }

    #[test]
    fn an_error_is_its_number() {
        let refusal = message(NLMSG_ERROR, 0, &(-2_i32).to_ne_bytes());
        let messages: Vec<_> = messages(&refusal).collect();
        assert_eq!(messages, [Message::Refused(2)]);
    }

    #[test]
    fn an_address_is_one_of_version_six() {
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1];
        assert_eq!(socket(1, 1, 1).id.local_address(), mapped);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic_and_end(bytes: Vec<u8>) {
            prop_assert!(messages(&bytes).count() <= bytes.len());
        }
    }
}
