//! What the commands that observe write down: records about processes, into the spool.
//!
//! A record is safe when its method returns, whoever dies then. The collector moves it to the
//! store; [`Recorder::settle`] waits for that.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use argus_model::codec::Encoder;
use argus_model::paths::DataDir;
use argus_model::record::{
    Fields, LogMeaning, LogPlace, LogSource, OBSERVER_RUNTIME, SubjectInfo, ThreadState,
    encode_text_key,
};
use argus_model::value::encode_verbatim;
use argus_model::{Kind, Monotonic, NameKind, NameText, Record, SpanNumber};
use argus_observe::platform;
use argus_observe::process::Target;
use argus_observe::sample::Reading;
use argus_spool::control::ControlPage;
use argus_spool::place;
use argus_spool::{Appended, Configuration, Definition, Flushed, Offered, Weight};

use crate::keeper;
use crate::open::store_if_any;

/// How long a command waits at its end until its records are in the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// The room for a metric's attributes.
const ATTRIBUTE_BYTES: usize = 16 * 1024;

/// Writes records, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The names of metrics seen so far, which are few.
    names: Mutex<HashMap<String, &'static Definition>>,
    records: AtomicU64,
    lost: AtomicU64,
}

/// A named quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: f64,
    /// In UCUM; empty when there is none.
    pub(crate) unit: &'a str,
}

/// A process that records are about.
#[derive(Debug)]
pub(crate) struct Subject {
    definition: Definition,
    pid: u32,
    samples: AtomicU64,
    lines: AtomicU64,
}

/// Something that happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) exit_code: Option<i32>,
    /// A JSON object; empty when there is nothing to add.
    pub(crate) detail: &'a str,
}

impl<'a> Event<'a> {
    /// An event that its name says everything of.
    pub(crate) const fn plain(event_type: &'a str) -> Self {
        Self {
            event_type,
            exit_code: None,
            detail: "",
        }
    }
}

/// A process's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

/// Makes recording possible: a database that can be used, a folder beside it, and, unless
/// `ARGUS_COLLECTOR` is off, a collector for as long as this command runs.
///
/// Comes before anything is started or announced. The signals that the command collects must be
/// collected by then, since this starts a thread.
///
/// # Errors
/// When the database or its folder cannot be used; nothing is changed then.
pub(crate) fn prepare(data: &DataDir) -> Result<()> {
    store_if_any(data)?;
    place::prepare(data)?;
    argus_spool::configure(Configuration {
        command: std::env::current_exe().ok(),
        place: Some(data.clone()),
        runtime: OBSERVER_RUNTIME.to_owned(),
        ..Configuration::default()
    });
    keeper::keep(data)?;
    Ok(())
}

impl Subject {
    /// The process `target`, to be recorded in the data folder that was [`prepare`]d.
    pub(crate) fn new(target: &Target, app_name: &str, parent: Option<Parent>) -> Self {
        let definition = argus_spool::describe(&SubjectInfo {
            pid: target.pid,
            start_ticks: target.start_ticks,
            app_name,
            process_name: &target.process_name,
            command_line: &target.command_line,
            hostname: &platform::hostname(),
            parent_pid: parent.map_or(0, |parent| parent.pid),
            parent_start_ticks: parent.map_or(0, |parent| parent.start_ticks),
        });
        Self {
            definition,
            pid: target.pid,
            samples: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        }
    }

    /// Measurements recorded.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Log lines recorded.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    fn number(&self) -> u32 {
        self.definition.number().0
    }
}

/// A log line, as it is recorded.
#[derive(Debug)]
pub(crate) struct LineRecord<'a> {
    pub(crate) source: LogSource,
    /// Where it stood; empty where `file` says it.
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) altered: bool,
    pub(crate) level: &'a str,
    pub(crate) file: Option<&'a Definition>,
    pub(crate) place: LogPlace,
    pub(crate) meaning: LogMeaning<'a>,
}

impl LineRecord<'_> {
    fn record(&self, of: &Subject, at: Monotonic) -> Record<'_> {
        Record::Log {
            subject: of.number(),
            at,
            source: self.source,
            path: self.path,
            line: self.text,
            altered: self.altered,
            span: SpanNumber::NONE,
            level: self.level,
            place: self.place,
            meaning: self.meaning,
        }
    }
}

/// What a thread is in the middle of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) at: Monotonic,
    pub(crate) tid: u32,
    pub(crate) thread: &'a str,
    pub(crate) state: ThreadState,
    pub(crate) holds_gil: bool,
    /// A line for each call, innermost first.
    pub(crate) frames: &'a str,
}

impl Recorder {
    /// Records a measurement; the record's number in this run.
    pub(crate) fn sample(&self, of: &Subject, reading: &Reading) -> u64 {
        of.samples.fetch_add(1, Ordering::Relaxed);
        let record = Record::Sample {
            subject: of.number(),
            at: reading.at,
            cpu_percent: reading.cpu_percent,
            rss_bytes: reading.rss_bytes,
            threads: reading.threads,
            measures: reading.measures,
        };
        self.record(&[&of.definition], &record)
    }

    /// Records a log line that has just been captured; the record's number in this run.
    pub(crate) fn line(&self, of: &Subject, line: &LineRecord<'_>) -> u64 {
        of.lines.fetch_add(1, Ordering::Relaxed);
        let record = line.record(of, platform::monotonic_now());
        self.record(&[&of.definition], &record)
    }

    /// Records a line of a file if there is room; otherwise it is not lost, but has to be offered again.
    ///
    /// # Errors
    /// What became of it instead.
    pub(crate) fn offer_line(&self, of: &Subject, line: &LineRecord<'_>) -> Result<u64, Offered> {
        let record = line.record(of, platform::monotonic_now());
        match self.offer(of, line.file, &record) {
            Offered::Accepted => {
                of.lines.fetch_add(1, Ordering::Relaxed);
                Ok(self.records.fetch_add(1, Ordering::Relaxed) + 1)
            }
            Offered::Lost => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                Err(Offered::Lost)
            }
            offered => Err(offered),
        }
    }

    /// Records that a file is read from here on, if there is room.
    pub(crate) fn position(&self, of: &Subject, file: &Definition, offset: u64) -> Offered {
        let record = Record::LogPosition {
            subject: of.number(),
            at: platform::monotonic_now(),
            place: LogPlace {
                file: file.number().0,
                end: offset,
            },
        };
        self.offer(of, Some(file), &record)
    }

    fn offer(&self, of: &Subject, file: Option<&Definition>, record: &Record<'_>) -> Offered {
        let body = |out: &mut Encoder<'_>, _| record.encode(out);
        match file {
            Some(file) => argus_spool::offer(record.kind(), &[&of.definition, file], body),
            None => argus_spool::offer(record.kind(), &[&of.definition], body),
        }
    }

    /// Records what has just happened to the process; the record's number in this run.
    pub(crate) fn event(&self, of: &Subject, event: &Event<'_>) -> u64 {
        self.event_at(of, platform::monotonic_now(), event)
    }

    /// Records what happened to the process at this moment; the record's number in this run.
    pub(crate) fn event_at(&self, of: &Subject, at: Monotonic, event: &Event<'_>) -> u64 {
        let record = Record::ProcessEvent {
            subject: of.number(),
            at,
            event_type: event.event_type,
            exit_code: event.exit_code,
            detail: event.detail,
        };
        self.record(&[&of.definition], &record)
    }

    /// Records a named quantity, of which `attributes` tell it from others of the name.
    pub(crate) fn metric(
        &self,
        of: &Subject,
        at: Monotonic,
        metric: &Named<'_>,
        attributes: &[(&str, &str)],
    ) {
        let mut space = [0; ATTRIBUTE_BYTES];
        let mut out = Encoder::new(&mut space);
        let mut length = 0;
        for (key, value) in attributes {
            // What does not fit any more is left out, whole.
            if encode_text_key(&mut out, key).is_err() || encode_verbatim(&mut out, value).is_err()
            {
                break;
            }
            length = out.used();
        }
        let name = self.name(metric.name);
        let record = Record::Metric {
            subject: of.number(),
            name: name.number(),
            at,
            value: metric.value,
            unit: metric.unit,
            attributes: Fields(&space[..length]),
        };
        self.record(&[&of.definition, name], &record);
    }

    fn name(&self, text: &str) -> &'static Definition {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(text) {
            return name;
        }
        let name = argus_spool::define(NameText::plain(NameKind::Metric, text));
        names.insert(text.to_owned(), name);
        name
    }

    /// Records what a thread is in the middle of.
    pub(crate) fn stack(&self, of: &Subject, stack: &Stack<'_>) {
        let record = Record::Stack {
            subject: of.number(),
            at: stack.at,
            tid: stack.tid,
            thread: stack.thread,
            state: stack.state,
            holds_gil: stack.holds_gil,
            frames: stack.frames,
        };
        self.record(&[&of.definition], &record);
    }

    /// Waits until everything recorded so far is in the store, for some seconds at most.
    pub(crate) fn settle(&self, data: &DataDir) -> Settled {
        let collector = Collector::of(data);
        let patience = match collector {
            Collector::Expected => PATIENCE,
            Collector::Off => Duration::ZERO,
        };
        Settled {
            flushed: argus_spool::flush(patience),
            collector,
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    fn record(&self, definitions: &[&Definition], record: &Record<'_>) -> u64 {
        let kind: Kind = record.kind();
        let body = |out: &mut Encoder<'_>, _| record.encode(out);
        let appended = argus_spool::append(kind, Weight::Normal, definitions, body);
        if appended == Appended::Lost {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.records.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Whether somebody will move the records to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collector {
    Expected,
    /// `ARGUS_COLLECTOR=off`, and none runs: record only.
    Off,
}

impl Collector {
    fn of(data: &DataDir) -> Self {
        let off = std::env::var_os("ARGUS_COLLECTOR").as_deref() == Some(OsStr::new("off"));
        let living = || ControlPage::open(&data.control()).ok()?.living_collector();
        if off && living().is_none() {
            Self::Off
        } else {
            Self::Expected
        }
    }
}

/// What has become of the records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    flushed: Flushed,
    collector: Collector,
    lost: u64,
}

impl Settled {
    /// Whether everything is in the store.
    pub(crate) fn is_stored(self) -> bool {
        self.flushed == Flushed::Committed && self.lost == 0
    }

    /// What the user must know, if not everything is stored.
    pub(crate) fn complaint(self, data: &DataDir) -> Option<String> {
        let spool = data.spool();
        let spool = spool.as_path().display();
        if self.lost > 0 {
            return Some(format!(
                "{} records found no room in {spool} and are lost",
                self.lost
            ));
        }
        match (self.flushed, self.collector) {
            (Flushed::Committed, _) => None,
            (Flushed::Disabled, _) => Some("nothing was recorded: ARGUS_DISABLE is set".into()),
            (Flushed::TimedOut, Collector::Off) => Some(format!(
                "not in the store yet, since ARGUS_COLLECTOR is off: the records wait in {spool}"
            )),
            (Flushed::TimedOut, Collector::Expected) => Some(format!(
                "not in the store after {} seconds: the records are safe in {spool} \
                 and will be stored when a collector runs",
                PATIENCE.as_secs()
            )),
        }
    }
}
