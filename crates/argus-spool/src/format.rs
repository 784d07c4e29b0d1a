//! The layout described in the crate's documentation, as constants and conversions.

use argus_model::time::ClockAnchor;
use argus_model::{Monotonic, Timestamp};

use crate::checksum;

/// Version of this layout.
pub const FORMAT_VERSION: u32 = 1;
/// The first eight bytes of a chunk.
pub const CHUNK_MAGIC: [u8; 8] = *b"ARGSPL01";
/// The smallest chunk, and a thread's first.
pub const MIN_CHUNK: u32 = 64 * 1024;
/// The largest chunk.
pub const MAX_CHUNK: u32 = 4 * 1024 * 1024;
/// Where records begin.
pub const FIRST_RECORD: u32 = 512;
/// Bytes of a record before its payload.
pub const RECORD_HEAD: u32 = 12;
/// The least space a record takes.
pub const SMALLEST_RECORD: u32 = 16;

/// Bytes of one copy of the head.
pub const HEAD_LEN: usize = 96;
/// Where the head's copies stand.
pub const HEADS: [u32; 2] = [0, 128];
/// Where the seal stands.
pub const SEAL: u32 = 256;
/// Where the count of accepted records stands.
pub const RECORDS: u32 = 272;
/// Where the loss tally stands.
pub const TALLY: u32 = 280;
/// Bytes of the loss tally.
pub const TALLY_LEN: usize = 40;
/// Where the collector says how far it has committed.
pub const COMMITTED: u32 = 384;
/// Where the collector says which generation it has released.
pub const RELEASED: u32 = 400;
/// Where the collector says how many of the process's records it has committed.
pub const DRAINED: u32 = 416;

const RECORD_MAGIC: u64 = 0xA26B;
const LENGTH_MASK: u64 = 0x00ff_ffff;

/// The name of the file that holds chunk `number`.
pub fn chunk_file_name(number: u32) -> String {
    format!("{number:08x}.chunk")
}

/// The chunk number in a file's name.
pub fn chunk_number(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_suffix(".chunk")?;
    (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Rounds up to the next multiple of 8.
pub const fn padded(length: u32) -> u32 {
    (length + 7) & !7
}

/// A record's state word without kind and length.
pub fn state_prefix(generation: u64) -> u64 {
    RECORD_MAGIC << 48 | (generation & 0xffff) << 32
}

/// A record's state word.
#[inline]
pub fn state_word(prefix: u64, kind: u8, length: u32) -> u64 {
    prefix | u64::from(kind) << 24 | u64::from(length)
}

/// Kind and payload length from a state word of this generation; nothing for any other word.
#[inline]
pub fn parse_state(word: u64, prefix: u64) -> Option<(u8, u32)> {
    if word & 0xffff_ffff_0000_0000 != prefix {
        return None;
    }
    let length = (word & LENGTH_MASK) as u32;
    let kind = (word >> 24) as u8;
    (kind != 0).then_some((kind, length))
}

/// A word that says "up to `offset` of generation `generation`".
pub fn mark(generation: u64, offset: u32) -> u64 {
    generation << 32 | u64::from(offset)
}

/// The offset in a mark of this generation; nothing when it speaks of another.
pub fn offset_in_mark(mark: u64, generation: u64) -> Option<u32> {
    (mark >> 32 == generation & 0xffff_ffff).then_some(mark as u32)
}

/// A word followed by its complement; nothing when they disagree.
pub fn checked_word(bytes: &[u8]) -> Option<u64> {
    let word = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let complement = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    (word == !complement).then_some(word)
}

/// A word and its complement.
pub fn word_bytes(word: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&word.to_le_bytes());
    bytes[8..].copy_from_slice(&(!word).to_le_bytes());
    bytes
}

/// A chunk's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The chunk's number.
    pub chunk: u32,
    /// The file's size.
    pub capacity: u32,
    /// The owner's kernel thread id.
    pub tid: u32,
    /// How many times the chunk has been taken, from 1.
    pub generation: u64,
    /// The producer's nonce.
    pub nonce: u64,
    /// Both clocks when the generation began.
    pub anchor: ClockAnchor,
    /// The owner's name, zero-padded.
    pub thread: [u8; 24],
}

impl Head {
    /// The head's bytes.
    pub fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&CHUNK_MAGIC);
        put(&FORMAT_VERSION.to_le_bytes());
        put(&self.chunk.to_le_bytes());
        put(&self.capacity.to_le_bytes());
        put(&self.tid.to_le_bytes());
        put(&self.generation.to_le_bytes());
        put(&self.nonce.to_le_bytes());
        put(&self.anchor.monotonic.nanos().to_le_bytes());
        put(&self.anchor.wall.nanos().to_le_bytes());
        put(&self.thread);
        let crc = checksum::of(&bytes[..HEAD_CRC]);
        bytes[HEAD_CRC..HEAD_CRC + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a head; nothing when it is damaged, empty, or of another format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD_LEN] = bytes.get(..HEAD_LEN)?.try_into().ok()?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let valid = bytes[..8] == CHUNK_MAGIC
            && word(8) == FORMAT_VERSION
            && word(HEAD_CRC) == checksum::of(&bytes[..HEAD_CRC]);
        valid.then(|| Self {
            chunk: word(12),
            capacity: word(16),
            tid: word(20),
            generation: long(24),
            nonce: long(32),
            anchor: ClockAnchor {
                monotonic: Monotonic::from_nanos(long(40)),
                wall: Timestamp::from_nanos(long(48).cast_signed()),
            },
            thread: std::array::from_fn(|index| bytes[56 + index]),
        })
    }

    /// The owner's name as text.
    pub fn thread_name(&self) -> String {
        let end = self
            .thread
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.thread.len());
        String::from_utf8_lossy(&self.thread[..end]).into_owned()
    }
}

/// Offset of the CRC in a head.
const HEAD_CRC: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_bytes_and_no_flipped_bit_does() {
        let mut thread = [0; 24];
        thread[..4].copy_from_slice(b"main");
        let head = Head {
            chunk: 3,
            capacity: MIN_CHUNK,
            tid: 99,
            generation: 1 << 40,
            nonce: 0xfeed,
            anchor: ClockAnchor {
                monotonic: Monotonic::from_nanos(5),
                wall: Timestamp::from_nanos(-6),
            },
            thread,
        };
        let bytes = head.encode();
        assert_eq!(Head::decode(&bytes), Some(head));
        assert_eq!(head.thread_name(), "main");
        for bit in 0..(HEAD_CRC + 4) * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_state_word_is_valid_in_its_generation_only() {
        let prefix = state_prefix(7);
        let word = state_word(prefix, 4, 1000);
        assert_eq!(parse_state(word, prefix), Some((4, 1000)));
        assert_eq!(parse_state(word, state_prefix(8)), None);
        assert_eq!(parse_state(0, prefix), None);
    }

    #[test]
    fn a_torn_word_is_not_believed() {
        let mut bytes = word_bytes(mark(0x1_0000_0002, 512));
        assert_eq!(
            checked_word(&bytes).and_then(|mark| offset_in_mark(mark, 2)),
            Some(512)
        );
        bytes[3] ^= 1;
        assert_eq!(checked_word(&bytes), None);
    }

    #[test]
    fn chunk_files_are_told_from_others() {
        assert_eq!(chunk_number(&chunk_file_name(0xabc)), Some(0xabc));
        assert_eq!(chunk_number("1.chunk"), None);
        assert_eq!(chunk_number("00000001.tmp"), None);
    }
}
