//! Bytes to records. The bytes may be anything: what does not parse is malformed, never a panic.

use super::{
    Fields, Gap, Kind, LossReason, Outcome, ProcessInfo, Record, SubjectInfo, ThreadState, anchor,
    log,
};
use crate::codec::{Decoder, Malformed};
use crate::identity::SpanNumber;
use crate::measure::Measures;
use crate::name::{NameNumber, NameText};
use crate::time::Monotonic;
use crate::value::Value;

pub(super) fn record<'a>(kind: Kind, input: &mut Decoder<'a>) -> Result<Record<'a>, Malformed> {
    let word = input.u32()?;
    Ok(match kind {
        Kind::Anchor => Record::Anchor(anchor(input.u64()?, input.i64()?)),
        Kind::Name => {
            let (number, text) = NameText::decode(input)?;
            Record::Name(number, text)
        }
        Kind::Process => Record::Process(ProcessInfo {
            parent_pid: word,
            app_name: input.text()?,
            process_name: input.text()?,
            command_line: input.text()?,
            runtime: input.text()?,
            hostname: input.text()?,
            argus_version: input.text()?,
        }),
        Kind::SpanStart => Record::SpanStart {
            name: NameNumber(word),
            number: SpanNumber(input.u64()?),
            parent: SpanNumber(input.u64()?),
            at: moment(input)?,
            fields: Fields(input.rest()),
        },
        Kind::SpanEnd => span_end(word, input)?,
        Kind::RemoteParent => Record::RemoteParent {
            number: SpanNumber(input.u64()?),
            trace: input.bytes(16)?.try_into().map_err(|_| Malformed)?,
            parent: input.u64()?,
        },
        Kind::SpanFields => Record::SpanFields {
            number: SpanNumber(input.u64()?),
            fields: Fields(input.rest()),
        },
        Kind::Gap => Record::Gap(Gap {
            number: word,
            reason: LossReason::from_byte(input.u8()?),
            normal: input.varint()?,
            errors: input.varint()?,
            from: moment(input)?,
            to: moment(input)?,
        }),
        Kind::Metric => Record::Metric {
            subject: word,
            at: moment(input)?,
            value: input.f64()?,
            name: NameNumber(input.varint_u32()?),
            unit: input.text()?,
            attributes: Fields(input.rest()),
        },
        Kind::SessionEvent => Record::SessionEvent {
            at: moment(input)?,
            session: input.text()?,
            event_type: input.text()?,
            data: input.text()?,
        },
        Kind::Subject => Record::Subject(word, subject(input)?),
        Kind::Log | Kind::LogFile | Kind::LogPosition => log::decode(kind, word, input)?,
        Kind::Sample => Record::Sample {
            subject: word,
            at: moment(input)?,
            cpu_percent: input.f64()?,
            rss_bytes: input.varint()?,
            threads: input.varint_u32()?,
            measures: Measures::decode(input)?,
        },
        Kind::ProcessEvent => process_event(word, input)?,
        Kind::Stack => Record::Stack {
            subject: word,
            at: moment(input)?,
            tid: input.varint_u32()?,
            state: ThreadState::from_byte(input.u8()?),
            holds_gil: input.u8()? != 0,
            thread: input.text()?,
            frames: input.text()?,
        },
    })
}

fn moment(input: &mut Decoder<'_>) -> Result<Monotonic, Malformed> {
    input.u64().map(Monotonic::from_nanos)
}

fn span_end<'a>(bits: u32, input: &mut Decoder<'a>) -> Result<Record<'a>, Malformed> {
    let number = SpanNumber(input.u64()?);
    let at = moment(input)?;
    let result = if bits & 1 != 0 {
        Some(Value::decode(input)?)
    } else {
        None
    };
    let exception = if bits & 2 != 0 {
        Some(input.text()?)
    } else {
        None
    };
    Ok(Record::SpanEnd {
        number,
        at,
        outcome: Outcome {
            result,
            exception,
            unsampled: bits & 4 != 0,
        },
        locals: Fields(input.rest()),
    })
}

fn subject<'a>(input: &mut Decoder<'a>) -> Result<SubjectInfo<'a>, Malformed> {
    Ok(SubjectInfo {
        pid: input.varint_u32()?,
        start_ticks: input.varint()?,
        app_name: input.text()?,
        process_name: input.text()?,
        command_line: input.text()?,
        hostname: input.text()?,
        parent_pid: added(input, Decoder::varint_u32)?,
        parent_start_ticks: added(input, Decoder::varint)?,
    })
}

/// A field that came later: producers of before leave it out.
fn added<'a, T: Default>(
    input: &mut Decoder<'a>,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    if input.is_empty() {
        return Ok(T::default());
    }
    read(input)
}

fn process_event<'a>(subject: u32, input: &mut Decoder<'a>) -> Result<Record<'a>, Malformed> {
    let at = moment(input)?;
    let known = input.u8()? != 0;
    let code = i32::try_from(input.signed()?).map_err(|_| Malformed)?;
    Ok(Record::ProcessEvent {
        subject,
        at,
        exit_code: known.then_some(code),
        event_type: input.text()?,
        detail: added(input, Decoder::text)?,
    })
}
