//! A small recording in a database of its own, and a way to ask the real `argus` about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use argus_model::record::{Gap, LossReason};
use argus_model::{
    Measures, Monotonic, NameKind, NameText, ProducerId, SpanKey, SpanNumber, Timestamp,
};
use argus_store::Batch;
use argus_store::batch::*;
use serde_json::Value;
use tempfile::TempDir;

/// 2026-01-27T14:23:45.123456789Z, when the recording ends.
pub(crate) const NOON: Timestamp = Timestamp::from_nanos(1_769_523_825_123_456_789);
const PID: u32 = 4711;

/// A database that lives as long as the test.
pub(crate) struct Recording {
    folder: TempDir,
}

impl Recording {
    /// Nothing yet: a folder without a database.
    pub(crate) fn missing() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    /// A recording of these rows.
    pub(crate) fn of(batch: &Batch) -> Self {
        let recording = Self::missing();
        let mut sink = argus_store::open_writer(&recording.database()).unwrap();
        sink.commit(batch).unwrap();
        recording
    }

    /// A program with three ended calls, one open one, samples, logs, metrics, and a loss.
    pub(crate) fn sample() -> Self {
        Self::of(&sample())
    }

    /// More calls than two windows of a search hold, with one of `needle` near each end.
    pub(crate) fn haystack() -> Self {
        let call = |number| {
            let sought = number == 5 || number == 44_990;
            SpanRow {
                key: SpanKey {
                    producer: producer(),
                    number: SpanNumber(number),
                },
                ..span(1, if sought { "needle" } else { "hay" })
            }
        };
        Self::of(&Batch {
            ended: (0..45_000).map(call).collect(),
            ..introduction()
        })
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("argus.db")
    }

    /// Runs `argus` on this database.
    pub(crate) fn argus(&self, arguments: &[&str]) -> Answer {
        argus(&self.database(), arguments)
    }

    /// Runs `argus … --json`, which must go well, and reads the answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let answer = self.argus(&[arguments, &["--json"]].concat());
        assert_eq!(answer.code, 0, "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }
}

/// What a run of `argus` gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `argus` with the environment of a machine where nothing is set.
pub(crate) fn command(database: &Path) -> Command {
    wrapped(database, &[])
}

/// The same, started by a command that gets it as its last argument.
pub(crate) fn wrapped(database: &Path, by: &[&str]) -> Command {
    let words = [by, &[env!("CARGO_BIN_EXE_argus")]].concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TZ", "UTC")
        .env("ARGUS_DB", database)
        .env("ARGUS_COLLECTOR", "off")
        .stdin(Stdio::null());
    command
}

/// Runs `argus`.
pub(crate) fn argus(database: &Path, arguments: &[&str]) -> Answer {
    let output = command(database).args(arguments).output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn producer() -> ProducerId {
    ProducerId {
        machine: 1,
        boot: 2,
        pid_namespace: 3,
        pid: PID,
        start_ticks: 5,
        nonce: 6,
    }
}

pub(crate) fn subject() -> Arc<Subject> {
    Arc::new(Subject {
        run: producer().into(),
        app_name: "prices".into(),
        process_name: "python3".into(),
        command_line: "python3 prices.py".into(),
        hostname: "here".into(),
        parent: None,
    })
}

pub(crate) fn before(millis: u64) -> Timestamp {
    NOON.minus(Duration::from_millis(millis))
}

/// A call that went well.
pub(crate) fn span(number: u64, name: &str) -> SpanRow {
    SpanRow {
        key: SpanKey {
            producer: producer(),
            number: SpanNumber(number),
        },
        parent: SpanNumber::NONE,
        name: Arc::new(NameText {
            group: Some("trading".into()),
            ..NameText::plain(NameKind::Function, name)
        }),
        thread: thread(),
        ended_at: before(1_000 - 100 * number),
        duration_ns: 1_500_000 * number,
        status: Status::Ok,
        captured: None,
        exception: None,
    }
}

fn thread() -> Arc<Thread> {
    Arc::new(Thread {
        tid: PID,
        name: "MainThread".into(),
    })
}

/// A line that the program wrote.
pub(crate) fn log(line: &str) -> LogRow {
    LogRow {
        at: before(500),
        subject: subject(),
        line: line.into(),
        path: None,
        source: "stdout",
        level: None,
        span: None,
        altered: false,
        offset: None,
        meaning: None,
        template: None,
    }
}

/// A batch with nothing but its producer.
pub(crate) fn introduction() -> Batch {
    Batch {
        producers: vec![ProducerRow {
            id: producer(),
            subject: subject(),
            runtime: "python 3.12".into(),
            argus_version: "0.1.0".into(),
            seen_at: before(2_000),
        }],
        ..Batch::default()
    }
}

/// The rows of [`Recording::sample`].
pub(crate) fn sample() -> Batch {
    Batch {
        opened: vec![open_span(4, "prices.wait")],
        ended: vec![
            SpanRow {
                parent: SpanNumber(2),
                captured: Some(r#"{"i":{"rows":"10","book":"'oil'"},"o":{"result":"42"}}"#.into()),
                ..span(1, "prices.load")
            },
            span(2, "prices.all"),
            SpanRow {
                status: Status::Err,
                exception: Some("Traceback:\n  File \"prices.py\"\nValueError: boom".into()),
                ..span(3, "prices.load")
            },
        ],
        samples: vec![SampleRow {
            at: before(600),
            subject: subject(),
            cpu_percent: 12.5,
            rss_bytes: 64 << 20,
            threads: 3,
            measures: Measures::NONE,
        }],
        logs: vec![log("started"), log("out of oil")],
        process_events: vec![ProcessEventRow {
            at: before(2_000),
            subject: subject(),
            event_type: "started".into(),
            exit_code: None,
            detail: None,
        }],
        metrics: vec![MetricRow {
            at: before(400),
            subject: subject(),
            name: "queue_depth".into(),
            value: 7.0,
            unit: "1".into(),
            attributes: Some(r#"{"queue":"orders"}"#.into()),
        }],
        gaps: vec![GapRow {
            producer: producer(),
            gap: Gap {
                number: 1,
                reason: LossReason::Budget,
                normal: 2,
                errors: 1,
                from: Monotonic::from_nanos(1),
                to: Monotonic::from_nanos(2),
            },
            from: before(900),
            to: before(800),
        }],
        ledger: vec![LedgerDelta {
            producer: producer(),
            stored: 9,
            damaged: 0,
            unknown: 0,
            clamped: 0,
        }],
        collector: Some(CollectorState {
            pid: 1,
            heartbeat: NOON,
            backlog_bytes: 4096,
            write_lag_ns: 3_000_000,
            held: None,
        }),
        ..introduction()
    }
}

/// A call that has not ended.
pub(crate) fn open_span(number: u64, name: &str) -> OpenSpan {
    OpenSpan {
        key: SpanKey {
            producer: producer(),
            number: SpanNumber(number),
        },
        parent: SpanNumber::NONE,
        name: Arc::new(NameText::plain(NameKind::Function, name)),
        thread: thread(),
        started_at: before(300),
        started_monotonic: 1,
        captured: None,
    }
}
