//! Payloads put together before there is a place for them.
//!
//! What most calls are recorded with is a few integers. Written one by one into a record each would
//! need a look at the room left; packed, a piece is one store, and the whole is known in length before
//! the record is begun.

/// Up to eight bytes, put together before they are written: one look at the space and one store for
/// what would else be several. The first byte is the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    word: u64,
    length: u32,
}

impl Packed {
    /// One byte.
    #[inline]
    pub fn byte(value: u8) -> Self {
        Self {
            word: value.into(),
            length: 1,
        }
    }

    /// Four bytes.
    #[inline]
    pub fn u32(value: u32) -> Self {
        Self {
            word: value.into(),
            length: 4,
        }
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(value: u64) -> Self {
        Self {
            word: value,
            length: 8,
        }
    }

    /// These bytes, then others; both together are at most eight.
    #[inline]
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        debug_assert!(self.length + next.length <= 8, "a word has eight bytes");
        Self {
            word: self.word | next.word << (8 * self.length),
            length: self.length + next.length,
        }
    }

    /// The bytes, zeros behind them.
    #[inline]
    pub(super) fn bytes(self) -> [u8; 8] {
        self.word.to_le_bytes()
    }

    /// How many there are.
    #[inline]
    pub(super) fn length(self) -> usize {
        self.length as usize
    }
}

/// A short payload, or the end of one.
#[derive(Debug, Clone)]
pub struct Small {
    /// Zero beyond `length`, up to the end of the word it lies in.
    bytes: [u8; Self::SPACE],
    length: usize,
}

impl Small {
    /// The most bytes it can hold.
    pub const CAPACITY: usize = 64;
    /// A piece is stored as a word, whatever its length.
    const SPACE: usize = Self::CAPACITY + 8;

    /// Nothing yet.
    #[inline]
    pub fn new() -> Self {
        Self {
            bytes: [0; Self::SPACE],
            length: 0,
        }
    }

    /// Appends a piece; nothing when it does not fit.
    #[inline]
    #[must_use]
    pub fn push(&mut self, piece: Packed) -> Option<()> {
        let end = self.length + piece.length();
        if end > Self::CAPACITY {
            return None;
        }
        *self.bytes.get_mut(self.length..)?.first_chunk_mut()? = piece.bytes();
        self.length = end;
        Some(())
    }

    /// Appends bytes; nothing when they do not fit.
    #[inline]
    #[must_use]
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        if end > Self::CAPACITY {
            return None;
        }
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    /// What it holds.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The same as little-endian words, the last one filled up with zeros.
    #[inline]
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        let (words, _) = self.bytes.as_chunks();
        words[..self.length.div_ceil(8)]
            .iter()
            .map(|word| u64::from_le_bytes(*word))
    }

    /// How many bytes it holds.
    #[inline]
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Default for Small {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_the_bytes_and_zeros(pieces in prop::collection::vec((any::<u8>(), any::<u32>()), 0..20), text: Vec<u8>) {
            let mut small = Small::new();
            let mut expected = Vec::new();
            for (tag, value) in pieces {
                let piece = Packed::byte(tag).then(Packed::u32(value));
                prop_assert_eq!(small.push(piece).is_some(), expected.len() + 5 <= Small::CAPACITY);
                if expected.len() + 5 <= Small::CAPACITY {
                    expected.push(tag);
                    expected.extend(value.to_le_bytes());
                }
            }
            if small.push_bytes(&text).is_some() {
                expected.extend(text);
            }
            prop_assert_eq!(small.bytes(), expected.as_slice());
            prop_assert_eq!(small.length(), expected.len());
            expected.resize(expected.len().next_multiple_of(8), 0);
            let words: Vec<u8> = small.words().flat_map(u64::to_le_bytes).collect();
            prop_assert_eq!(words, expected);
        }
    }
}
