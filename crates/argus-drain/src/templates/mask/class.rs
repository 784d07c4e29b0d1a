//! What a byte can be in a line.

/// The role of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// White space or a control character.
    Space,
    /// A letter, or a part of one beyond ASCII.
    Letter,
    /// `0` to `9`.
    Digit,
    /// Punctuation within a piece.
    Joint,
    /// Punctuation that ends a piece.
    Break,
    /// Begins or ends quoted text.
    Quote,
}

const TABLE: [Class; 256] = table();

pub(super) fn class(byte: u8) -> Class {
    TABLE[usize::from(byte)]
}

const fn table() -> [Class; 256] {
    let mut table = [Class::Joint; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        table[at] = match byte {
            0..=0x20 | 0x7f => Class::Space,
            b'0'..=b'9' => Class::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => Class::Letter,
            b'"' | b'\'' | b'`' => Class::Quote,
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' => Class::Break,
            b',' | b';' | b'=' | b'|' | b'&' | b'!' | b'?' => Class::Break,
            _ => Class::Joint,
        };
        at += 1;
    }
    table
}
