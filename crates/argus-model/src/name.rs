//! Names that recur: functions, spans, metric names, keys, types.
//!
//! A producer gives each name a number and writes the text once per chunk generation, before its
//! first use there; every other record carries the number only. A number without a definition (the
//! defining record was damaged) is shown as `?n`.

use crate::codec::{Decoder, Encoder, Full, Malformed};

/// A name's number inside its producer. Zero is never given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NameNumber(pub u32);

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum NameKind {
    /// An instrumented function: `module.qualname`.
    Function = 1,
    /// A span opened by hand.
    #[default]
    Span = 2,
    /// A metric.
    Metric = 3,
    /// A key of an argument or attribute.
    Key = 4,
    /// A type, for "an object of this class".
    Type = 5,
}

impl NameKind {
    fn from_byte(byte: u8) -> Result<Self, Malformed> {
        Ok(match byte {
            1 => Self::Function,
            2 => Self::Span,
            3 => Self::Metric,
            4 => Self::Key,
            5 => Self::Type,
            _ => return Err(Malformed),
        })
    }
}

/// A name's definition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NameText {
    /// What it names.
    pub kind: NameKind,
    /// The name itself; for a function `module.qualname`.
    pub text: String,
    /// The process group it belongs to (`process_group` of the decorator), where one was given.
    pub group: Option<String>,
    /// Source file, where known.
    pub file: Option<String>,
    /// Line in the file, 0 when unknown.
    pub line: u32,
    /// A function's parameter names, in order: the keys of its positional arguments.
    pub parameters: Vec<String>,
}

impl NameText {
    /// A name with nothing but its text.
    pub fn plain(kind: NameKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            ..Self::default()
        }
    }

    /// Writes the definition of `number`.
    pub fn encode(&self, number: NameNumber, out: &mut Encoder<'_>) -> Result<(), Full> {
        out.varint(number.0.into())?;
        out.u8(self.kind as u8)?;
        out.text(&self.text)?;
        out.optional_text(self.group.as_deref())?;
        out.optional_text(self.file.as_deref())?;
        out.varint(self.line.into())?;
        out.varint(self.parameters.len() as u64)?;
        for parameter in &self.parameters {
            out.text(parameter)?;
        }
        Ok(())
    }

    /// Reads a definition.
    pub fn decode(input: &mut Decoder<'_>) -> Result<(NameNumber, Self), Malformed> {
        let number = NameNumber(input.varint_u32()?);
        let mut name = Self {
            kind: NameKind::from_byte(input.u8()?)?,
            text: input.text()?.to_owned(),
            group: input.optional_text()?.map(str::to_owned),
            file: input.optional_text()?.map(str::to_owned),
            line: input.varint_u32()?,
            parameters: Vec::new(),
        };
        for _ in 0..input.varint()? {
            name.parameters.push(input.text()?.to_owned());
        }
        Ok((number, name))
    }
}
