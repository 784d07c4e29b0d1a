//! Captured values: arguments, results, attributes.
//!
//! The hot path stores a value as typed bytes (one tag byte and the least that tells it), because
//! making text costs more than the call it describes. The text is made once, by the drain, with
//! [`Value::render`]. Containers are stored shallow: a few elements and the true length.
//!
//! ```text
//! tag  value      bytes after the tag
//! 0    none
//! 1 2  false true
//! 3    integer    zig-zag varint
//! 4    float      8
//! 5    text       text
//! 6    cut text   varint length in characters, text (the beginning)
//! 7    verbatim   text, shown as it is: a summary or a custom serializer's answer
//! 8    masked     (a sensitive value; its bytes were never copied)
//! 9    object     text (class name), 8 bytes address
//! 10   sequence   byte shape, varint length, byte shown, shown × value
//! 11   mapping    varint length, byte shown, shown × key value
//! 12   integer    4 bytes
//! ```

use std::fmt::Write as _;

use crate::codec::{Decoder, Encoder, Full, Malformed, Packed, Small, zig_zag};

/// How deep a hostile value may nest before it is malformed.
const MAX_DEPTH: u8 = 16;

/// A sequence's brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// `[1, 2]`
    List = 0,
    /// `(1, 2)`
    Tuple = 1,
    /// `{1, 2}`
    Set = 2,
    /// `frozenset({1, 2})`
    FrozenSet = 3,
}

/// A captured value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: Python's `None`, Rust's `()`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer that fits 64 bits; larger ones are [`Value::Verbatim`].
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text, whole.
    Text(String),
    /// The beginning of a longer text.
    CutText {
        /// Its beginning.
        beginning: String,
        /// The whole text's length in characters.
        length: u64,
    },
    /// Shown exactly as it is.
    Verbatim(String),
    /// A sensitive value, masked before it was recorded.
    Masked,
    /// An object of which only class and address are told.
    Object {
        /// Class name.
        class: String,
        /// Where it stood in memory.
        address: u64,
    },
    /// List, tuple, or set: the first few elements.
    Sequence {
        /// Which brackets.
        shape: Shape,
        /// The elements recorded.
        shown: Vec<Value>,
        /// How many there were.
        length: u64,
    },
    /// Mapping: the first few keys.
    Mapping {
        /// The keys recorded.
        keys: Vec<Value>,
        /// How many there were.
        length: u64,
    },
}

impl Value {
    /// Writes tag and bytes.
    pub fn encode(&self, out: &mut Encoder<'_>) -> Result<(), Full> {
        match self {
            Self::None => out.u8(0),
            Self::Bool(value) => out.u8(1 + u8::from(*value)),
            Self::Int(value) => encode_int(out, *value),
            Self::Float(value) => encode_float(out, *value),
            Self::Text(text) => encode_text(out, text),
            Self::CutText { beginning, length } => encode_cut_text(out, beginning, *length),
            Self::Verbatim(text) => encode_verbatim(out, text),
            Self::Masked => encode_masked(out),
            Self::Object { class, address } => encode_object(out, class, *address),
            Self::Sequence {
                shape,
                shown,
                length,
            } => {
                *encode_sequence_head(out, *shape, *length)? = few(shown);
                shown
                    .iter()
                    .take(255)
                    .try_for_each(|value| value.encode(out))
            }
            Self::Mapping { keys, length } => {
                *encode_mapping_head(out, *length)? = few(keys);
                keys.iter().take(255).try_for_each(|key| key.encode(out))
            }
        }
    }

    /// Reads one value.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        decode_nested(input, MAX_DEPTH)
    }

    /// The value as text, the way Python's `repr` would put it.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.render_into(&mut out);
        out
    }

    /// Appends the text to `out`.
    pub fn render_into(&self, out: &mut String) {
        match self {
            Self::None => out.push_str("None"),
            Self::Bool(true) => out.push_str("True"),
            Self::Bool(false) => out.push_str("False"),
            Self::Int(value) => render_int(out, *value),
            Self::Float(value) => render_float(out, *value),
            Self::Text(text) => render_text(out, text, ""),
            Self::CutText { beginning, .. } => render_text(out, beginning, "..."),
            Self::Verbatim(text) => out.push_str(text),
            Self::Masked => out.push_str("***"),
            Self::Object { class, address } => {
                append(out, format_args!("<{class} at {address:#x}>"));
            }
            Self::Sequence {
                shape,
                shown,
                length,
            } => render_sequence(out, *shape, shown, *length),
            Self::Mapping { keys, length } => render_mapping(out, keys, *length),
        }
    }
}

/// Appends an integer's tag and bytes, without building a [`Value`].
#[inline]
pub fn encode_int(out: &mut Encoder<'_>, value: i64) -> Result<(), Full> {
    if let Some(packed) = packed_int(value) {
        return out.packed(packed);
    }
    out.u8(3)?;
    out.varint(zig_zag(value))
}

/// Tag and bytes of an integer; nothing for one beyond 32 bits.
#[inline]
pub fn packed_int(value: i64) -> Option<Packed> {
    // The two short forms that take no shifting: a varint of one byte, and four bytes as they are.
    if let Ok(short @ 0..0x80) = u8::try_from(zig_zag(value)) {
        return Some(Packed::byte(3).then(Packed::byte(short)));
    }
    let value = i32::try_from(value).ok()?;
    Some(Packed::byte(12).then(Packed::u32(value.cast_unsigned())))
}

/// Appends `before` and an integer; nothing when it does not fit.
#[inline]
pub fn push_int(out: &mut Small, before: Packed, value: i64) -> Option<()> {
    match packed_int(value) {
        Some(packed) => out.push(before.then(packed)),
        None => push_long_int(out, before, value),
    }
}

fn push_long_int(out: &mut Small, before: Packed, value: i64) -> Option<()> {
    out.push(before.then(Packed::byte(3)))?;
    let mut space = [0; 10];
    let mut varint = Encoder::new(&mut space);
    varint.varint(zig_zag(value)).ok()?;
    let length = varint.used();
    out.push_bytes(&space[..length])
}

/// Appends a float's tag and bytes.
#[inline]
pub fn encode_float(out: &mut Encoder<'_>, value: f64) -> Result<(), Full> {
    out.u8(4)?;
    out.f64(value)
}

/// Appends `before` and a float; nothing when it does not fit.
#[inline]
pub fn push_float(out: &mut Small, before: Packed, value: f64) -> Option<()> {
    out.push(before.then(Packed::byte(4)))?;
    out.push(Packed::u64(value.to_bits()))
}

/// Appends a text's tag and bytes.
#[inline]
pub fn encode_text(out: &mut Encoder<'_>, text: &str) -> Result<(), Full> {
    out.u8(5)?;
    out.varint(text.len() as u64)?;
    out.bytes(text.as_bytes())
}

/// Appends the beginning of a text that is `length` characters long.
pub fn encode_cut_text(out: &mut Encoder<'_>, beginning: &str, length: u64) -> Result<(), Full> {
    out.u8(6)?;
    out.varint(length)?;
    out.text(beginning)
}

/// Appends text that is shown as it is.
pub fn encode_verbatim(out: &mut Encoder<'_>, text: &str) -> Result<(), Full> {
    out.u8(7)?;
    out.text(text)
}

/// The bytes of `None`.
#[inline]
pub fn packed_none() -> Packed {
    Packed::byte(0)
}

/// The bytes of a truth value.
#[inline]
pub fn packed_bool(value: bool) -> Packed {
    Packed::byte(1 + u8::from(value))
}

/// Appends `before` and a text; nothing when it does not fit.
#[inline]
pub fn push_text(out: &mut Small, before: Packed, text: &str) -> Option<()> {
    push_counted(out, before.then(Packed::byte(5)), text)
}

/// Appends `before`, class and address of an object; nothing when they do not fit.
#[inline]
pub fn push_object(out: &mut Small, before: Packed, class: &str, address: u64) -> Option<()> {
    push_counted(out, before.then(Packed::byte(9)), class)?;
    out.push(Packed::u64(address))
}

#[inline]
fn push_counted(out: &mut Small, before: Packed, text: &str) -> Option<()> {
    // What fits has a length of one byte.
    let length = u8::try_from(text.len()).ok().filter(|it| *it < 0x80)?;
    out.push(before.then(Packed::byte(length)))?;
    out.push_bytes(text.as_bytes())
}

/// The mark of a sensitive value.
#[inline]
pub fn packed_masked() -> Packed {
    Packed::byte(8)
}

/// Appends the mark of a sensitive value.
pub fn encode_masked(out: &mut Encoder<'_>) -> Result<(), Full> {
    out.packed(packed_masked())
}

/// Appends class and address of an object.
pub fn encode_object(out: &mut Encoder<'_>, class: &str, address: u64) -> Result<(), Full> {
    out.u8(9)?;
    out.text(class)?;
    out.u64(address)
}

/// Appends a sequence's head; exactly as many values must follow as the answer is then set to.
pub fn encode_sequence_head<'a>(
    out: &mut Encoder<'a>,
    shape: Shape,
    length: u64,
) -> Result<&'a mut u8, Full> {
    out.array([10, shape as u8])?;
    out.varint(length)?;
    out.later_u8()
}

/// Appends a mapping's head; exactly as many keys must follow as the answer is then set to.
pub fn encode_mapping_head<'a>(out: &mut Encoder<'a>, length: u64) -> Result<&'a mut u8, Full> {
    out.u8(11)?;
    out.varint(length)?;
    out.later_u8()
}

fn few(values: &[Value]) -> u8 {
    u8::try_from(values.len()).unwrap_or(u8::MAX)
}

fn decode_nested(input: &mut Decoder<'_>, depth: u8) -> Result<Value, Malformed> {
    let deeper = depth.checked_sub(1).ok_or(Malformed)?;
    Ok(match input.u8()? {
        0 => Value::None,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Int(input.signed()?),
        12 => Value::Int(input.u32()?.cast_signed().into()),
        4 => Value::Float(input.f64()?),
        5 => Value::Text(input.text()?.to_owned()),
        6 => Value::CutText {
            length: input.varint()?,
            beginning: input.text()?.to_owned(),
        },
        7 => Value::Verbatim(input.text()?.to_owned()),
        8 => Value::Masked,
        9 => Value::Object {
            class: input.text()?.to_owned(),
            address: input.u64()?,
        },
        10 => {
            let shape = match input.u8()? {
                0 => Shape::List,
                1 => Shape::Tuple,
                2 => Shape::Set,
                3 => Shape::FrozenSet,
                _ => return Err(Malformed),
            };
            let length = input.varint()?;
            Value::Sequence {
                shape,
                length,
                shown: decode_several(input, deeper)?,
            }
        }
        11 => Value::Mapping {
            length: input.varint()?,
            keys: decode_several(input, deeper)?,
        },
        _ => return Err(Malformed),
    })
}

fn decode_several(input: &mut Decoder<'_>, depth: u8) -> Result<Vec<Value>, Malformed> {
    let count = input.u8()?;
    (0..count).map(|_| decode_nested(input, depth)).collect()
}

/// By hand, because it is what most values are, and formatting takes four times as long.
fn render_int(out: &mut String, value: i64) {
    // Nineteen digits and a sign.
    let mut text = [0; 20];
    let mut begin = text.len();
    let mut rest = value.unsigned_abs();
    loop {
        begin -= 1;
        text[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        begin -= 1;
        text[begin] = b'-';
    }
    out.push_str(std::str::from_utf8(&text[begin..]).expect("digits are ASCII"));
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a string cannot fail");
}

/// Python's `repr(float)`: the shortest digits that read back, exponents from 1e16 and below 1e-4.
fn render_float(out: &mut String, value: f64) {
    let magnitude = value.abs();
    if value.is_nan() {
        out.push_str("nan");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    } else if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, number) = exponent
            .strip_prefix('-')
            .map_or(('+', exponent), |rest| ('-', rest));
        append(out, format_args!("{digits}e{sign}{number:0>2}"));
    } else {
        append(out, format_args!("{value:?}"));
    }
}

/// Python's `repr(str)`: single quotes unless the text holds one and no double quote.
fn render_text(out: &mut String, text: &str, ending: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() && u32::from(c) <= 0xff => {
                append(out, format_args!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push_str(ending);
    out.push(quote);
}

fn render_sequence(out: &mut String, shape: Shape, shown: &[Value], length: u64) {
    let (open, close) = match shape {
        Shape::List => ("[", "]"),
        Shape::Tuple if length == 1 => ("(", ",)"),
        Shape::Tuple => ("(", ")"),
        Shape::Set if length == 0 => ("set(", ")"),
        Shape::Set => ("{", "}"),
        Shape::FrozenSet if length == 0 => ("frozenset(", ")"),
        Shape::FrozenSet => ("frozenset({", "})"),
    };
    out.push_str(open);
    for (index, value) in shown.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        value.render_into(out);
    }
    render_more(out, shown.len(), length);
    out.push_str(close);
}

fn render_mapping(out: &mut String, keys: &[Value], length: u64) {
    out.push('{');
    for (index, key) in keys.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        key.render_into(out);
        out.push_str(": ...");
    }
    render_more(out, keys.len(), length);
    out.push('}');
}

fn render_more(out: &mut String, shown: usize, length: u64) {
    let more = length.saturating_sub(shown as u64);
    if more > 0 {
        let comma = if shown == 0 { "" } else { ", " };
        append(out, format_args!("{comma}+{more} more"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::None),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e300..1e300).prop_map(Value::Float),
            ".*".prop_map(Value::Text),
            (".*", any::<u64>())
                .prop_map(|(beginning, length)| Value::CutText { beginning, length }),
            ".*".prop_map(Value::Verbatim),
            Just(Value::Masked),
            (".*", any::<u64>()).prop_map(|(class, address)| Value::Object { class, address }),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..4), any::<u64>()).prop_map(
                    |(shown, length)| Value::Sequence {
                        shape: Shape::Tuple,
                        shown,
                        length
                    }
                ),
                (prop::collection::vec(inner, 0..4), any::<u64>())
                    .prop_map(|(keys, length)| Value::Mapping { keys, length }),
            ]
        })
    }

    proptest! {
        #[test]
        fn integers_read_as_everywhere(number: i64) {
            for number in [number, number >> 40, i64::MIN, i64::MAX, 0] {
                prop_assert_eq!(Value::Int(number).render(), number.to_string());
            }
        }

        #[test]
        fn a_value_survives_its_bytes(value in any_value()) {
            let mut space = vec![0; 64 * 1024];
            let mut out = Encoder::new(&mut space);
            value.encode(&mut out).unwrap();
            let used = out.used();
            let mut input = Decoder::new(&space[..used]);
            prop_assert_eq!(Value::decode(&mut input), Ok(value));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn integers_of_any_size_are_packed(number: i64, shift in 0..64_u32) {
            let number = number >> shift;
            let mut small = Small::new();
            push_int(&mut small, Packed::byte(1), number).unwrap();
            let mut input = Decoder::new(&small.bytes()[1..]);
            prop_assert_eq!(Value::decode(&mut input), Ok(Value::Int(number)));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(value) = Value::decode(&mut Decoder::new(&bytes)) {
                value.render();
            }
        }
    }

    #[test]
    fn values_read_as_python_would_print_them() {
        let check = |value: Value, text: &str| assert_eq!(value.render(), text);
        check(Value::Int(42), "42");
        check(Value::Text("hello".into()), "'hello'");
        check(Value::Text("it's\n".into()), "\"it's\\n\"");
        check(Value::Text("\u{0}é".into()), "'\\x00é'");
        check(Value::Float(1.0), "1.0");
        check(Value::Float(1e16), "1e+16");
        check(Value::Float(1e-7), "1e-07");
        check(Value::Float(f64::NAN), "nan");
        check(
            Value::Object {
                class: "Portfolio".into(),
                address: 0x123,
            },
            "<Portfolio at 0x123>",
        );
        let keys = vec![Value::Text("a".into()), Value::Text("b".into())];
        check(
            Value::Mapping { keys, length: 10 },
            "{'a': ..., 'b': ..., +8 more}",
        );
        let shown = vec![Value::Int(1)];
        check(
            Value::Sequence {
                shape: Shape::Tuple,
                shown,
                length: 1,
            },
            "(1,)",
        );
        check(
            Value::Sequence {
                shape: Shape::Set,
                shown: vec![],
                length: 0,
            },
            "set()",
        );
    }

    #[test]
    fn nesting_without_end_is_malformed() {
        let bytes = [10, 0, 1, 1].repeat(100);
        assert_eq!(Value::decode(&mut Decoder::new(&bytes)), Err(Malformed));
    }
}
