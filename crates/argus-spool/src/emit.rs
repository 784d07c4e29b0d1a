//! What a program calls.

use argus_model::codec::{Encoder, Full};
use argus_model::record::{LossReason, OutcomeHead, encode_span_end_head, encode_span_start_head};
use argus_model::{Kind, Monotonic, SpanNumber};

use crate::definition::Definition;
use crate::fork::page;
use crate::monotonic_now;
use crate::process::disabled;
use crate::writer::{Reached, pen};

/// Which part of the disk budget a record may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Up to nine tenths.
    Normal,
    /// All of it.
    Error,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It survives any death of this process.
    Accepted,
    /// There was no room; it is counted.
    Lost,
    /// Recording is off.
    Disabled,
}

/// Appends a record of any kind, stamped by the `Monotonic` that `body` is given.
///
/// `definitions` are the names and subjects that the record refers to. `body` writes the payload; it
/// may be called again when a chunk is full, and must run no foreign code.
#[inline]
pub fn append(
    kind: Kind,
    weight: Weight,
    definitions: &[&'static Definition],
    body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
) -> Appended {
    if disabled() {
        return Appended::Disabled;
    }
    match pen() {
        Reached::Pen(pen) => pen.append(kind, weight, definitions, body),
        other => lose(&other, weight),
    }
}

/// Counts a record that no pen could take.
#[cold]
pub(crate) fn lose(reached: &Reached, weight: Weight) -> Appended {
    let reason = match reached {
        Reached::Busy => LossReason::Reentrant,
        Reached::Pen(_) | Reached::Nothing => LossReason::Disk,
    };
    if let Some(page) = page() {
        page.lose(weight, reason, monotonic_now());
    }
    Appended::Lost
}

/// Opens a span now. `fields` writes its arguments as key-value pairs.
///
/// The answer is [`SpanNumber::NONE`] when nothing was recorded.
#[inline]
pub fn span_start(
    name: &'static Definition,
    parent: SpanNumber,
    mut fields: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
) -> SpanNumber {
    if disabled() {
        return SpanNumber::NONE;
    }
    let pen = match pen() {
        Reached::Pen(pen) => pen,
        other => {
            lose(&other, Weight::Normal);
            return SpanNumber::NONE;
        }
    };
    let number = pen.span_number();
    let written = pen.append(Kind::SpanStart, Weight::Normal, &[name], |out, at| {
        encode_span_start_head(out, name.number(), number, parent, at)?;
        fields(out)
    });
    if written == Appended::Accepted {
        number
    } else {
        SpanNumber::NONE
    }
}

/// Ends a span now. `body` writes what `head` announces, in the order result value, exception text,
/// fields of local variables.
///
/// The end of a span whose start was not recorded is counted as lost, unless recording is off.
#[inline]
pub fn span_end(
    number: SpanNumber,
    head: OutcomeHead,
    weight: Weight,
    mut body: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
) -> Appended {
    if disabled() {
        return Appended::Disabled;
    }
    match pen() {
        Reached::Pen(pen) if !number.is_none() => {
            pen.append(Kind::SpanEnd, weight, &[], |out, at| {
                encode_span_end_head(out, head, number, at)?;
                body(out)
            })
        }
        Reached::Pen(pen) => pen.lose(weight),
        other => lose(&other, weight),
    }
}
