//! A hash of a row's values, in the order of its columns.
//!
//! It finds damage, not forgery: 64 bits, a multiplication for every eight bytes. Values of
//! different types differ, and so do rows that divide the same bytes differently between columns.
//! The sums that are stored rest on it: a change here is a migration that counts them anew.

use rusqlite::types::ValueRef;

/// Odd, with as many ones as zeros, and unlike each other: one for each type of value.
const START: u64 = 0xa076_1d64_78bd_642f;
const NULL: u64 = 0xe703_7ed1_a0b4_28db;
const INTEGER: u64 = 0x8ebc_6af0_9c88_c6e3;
const REAL: u64 = 0x5899_65cc_7537_4cc3;
const TEXT: u64 = 0x1d8e_4e27_c47d_124f;
const BLOB: u64 = 0xeb44_acca_b455_d165;

/// The hash of a row in the making.
#[derive(Debug)]
pub(super) struct RowHash(u64);

impl RowHash {
    /// Of no values yet.
    pub(super) fn new() -> Self {
        Self(START)
    }

    /// Adds the next column's value.
    pub(super) fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.mix(0, NULL),
            ValueRef::Integer(number) => self.integer(number),
            ValueRef::Real(number) => self.mix(number.to_bits(), REAL),
            ValueRef::Text(bytes) => self.text(bytes),
            ValueRef::Blob(bytes) => self.bytes(bytes, BLOB),
        }
    }

    pub(super) fn integer(&mut self, number: i64) {
        self.mix(number.cast_unsigned(), INTEGER);
    }

    pub(super) fn text(&mut self, bytes: &[u8]) {
        self.bytes(bytes, TEXT);
    }

    pub(super) fn optional_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text.as_bytes()),
            None => self.mix(0, NULL),
        }
    }

    pub(super) fn optional_integer(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.integer(number),
            None => self.mix(0, NULL),
        }
    }

    pub(super) fn finish(self) -> u64 {
        fold(self.0, START)
    }

    fn bytes(&mut self, bytes: &[u8], kind: u64) {
        self.mix(bytes.len() as u64, kind);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word), kind);
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last), kind);
        }
    }

    fn mix(&mut self, word: u64, kind: u64) {
        self.0 = fold(self.0 ^ word, kind);
    }
}

/// Both halves of the product, so that high bits come to bear on low ones.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(values: &[ValueRef<'_>]) -> u64 {
        let mut hash = RowHash::new();
        values.iter().for_each(|value| hash.value(*value));
        hash.finish()
    }

    proptest! {
        #[test]
        fn a_flipped_bit_changes_the_hash(mut bytes: Vec<u8>, number: i64, at: usize, bit in 0..64_u32) {
            let whole = hash(&[ValueRef::Integer(number), ValueRef::Text(&bytes)]);
            let flipped = number ^ (1_i64 << bit);
            prop_assert_ne!(whole, hash(&[ValueRef::Integer(flipped), ValueRef::Text(&bytes)]));
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] ^= 1_u8 << (bit % 8);
                prop_assert_ne!(whole, hash(&[ValueRef::Integer(number), ValueRef::Text(&bytes)]));
            }
        }
    }

    #[test]
    fn types_and_borders_between_columns_count() {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        let rows: &[&[ValueRef<'_>]] = &[
            &[Null],
            &[Null, Null],
            &[Integer(0)],
            &[Real(0.0)],
            &[Text(b"")],
            &[Blob(b"")],
            &[Text(b"ab"), Text(b"c")],
            &[Text(b"a"), Text(b"bc")],
            &[Text(b"abc")],
            &[Text(b"abc\0")],
        ];
        for (index, row) in rows.iter().enumerate() {
            for other in &rows[..index] {
                assert_ne!(hash(row), hash(other), "{row:?} {other:?}");
            }
        }
    }
}
