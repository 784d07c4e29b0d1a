//! A chunk as the crate's documentation describes it, written by nothing but that description: what
//! an honest producer writes, and what a hostile one could.

/// Where the parts of a chunk stand.
pub(crate) const HEADS: [usize; 2] = [0, 128];
pub(crate) const HEAD_LEN: usize = 96;
pub(crate) const SEAL: usize = 256;
pub(crate) const RECORDS: usize = 272;
pub(crate) const FIRST_RECORD: usize = 512;

pub(crate) const NONCE: u64 = 0xfeed_5eed_0123_4567;
pub(crate) const CHUNK: u32 = 1;

/// The bytes of one copy of a head.
pub(crate) fn head(generation: u64, capacity: u32, tid: u32) -> [u8; HEAD_LEN] {
    let mut bytes = [0; HEAD_LEN];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(b"ARGSPL01");
    put(&1_u32.to_le_bytes());
    put(&CHUNK.to_le_bytes());
    put(&capacity.to_le_bytes());
    put(&tid.to_le_bytes());
    put(&generation.to_le_bytes());
    put(&NONCE.to_le_bytes());
    put(&5_u64.to_le_bytes());
    put(&6_i64.to_le_bytes());
    put(&[b't'; 24]);
    let crc = crc32c::crc32c(&bytes[..80]);
    bytes[80..84].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A word and its complement.
pub(crate) fn checked_word(word: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&word.to_le_bytes());
    bytes[8..].copy_from_slice(&(!word).to_le_bytes());
    bytes
}

/// A mark as in seal and committed.
pub(crate) fn mark(generation: u64, offset: usize) -> u64 {
    generation << 32 | offset as u64
}

/// A record's bytes at `offset`, its padding included.
pub(crate) fn record(generation: u64, offset: usize, kind: u8, payload: &[u8]) -> Vec<u8> {
    let state = 0xA26B << 48
        | (generation & 0xffff) << 32
        | u64::from(kind) << 24
        | payload.len() as u64 & 0xff_ffff;
    let mut bytes = state.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let mut summed = Vec::new();
    for word in [NONCE, u64::from(CHUNK), generation, offset as u64] {
        summed.extend(word.to_le_bytes());
    }
    summed.extend(&bytes);
    // The raw register: it starts from all ones, and is not inverted at the end.
    let crc = !crc32c::crc32c(&summed);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}
