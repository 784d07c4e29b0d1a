//! Rows to build batches from, with everything that a law does not speak of left at a default.

use std::sync::Arc;

use argus_model::record::ThreadState;
use argus_model::{Measures, NameKind, NameText, ProducerId, SpanKey, SpanNumber, Timestamp};

use crate::batch::{
    Ending, LogRow, MetricRow, OpenSpan, Parent, ProcessEventRow, ProducerEnd, ProducerRow,
    SampleRow, SessionEventRow, SpanRow, StackRow, Status, Subject, Thread,
};

/// 2026-01-27T14:23:00Z, a whole minute.
pub(crate) const NOON: i64 = 1_769_523_780_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

/// A moment so many seconds after [`NOON`].
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(NOON + seconds * SECOND)
}

pub(crate) fn producer(pid: u32) -> ProducerId {
    ProducerId {
        machine: u64::MAX,
        boot: 1 << 63,
        pid_namespace: 4_026_531_836,
        pid,
        start_ticks: 77,
        nonce: u64::MAX - 1,
    }
}

pub(crate) fn subject(pid: u32) -> Arc<Subject> {
    Arc::new(Subject {
        run: producer(pid).into(),
        app_name: format!("app{pid}"),
        process_name: format!("process{pid}"),
        command_line: format!("process{pid} --flag"),
        hostname: "host".into(),
        parent: Parent::known(1, 0),
    })
}

pub(crate) fn described(pid: u32) -> ProducerRow {
    ProducerRow {
        id: producer(pid),
        subject: subject(pid),
        runtime: "python 3.11.7".into(),
        argus_version: "0.1.0".into(),
        seen_at: at(0),
    }
}

pub(crate) fn key(pid: u32, number: u64) -> SpanKey {
    SpanKey {
        producer: producer(pid),
        number: SpanNumber(number),
    }
}

pub(crate) fn name(text: &str) -> Arc<NameText> {
    Arc::new(NameText {
        group: Some("trading".into()),
        file: Some("prices.py".into()),
        line: 12,
        parameters: vec!["book".into(), "token".into()],
        ..NameText::plain(NameKind::Function, text)
    })
}

pub(crate) fn thread() -> Arc<Thread> {
    Arc::new(Thread {
        tid: 4712,
        name: "MainThread".into(),
    })
}

/// A span of producer 1 that ended so many seconds after [`NOON`] and took a millisecond.
pub(crate) fn span(number: u64, seconds: i64) -> SpanRow {
    SpanRow {
        key: key(1, number),
        parent: SpanNumber::NONE,
        name: name("prices.price"),
        thread: thread(),
        ended_at: at(seconds),
        duration_ns: 1_000_000,
        status: Status::Ok,
        captured: None,
        exception: None,
    }
}

/// An open span of producer 1 that started so many seconds after [`NOON`].
pub(crate) fn open(number: u64, seconds: i64) -> OpenSpan {
    OpenSpan {
        key: key(1, number),
        parent: SpanNumber(3),
        name: name("prices.wait"),
        thread: thread(),
        started_at: at(seconds),
        started_monotonic: u64::MAX - 5,
        captured: Some(r#"{"i":{"book":"7"}}"#.into()),
    }
}

pub(crate) fn end(pid: u32, seconds: i64, exit_code: Option<i32>) -> ProducerEnd {
    ProducerEnd {
        producer: producer(pid),
        at: at(seconds),
        ending: Ending::Exit(exit_code),
    }
}

pub(crate) fn sample(pid: u32, seconds: i64) -> SampleRow {
    SampleRow {
        at: at(seconds),
        subject: subject(pid),
        cpu_percent: 45.2,
        rss_bytes: 256 << 20,
        threads: 4,
        measures: Measures::NONE,
    }
}

pub(crate) fn log(pid: u32, seconds: i64, line: &str) -> LogRow {
    LogRow {
        at: at(seconds),
        subject: subject(pid),
        line: line.into(),
        path: Some("app.log".into()),
        source: "file",
        level: Some("INFO".into()),
        span: Some(key(pid, 1)),
        altered: false,
        offset: None,
        meaning: None,
        template: None,
    }
}

pub(crate) fn process_event(pid: u32, seconds: i64, event_type: &str) -> ProcessEventRow {
    ProcessEventRow {
        at: at(seconds),
        subject: subject(pid),
        event_type: event_type.into(),
        exit_code: None,
        detail: None,
    }
}

pub(crate) fn metric(pid: u32, seconds: i64, name: &str, value: f64) -> MetricRow {
    MetricRow {
        at: at(seconds),
        subject: subject(pid),
        name: name.into(),
        value,
        unit: "By".into(),
        attributes: Some(r#"{"queue":"orders"}"#.into()),
    }
}

pub(crate) fn stack(pid: u32, tid: u32, seconds: i64, frames: &str) -> StackRow {
    StackRow {
        at: at(seconds),
        subject: subject(pid),
        tid,
        thread: format!("thread{tid}"),
        state: ThreadState::Active,
        holds_gil: false,
        frames: frames.into(),
    }
}

pub(crate) fn event(session: &str, event_type: &str, data: &str) -> SessionEventRow {
    SessionEventRow {
        session: session.into(),
        producer: producer(1),
        at: at(1),
        event_type: event_type.into(),
        data: data.into(),
    }
}
