//! The pairs of a line, kept in buffers that the next line uses again.
//!
//! A pair is stored as ranges into the line, or into a text beside it where an escape had to be
//! resolved; so a line with twenty fields allocates nothing once the buffers have grown.

use std::ops::Range;

/// A name with its value, as the line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without quotes and escapes.
    pub name: &'a str,
    /// The value.
    pub value: Value<'a>,
}

/// The value of a [`Field`]. Nothing is converted: digits stay those of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, without quotes and escapes.
    Text(&'a str),
    /// A number of JSON's spelling.
    Number(&'a str),
    /// JSON that is neither of them: an object, an array, `true`, `false` or `null`.
    Json(&'a str),
}

impl<'a> Value<'a> {
    /// The text, the digits, or the JSON.
    pub const fn as_str(self) -> &'a str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Json(text) => text,
        }
    }

    /// The number nearest to what the digits say; none for what is no number.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            Self::Text(_) | Self::Json(_) => None,
        }
    }
}

/// The pairs of one line, in their order; a name may come twice.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    line: &'a str,
    sheet: &'a Sheet,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(line: &'a str, sheet: &'a Sheet) -> Self {
        Self { line, sheet }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sheet.pairs.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.sheet.pairs.is_empty()
    }

    /// Each of them, in the order of the line.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Field<'a>> + use<'a> {
        let Self { line, sheet } = *self;
        sheet.pairs.iter().map(move |pair| {
            let value = sheet.text(line, &pair.value);
            Field {
                name: sheet.text(line, &pair.name),
                value: match pair.kind {
                    Kind::Text => Value::Text(value),
                    Kind::Number => Value::Number(value),
                    Kind::Json => Value::Json(value),
                },
            }
        })
    }

    /// The first value of that name.
    pub fn value(&self, name: &str) -> Option<Value<'a>> {
        let mut fields = self.iter();
        fields
            .find(|field| field.name == name)
            .map(|field| field.value)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Json,
}

/// A text that stands in the line, or beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Line(Range<usize>),
    Beside(Range<usize>),
    /// A name that we give, because the format has none.
    Ours(&'static str),
}

impl Piece {
    /// Where `part` stands in `line`, of which it is a slice.
    pub(super) fn of(line: &str, part: &str) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
        debug_assert!(start + part.len() <= line.len(), "a slice of the line");
        Self::Line(start..start.saturating_add(part.len()))
    }
}

#[derive(Debug, Clone)]
struct Pair {
    name: Piece,
    value: Piece,
    kind: Kind,
}

/// The buffers.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pairs: Vec<Pair>,
    beside: String,
}

/// What the buffers may keep for the next line.
pub(super) const KEEP_BYTES: usize = 16 * 1024;
const KEEP_PAIRS: usize = 256;

impl Sheet {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.beside.clear();
        // A long line must not keep its memory for the short ones after it.
        self.pairs.shrink_to(KEEP_PAIRS);
        self.beside.shrink_to(KEEP_BYTES);
    }

    pub(super) fn push(&mut self, name: Piece, value: Piece, kind: Kind) {
        self.pairs.push(Pair { name, value, kind });
    }

    /// Adds a pair whose name is ours and not the line's, of a kind that its looks decide.
    pub(super) fn name(&mut self, line: &str, name: &'static str, value: &str) {
        let kind = if is_number(value) {
            Kind::Number
        } else {
            Kind::Text
        };
        self.push(Piece::Ours(name), Piece::of(line, value), kind);
    }

    /// The same of a value that is text whatever it looks like.
    pub(super) fn name_text(&mut self, line: &str, name: &'static str, value: &str) {
        self.push(Piece::Ours(name), Piece::of(line, value), Kind::Text);
    }

    /// Writes a text beside the line.
    pub(super) fn beside(&mut self, write: impl FnOnce(&mut String)) -> Piece {
        let start = self.beside.len();
        write(&mut self.beside);
        Piece::Beside(start..self.beside.len())
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Forgets all pairs but the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.pairs.truncate(count);
    }

    pub(super) fn text<'a>(&'a self, line: &'a str, piece: &Piece) -> &'a str {
        let (source, range) = match piece {
            Piece::Line(range) => (line, range),
            Piece::Beside(range) => (self.beside.as_str(), range),
            Piece::Ours(name) => return name,
        };
        source.get(range.clone()).unwrap_or_default()
    }
}

/// A number as JSON spells it: no leading zero, no sign but `-`. What else looks like digits (a
/// postal code, a time) is text.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|it| it.is_ascii_digit()).count();
    let mut rest = text.as_bytes();
    rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let places = digits(fraction);
        if places == 0 {
            return false;
        }
        rest = &fraction[places..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        return !unsigned.is_empty() && digits(unsigned) == unsigned.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_json_calls_a_number_is_one() {
        for number in ["0", "-1", "12.5", "1e9", "1.5E-3", "123456789012345678901"] {
            assert!(is_number(number), "{number}");
        }
        for other in [
            "", "-", "01", "1.", ".5", "+1", "1e", "0x10", "NaN", "12ms", "1.2.3",
        ] {
            assert!(!is_number(other), "{other}");
        }
    }

    #[test]
    fn a_pair_is_found_again_where_it_stood() {
        let (line, mut sheet) = ("a=1 b=two", Sheet::default());
        sheet.name(line, "a", &line[2..3]);
        sheet.name(line, "second", &line[6..9]);
        let fields = Fields::new(line, &sheet);
        assert_eq!(fields.value("a"), Some(Value::Number("1")));
        assert_eq!(fields.value("second"), Some(Value::Text("two")));
        assert_eq!(fields.value("a").and_then(Value::as_f64), Some(1.0));
        assert_eq!((fields.len(), fields.value("c")), (2, None));
    }
}
