//! Which life of a program this is, and spans that are recorded after the fact.

use std::sync::atomic::Ordering;

use argus_model::codec::{Encoder, Full};
use argus_model::record::encode_span_start_head;
use argus_model::{Kind, Monotonic, SpanNumber};

use crate::definition::Definition;
use crate::emit::{Appended, Weight, lose};
use crate::fork::page;
use crate::process::disabled;
use crate::writer::{Reached, pen};

/// Tells this process from the one it was forked from. Zero until something was recorded; then never
/// the number of a parent or a child. Two loads.
///
/// Who keeps a [`SpanNumber`] keeps this beside it: in a forked child the span belongs to the parent
/// and must be neither ended nor named as a parent.
#[inline]
pub fn life() -> usize {
    page().map_or(0, |page| page.process.load(Ordering::Relaxed).addr())
}

/// Records the start of a span that began at `at`, once it turned out to be worth recording. It is
/// told because of an error, and has the errors' reserve.
pub fn span_start_at(
    name: &'static Definition,
    parent: SpanNumber,
    at: Monotonic,
    mut fields: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
) -> SpanNumber {
    if disabled() {
        return SpanNumber::NONE;
    }
    let pen = match pen() {
        Reached::Pen(pen) => pen,
        other => {
            lose(&other, Weight::Error);
            return SpanNumber::NONE;
        }
    };
    let number = pen.span_number();
    let written = pen.append(Kind::SpanStart, Weight::Error, &[name], |out, _| {
        encode_span_start_head(out, name.number(), number, parent, at)?;
        fields(out)
    });
    if written == Appended::Accepted {
        number
    } else {
        SpanNumber::NONE
    }
}
