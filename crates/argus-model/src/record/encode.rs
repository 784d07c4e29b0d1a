//! Records to bytes.

use super::{Fields, Gap, Outcome, ProcessInfo, Record, SubjectInfo, log};
use crate::codec::{Encoder, Full};
use crate::identity::SpanNumber;
use crate::name::NameNumber;
use crate::time::Monotonic;

/// What follows in a span's end; see [`span_end_head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutcomeHead {
    /// A result value follows.
    pub result: bool,
    /// An exception text follows (after the result).
    pub exception: bool,
    /// The span's trace was not sampled.
    pub unsampled: bool,
}

impl OutcomeHead {
    pub(super) fn bits(self) -> u32 {
        u32::from(self.result) | u32::from(self.exception) << 1 | u32::from(self.unsampled) << 2
    }
}

/// What a span's records begin with: a 32-bit word, then words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<const WORDS: usize> {
    /// The first.
    pub first: u32,
    /// The others.
    pub words: [u64; WORDS],
}

impl<const WORDS: usize> Head<WORDS> {
    /// Writes it.
    #[inline]
    pub fn encode(self, out: &mut Encoder<'_>) -> Result<(), Full> {
        out.u32(self.first)?;
        self.words.into_iter().try_for_each(|word| out.u64(word))
    }
}

/// A span's start up to its arguments, which follow as fields.
#[inline]
pub fn span_start_head(
    name: NameNumber,
    number: SpanNumber,
    parent: SpanNumber,
    at: Monotonic,
) -> Head<3> {
    Head {
        first: name.0,
        words: [number.0, parent.0, at.nanos()],
    }
}

/// A span's end up to what `outcome` announces, which follows in the order result value, exception
/// text, fields of locals.
#[inline]
pub fn span_end_head(outcome: OutcomeHead, number: SpanNumber, at: Monotonic) -> Head<2> {
    Head {
        first: outcome.bits(),
        words: [number.0, at.nanos()],
    }
}

pub(super) fn record(record: &Record<'_>, out: &mut Encoder<'_>) -> Result<(), Full> {
    match record {
        Record::Anchor(anchor) => {
            out.u32(0)?;
            out.u64(anchor.monotonic.nanos())?;
            out.i64(anchor.wall.nanos())
        }
        Record::Name(number, text) => {
            out.u32(0)?;
            text.encode(*number, out)
        }
        Record::Process(info) => process(info, out),
        Record::SpanStart {
            number,
            parent,
            name,
            at,
            fields,
        } => {
            span_start_head(*name, *number, *parent, *at).encode(out)?;
            out.bytes(fields.0)
        }
        Record::SpanEnd {
            number,
            at,
            outcome,
            locals,
        } => span_end(*number, *at, outcome, *locals, out),
        Record::RemoteParent {
            number,
            trace,
            parent,
        } => {
            out.u32(0)?;
            out.u64(number.0)?;
            out.bytes(trace)?;
            out.u64(*parent)
        }
        Record::SpanFields { number, fields } => {
            out.u32(0)?;
            out.u64(number.0)?;
            out.bytes(fields.0)
        }
        Record::Gap(value) => gap(value, out),
        Record::SessionEvent {
            at,
            session,
            event_type,
            data,
        } => {
            out.u32(0)?;
            out.u64(at.nanos())?;
            out.text(session)?;
            out.text(event_type)?;
            out.text(data)
        }
        Record::Subject(number, info) => subject(*number, info, out),
        Record::LogFile(number, info) => log::encode_info(*number, info, out),
        Record::Metric { .. }
        | Record::Log { .. }
        | Record::LogPosition { .. }
        | Record::Sample { .. }
        | Record::ProcessEvent { .. }
        | Record::Stack { .. } => observed(record, out),
    }
}

/// Records about a process, which all begin with whose they are and when.
fn observed(record: &Record<'_>, out: &mut Encoder<'_>) -> Result<(), Full> {
    let (Record::Metric { subject, at, .. }
    | Record::Log { subject, at, .. }
    | Record::LogPosition { subject, at, .. }
    | Record::Sample { subject, at, .. }
    | Record::ProcessEvent { subject, at, .. }
    | Record::Stack { subject, at, .. }) = record
    else {
        return Ok(());
    };
    out.u32(*subject)?;
    out.u64(at.nanos())?;
    match record {
        Record::Metric {
            name,
            value,
            unit,
            attributes,
            ..
        } => {
            out.f64(*value)?;
            out.varint(name.0.into())?;
            out.text(unit)?;
            out.bytes(attributes.0)
        }
        Record::Log { .. } | Record::LogPosition { .. } => log::encode(record, out),
        Record::Sample {
            cpu_percent,
            rss_bytes,
            threads,
            measures,
            ..
        } => {
            out.f64(*cpu_percent)?;
            out.varint(*rss_bytes)?;
            out.varint((*threads).into())?;
            measures.encode(out)
        }
        Record::ProcessEvent {
            event_type,
            exit_code,
            detail,
            ..
        } => {
            out.u8(u8::from(exit_code.is_some()))?;
            out.signed(exit_code.unwrap_or(0).into())?;
            out.text(event_type)?;
            out.text(detail)
        }
        Record::Stack {
            tid,
            thread,
            state,
            holds_gil,
            frames,
            ..
        } => {
            out.varint((*tid).into())?;
            out.u8(*state as u8)?;
            out.u8(u8::from(*holds_gil))?;
            out.text(thread)?;
            out.text(frames)
        }
        _ => Ok(()),
    }
}

fn process(info: &ProcessInfo<'_>, out: &mut Encoder<'_>) -> Result<(), Full> {
    out.u32(info.parent_pid)?;
    out.text(info.app_name)?;
    out.text(info.process_name)?;
    out.text(info.command_line)?;
    out.text(info.runtime)?;
    out.text(info.hostname)?;
    out.text(info.argus_version)
}

fn subject(number: u32, info: &SubjectInfo<'_>, out: &mut Encoder<'_>) -> Result<(), Full> {
    out.u32(number)?;
    out.varint(info.pid.into())?;
    out.varint(info.start_ticks)?;
    out.text(info.app_name)?;
    out.text(info.process_name)?;
    out.text(info.command_line)?;
    out.text(info.hostname)?;
    out.varint(info.parent_pid.into())?;
    out.varint(info.parent_start_ticks)
}

fn span_end(
    number: SpanNumber,
    at: Monotonic,
    outcome: &Outcome<'_>,
    locals: Fields<'_>,
    out: &mut Encoder<'_>,
) -> Result<(), Full> {
    let head = OutcomeHead {
        result: outcome.result.is_some(),
        exception: outcome.exception.is_some(),
        unsampled: outcome.unsampled,
    };
    span_end_head(head, number, at).encode(out)?;
    if let Some(result) = &outcome.result {
        result.encode(out)?;
    }
    if let Some(exception) = outcome.exception {
        out.text(exception)?;
    }
    out.bytes(locals.0)
}

fn gap(gap: &Gap, out: &mut Encoder<'_>) -> Result<(), Full> {
    out.u32(gap.number)?;
    out.u8(gap.reason as u8)?;
    out.varint(gap.normal)?;
    out.varint(gap.errors)?;
    out.u64(gap.from.nanos())?;
    out.u64(gap.to.nanos())
}
