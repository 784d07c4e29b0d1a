//! The bytes of a payload: fixed words, variable-length integers, and counted text.
//!
//! [`Encoder`] writes into space that the caller already owns and never allocates; running out of
//! it is [`Full`], after which the caller finds more space and starts over with another encoder. [`Decoder`] reads bytes
//! that may come from a damaged disk or a hostile program: every length is checked, nothing
//! panics, and what does not parse is [`Malformed`].
//!
//! Integers are little-endian. A `varint` is LEB128 (seven bits a byte, low bits first, at most
//! ten bytes), signed ones zig-zag first. Text is a varint byte length and UTF-8.

mod small;

pub use small::{Packed, Small};

/// The space given to an [`Encoder`] is too small for what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no space left in the record")]
pub struct Full;

/// Bytes that are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed record")]
pub struct Malformed;

/// Writes a payload into borrowed space.
#[derive(Debug)]
pub struct Encoder<'a> {
    /// What has not been written yet.
    rest: &'a mut [u8],
    space: usize,
}

impl<'a> Encoder<'a> {
    /// An encoder that fills `space` from its start.
    #[inline]
    pub fn new(space: &'a mut [u8]) -> Self {
        Self {
            space: space.len(),
            rest: space,
        }
    }

    /// Bytes written so far.
    #[inline]
    pub fn used(&self) -> usize {
        self.space - self.rest.len()
    }

    /// The next `N` bytes, which count as written.
    #[inline]
    fn next<const N: usize>(&mut self) -> Result<&'a mut [u8; N], Full> {
        let rest = std::mem::take(&mut self.rest);
        match rest.split_first_chunk_mut() {
            Some((next, rest)) => {
                self.rest = rest;
                Ok(next)
            }
            None => Err(Full),
        }
    }

    /// Appends so many bytes as the program's text says.
    #[inline]
    pub fn array<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), Full> {
        *self.next()? = bytes;
        Ok(())
    }

    /// Appends raw bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let rest = std::mem::take(&mut self.rest);
        let (next, rest) = rest.split_at_mut_checked(bytes.len()).ok_or(Full)?;
        next.copy_from_slice(bytes);
        self.rest = rest;
        Ok(())
    }

    /// Appends bytes that were put together before.
    #[inline]
    pub fn packed(&mut self, packed: Packed) -> Result<(), Full> {
        let bytes = packed.bytes();
        let length = packed.length();
        let Some(space) = self.rest.first_chunk_mut() else {
            return self.bytes(&bytes[..length]);
        };
        // What is written beyond is overwritten by what comes next, or cut off by the record's length.
        *space = bytes;
        self.rest = &mut std::mem::take(&mut self.rest)[length..];
        Ok(())
    }

    /// Appends one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.array([value])
    }

    /// Appends a byte that is known only afterwards; it is zero until then.
    #[inline]
    pub fn later_u8(&mut self) -> Result<&'a mut u8, Full> {
        let [byte] = self.next()?;
        *byte = 0;
        Ok(byte)
    }

    /// Appends four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.array(value.to_le_bytes())
    }

    /// Appends eight bytes.
    #[inline]
    pub fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.array(value.to_le_bytes())
    }

    /// Appends a signed word.
    #[inline]
    pub fn i64(&mut self, value: i64) -> Result<(), Full> {
        self.array(value.to_le_bytes())
    }

    /// Appends a floating-point number, bit for bit.
    #[inline]
    pub fn f64(&mut self, value: f64) -> Result<(), Full> {
        self.u64(value.to_bits())
    }

    /// Appends an unsigned integer in one to ten bytes.
    #[inline]
    pub fn varint(&mut self, value: u64) -> Result<(), Full> {
        if value < 0x80 {
            return self.u8(value.to_le_bytes()[0]);
        }
        self.long_varint(value)
    }

    #[cold]
    fn long_varint(&mut self, value: u64) -> Result<(), Full> {
        let mut bytes = [0; 10];
        let length = write_varint(&mut bytes, value);
        self.bytes(&bytes[..length])
    }

    /// Appends a signed integer; small magnitudes take one byte.
    #[inline]
    pub fn signed(&mut self, value: i64) -> Result<(), Full> {
        self.varint(zig_zag(value))
    }

    /// Appends text with its length.
    #[inline]
    pub fn text(&mut self, text: &str) -> Result<(), Full> {
        self.varint(text.len() as u64)?;
        self.bytes(text.as_bytes())
    }

    /// Appends text that may be absent.
    pub fn optional_text(&mut self, text: Option<&str>) -> Result<(), Full> {
        match text {
            None => self.u8(0),
            Some(text) => {
                self.u8(1)?;
                self.text(text)
            }
        }
    }
}

fn write_varint(space: &mut [u8; 10], mut value: u64) -> usize {
    let mut length = 0;
    for byte in space {
        length += 1;
        if value < 0x80 {
            *byte = value.to_le_bytes()[0];
            break;
        }
        *byte = value.to_le_bytes()[0] | 0x80;
        value >>= 7;
    }
    length
}

/// A signed integer as an unsigned one that is small when its magnitude is.
#[inline]
pub fn zig_zag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Reads a payload.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// A decoder of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A signed word.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// A floating-point number.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        self.u64().map(f64::from_bits)
    }

    /// An unsigned integer of one to ten bytes.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A signed integer.
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// A varint that must fit 32 bits.
    pub fn varint_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed)
    }

    /// Counted text. Bytes that are not UTF-8 are malformed: producers write none.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed)
    }

    /// Text that may be absent.
    pub fn optional_text(&mut self) -> Result<Option<&'a str>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_and_text_round_trip(a: u64, b: i64, c: f64, text: String, absent: Option<String>) {
            let mut space = vec![0; 64 + 2 * text.len() + absent.as_ref().map_or(0, String::len)];
            let mut encoder = Encoder::new(&mut space);
            encoder.varint(a).unwrap();
            encoder.signed(b).unwrap();
            encoder.f64(c).unwrap();
            encoder.text(&text).unwrap();
            encoder.optional_text(absent.as_deref()).unwrap();
            let used = encoder.used();
            let mut decoder = Decoder::new(&space[..used]);
            prop_assert_eq!(decoder.varint(), Ok(a));
            prop_assert_eq!(decoder.signed(), Ok(b));
            prop_assert_eq!(decoder.f64().map(f64::to_bits), Ok(c.to_bits()));
            prop_assert_eq!(decoder.text(), Ok(text.as_str()));
            prop_assert_eq!(decoder.optional_text(), Ok(absent.as_deref()));
            prop_assert!(decoder.is_empty());
        }

        #[test]
        fn packed_bytes_are_written_as_they_would_be_one_by_one(a: u8, b: u32, c: u8, room in 6..16_usize) {
            let packed = Packed::byte(a).then(Packed::u32(b)).then(Packed::byte(c));
            let mut space = vec![0; room];
            let mut encoder = Encoder::new(&mut space);
            encoder.packed(packed).unwrap();
            prop_assert_eq!(encoder.used(), 6);
            let mut one_by_one = [0; 6];
            let mut encoder = Encoder::new(&mut one_by_one);
            encoder.u8(a).and(encoder.u32(b)).and(encoder.u8(c)).unwrap();
            prop_assert_eq!(&space[..6], &one_by_one);
            prop_assert_eq!(Encoder::new(&mut space[..5]).packed(packed), Err(Full));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            while !decoder.is_empty() {
                let before = decoder.rest().len();
                let _ = decoder.clone().varint();
                let _ = decoder.clone().optional_text();
                if decoder.text().is_err() && decoder.u8().is_err() {
                    break;
                }
                prop_assert!(decoder.rest().len() < before);
            }
        }
    }

    #[test]
    fn writing_past_the_space_is_full_not_a_panic() {
        let mut space = [0; 4];
        let mut encoder = Encoder::new(&mut space);
        assert_eq!(encoder.u64(1), Err(Full));
        assert_eq!(encoder.text("abcd"), Err(Full));
    }
}
