//! From a Rust value to what is recorded of it.
//!
//! Primitives and text are recorded as they are, without allocation. Anything else is written by its
//! `Debug` implementation where the caller asks for it (`span!("load", plan = ?plan)`), before the
//! record is begun, and cut.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write as _};

use argus_model::codec::{Encoder, Full, Packed, Small};
use argus_model::value;

/// The most bytes that are kept of a text.
pub(crate) const MOST_BYTES: usize = 1_000;

/// A value ready to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Captured<'a> {
    /// Nothing.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text, shown in quotes.
    Text(&'a str),
    /// Text that is shown as it is.
    Verbatim(Cow<'a, str>),
}

impl Captured<'_> {
    /// Writes the value as the codec of [`argus_model::value`] has it.
    #[inline]
    pub fn encode(&self, out: &mut Encoder<'_>) -> Result<(), Full> {
        match self {
            Self::None => out.u8(0),
            Self::Bool(truth) => out.u8(1 + u8::from(*truth)),
            Self::Int(number) => value::encode_int(out, *number),
            Self::Float(number) => value::encode_float(out, *number),
            Self::Text(text) if text.len() <= MOST_BYTES => value::encode_text(out, text),
            Self::Text(text) => {
                let length = text.chars().count() as u64;
                value::encode_cut_text(out, beginning(text), length)
            }
            Self::Verbatim(text) => value::encode_verbatim(out, beginning(text)),
        }
    }

    /// Appends `before` and the value, if that is told in a few bytes.
    #[inline]
    pub(crate) fn push(&self, out: &mut Small, before: Packed) -> Option<()> {
        match self {
            Self::None => out.push(before.then(value::packed_none())),
            Self::Bool(truth) => out.push(before.then(value::packed_bool(*truth))),
            Self::Int(number) => value::push_int(out, before, *number),
            Self::Float(number) => value::push_float(out, before, *number),
            Self::Text(text) => value::push_text(out, before, text),
            Self::Verbatim(_) => None,
        }
    }
}

/// The longest beginning of `text` that is kept.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_BYTES)]
}

/// A value that can be recorded without running foreign code.
pub trait Capture {
    /// What is recorded of it. Must be cheap and must not panic.
    fn capture(&self) -> Captured<'_>;
}

macro_rules! capture_integers {
    ($($integer:ty),*) => {$(
        impl Capture for $integer {
            #[inline]
            fn capture(&self) -> Captured<'_> {
                match i64::try_from(*self) {
                    Ok(number) => Captured::Int(number),
                    Err(_) => Captured::Verbatim(Cow::Owned(self.to_string())),
                }
            }
        }
    )*};
}

capture_integers!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize
);

impl Capture for bool {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        Captured::Bool(*self)
    }
}

impl Capture for f32 {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        Captured::Float((*self).into())
    }
}

impl Capture for f64 {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        Captured::Float(*self)
    }
}

impl Capture for str {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        Captured::Text(self)
    }
}

impl Capture for String {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        Captured::Text(self)
    }
}

impl Capture for () {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        Captured::None
    }
}

impl<T: Capture + ?Sized> Capture for &T {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        (**self).capture()
    }
}

impl<T: Capture> Capture for Option<T> {
    #[inline]
    fn capture(&self) -> Captured<'_> {
        self.as_ref().map_or(Captured::None, Capture::capture)
    }
}

/// What `Debug` says of a value, up to the limit; it is stopped there.
pub fn debug(value: &dyn Debug) -> Captured<'static> {
    let mut kept = String::new();
    format_into(&mut kept, format_args!("{value:?}"));
    Captured::Verbatim(Cow::Owned(kept))
}

/// Replaces `kept` by the beginning of a text, as much of it as is kept of a value.
pub(crate) fn format_into(kept: &mut String, text: fmt::Arguments<'_>) {
    kept.clear();
    if (Kept(kept)).write_fmt(text).is_err() {
        kept.push_str("...");
    }
}

struct Kept<'a>(&'a mut String);

impl fmt::Write for Kept<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MOST_BYTES - 3 - self.0.len().min(MOST_BYTES - 3);
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use argus_model::Value;
    use argus_model::codec::Decoder;

    use super::*;

    fn shown(captured: &Captured<'_>) -> String {
        let mut space = vec![0; 4096];
        let mut out = Encoder::new(&mut space);
        captured.encode(&mut out).unwrap();
        let used = out.used();
        Value::decode(&mut Decoder::new(&space[..used]))
            .unwrap()
            .render()
    }

    #[test]
    fn primitives_read_as_they_are() {
        assert_eq!(shown(&42_u8.capture()), "42");
        assert_eq!(shown(&(-1.5_f32).capture()), "-1.5");
        assert_eq!(shown(&"it".capture()), "'it'");
        assert_eq!(shown(&Some(true).capture()), "True");
        assert_eq!(shown(&None::<i32>.capture()), "None");
        assert_eq!(shown(&u64::MAX.capture()), "18446744073709551615");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(2_000);
        let shown = shown(&text.capture());
        assert!(shown.ends_with("é...'"), "{shown}");
        assert!(shown.len() < MOST_BYTES + 10);
    }

    #[test]
    fn debug_text_stops_at_the_limit() {
        let shown = shown(&debug(&vec![7; 1_000_000]));
        assert_eq!(shown.len(), MOST_BYTES);
        assert!(shown.starts_with("[7, 7, ") && shown.ends_with("..."));
    }
}
