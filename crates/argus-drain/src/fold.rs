//! Records into rows.
//!
//! One [`Fold`] per producer: what its records mean depends on definitions in the same chunk and on
//! the spans it has open. Reading a record twice (after a takeover, to learn its definitions) is
//! told by its phase and produces no row.

mod context;
mod late;
mod observed;

use std::sync::Arc;

use argus_model::Timestamp;
use argus_model::record::{Gap, OBSERVER_RUNTIME, Record};
use argus_model::time::ClockAnchor;
use argus_model::{Kind, Monotonic, NameKind, NameText, ProducerId, SpanKey, SpanNumber};
use argus_spool::read::{Phase, RawRecord};
use argus_store::batch::{
    Batch, GapRow, LedgerDelta, LogFile, OpenSpan, Parent, ProducerRow, RemoteParentRow, RunKey,
    SpanRow, Status, Subject, Thread,
};

use argus_store::sink::KnownProducer;
use foldhash::HashMap;

use crate::captured;
pub use context::ChunkContext;
use context::Clock;
use late::Early;

#[derive(Debug)]
struct Open {
    parent: SpanNumber,
    name: Arc<NameText>,
    thread: Arc<Thread>,
    started_at: Timestamp,
    started: Monotonic,
    arguments: String,
    /// It stands among the open spans of the store.
    committed: bool,
}

/// An end whose start has not been read yet.
#[derive(Debug)]
struct Orphan {
    at: Monotonic,
    wall: Timestamp,
    thread: Arc<Thread>,
    captured: Option<String>,
    exception: Option<String>,
}

/// The records of one producer on their way to become rows.
#[derive(Debug)]
pub struct Fold {
    producer: ProducerId,
    subject: Arc<Subject>,
    observer: bool,
    open: HashMap<SpanNumber, Open>,
    orphans: HashMap<SpanNumber, Orphan>,
    early: HashMap<SpanNumber, Early>,
    ledger: LedgerDelta,
}

impl Fold {
    /// A fold for a producer of which only the identity is known.
    pub fn new(producer: ProducerId) -> Self {
        let run = RunKey::from(producer);
        Self {
            producer,
            subject: Arc::new(Subject {
                run,
                ..Subject::default()
            }),
            observer: false,
            open: HashMap::default(),
            orphans: HashMap::default(),
            early: HashMap::default(),
            ledger: empty_ledger(producer),
        }
    }

    /// Takes over from a collector before this one.
    pub fn resume(&mut self, known: Option<KnownProducer>, open: Vec<OpenSpan>) {
        if let Some(known) = known {
            self.observer = known.observer;
            self.subject = Arc::new(known.subject);
        }
        for span in open {
            // The stored text is closed by one brace more than the part begun here.
            let mut arguments = span.captured.unwrap_or_default();
            arguments.pop();
            let entry = Open {
                parent: span.parent,
                name: span.name,
                thread: span.thread,
                started_at: span.started_at,
                started: Monotonic::from_nanos(span.started_monotonic),
                arguments,
                committed: true,
            };
            self.open.insert(span.key.number, entry);
        }
    }

    /// Who the producer says it is.
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// Whether it records others and is of no interest by itself.
    pub fn is_observer(&self) -> bool {
        self.observer
    }

    /// Whether ends or fields wait for starts that must already be in a spool.
    pub fn has_orphans(&self) -> bool {
        !self.orphans.is_empty() || !self.early.is_empty()
    }

    /// Folds one record into `batch`. `now` is the collector's clock.
    pub fn take(
        &mut self,
        raw: RawRecord<'_>,
        chunk: &mut ChunkContext,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let Some(kind) = Kind::from_byte(raw.kind) else {
            self.ledger.unknown += u64::from(raw.phase == Phase::New);
            return;
        };
        let Ok(record) = Record::decode(kind, raw.payload) else {
            self.ledger.damaged += u64::from(raw.phase == Phase::New && !kind.is_bookkeeping());
            return;
        };
        let record = match self.learn(record, raw.phase, chunk, now, batch) {
            Some(record) if raw.phase == Phase::New => record,
            _ => return,
        };
        self.ledger.stored += 1;
        let mut clock = Clock {
            anchor: chunk.anchor,
            now,
            clamped: 0,
        };
        self.store(record, chunk, &mut clock, batch);
        self.ledger.clamped += clock.clamped;
    }

    /// Takes in what tells how to read other records; gives the others back.
    fn learn<'a>(
        &mut self,
        record: Record<'a>,
        phase: Phase,
        chunk: &mut ChunkContext,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Option<Record<'a>> {
        match record {
            Record::Anchor(anchor) => chunk.anchor = anchor,
            Record::Name(number, text) => {
                chunk.names.insert(number, Arc::new(text));
            }
            Record::Subject(number, info) => {
                let run = RunKey {
                    pid: info.pid,
                    start_ticks: info.start_ticks,
                    ..RunKey::from(self.producer)
                };
                let subject = Subject {
                    run,
                    app_name: info.app_name.to_owned(),
                    process_name: info.process_name.to_owned(),
                    command_line: info.command_line.to_owned(),
                    hostname: info.hostname.to_owned(),
                    parent: Parent::known(info.parent_pid, info.parent_start_ticks),
                };
                chunk.subjects.insert(number, Arc::new(subject));
            }
            Record::LogFile(number, info) => {
                let file = LogFile {
                    path: info.path.into(),
                    device: info.device,
                    inode: info.inode,
                    born_ns: info.born_ns,
                    head_bytes: info.head_bytes,
                    head_hash: info.head_hash,
                };
                chunk.files.insert(number, Arc::new(file));
            }
            Record::Process(info) => {
                self.subject = Arc::new(Subject {
                    run: RunKey::from(self.producer),
                    app_name: info.app_name.to_owned(),
                    process_name: info.process_name.to_owned(),
                    command_line: info.command_line.to_owned(),
                    hostname: info.hostname.to_owned(),
                    parent: Parent::known(info.parent_pid, 0),
                });
                self.observer = info.runtime == OBSERVER_RUNTIME;
                if phase == Phase::New {
                    batch.producers.push(ProducerRow {
                        id: self.producer,
                        subject: Arc::clone(&self.subject),
                        runtime: info.runtime.to_owned(),
                        argus_version: info.argus_version.to_owned(),
                        seen_at: now,
                    });
                }
            }
            Record::Gap(gap) => {
                if phase == Phase::New {
                    batch.gaps.push(self.gap_row(gap, chunk.anchor, now));
                }
            }
            other => return Some(other),
        }
        None
    }

    /// A gap as a row, by the clocks of the chunk it was told in, so far as they can be true. `now`
    /// is the collector's clock.
    pub fn gap_row(&self, gap: Gap, anchor: ClockAnchor, now: Timestamp) -> GapRow {
        let mut clock = Clock {
            anchor,
            now,
            clamped: 0,
        };
        let (from, to) = (clock.wall(gap.from), clock.wall(gap.to));
        GapRow {
            producer: self.producer,
            gap,
            from: from.min(to),
            to,
        }
    }

    fn store(
        &mut self,
        record: Record<'_>,
        chunk: &ChunkContext,
        clock: &mut Clock,
        batch: &mut Batch,
    ) {
        match record {
            Record::SpanStart {
                number,
                parent,
                name,
                at,
                fields,
            } => {
                let name = chunk.name(name);
                let entry = Open {
                    parent,
                    arguments: captured::arguments(fields, &name),
                    name,
                    thread: Arc::clone(&chunk.thread),
                    started_at: clock.wall(at),
                    started: at,
                    committed: false,
                };
                self.start(number, entry, batch);
            }
            Record::SpanEnd {
                number,
                at,
                outcome,
                locals,
            } => {
                let (wall, exception) = (clock.wall(at), outcome.exception.map(str::to_owned));
                let Some(open) = self.open.remove(&number) else {
                    let name = NameText::default();
                    let result = outcome.result.as_ref();
                    let captured = captured::complete(String::new(), result, locals, &name);
                    let thread = Arc::clone(&chunk.thread);
                    self.orphans.insert(
                        number,
                        Orphan {
                            at,
                            wall,
                            thread,
                            captured,
                            exception,
                        },
                    );
                    return;
                };
                let result = outcome.result.as_ref();
                let captured = captured::complete(open.arguments, result, locals, &open.name);
                batch.ended.push(SpanRow {
                    key: self.key(number),
                    parent: open.parent,
                    name: open.name,
                    thread: open.thread,
                    ended_at: wall,
                    duration_ns: at.nanos().saturating_sub(open.started.nanos()),
                    status: status(exception.as_ref()),
                    captured,
                    exception,
                });
            }
            Record::SpanFields { number, fields } => self.add_fields(number, fields, batch),
            Record::RemoteParent {
                number,
                trace,
                parent,
            } => {
                let began = self.open.get(&number).map(|open| open.started_at);
                batch.remote_parents.push(RemoteParentRow {
                    key: self.key(number),
                    at: began.unwrap_or(clock.now),
                    trace: u128::from_be_bytes(trace),
                    parent,
                });
            }
            other => self.store_observed(&other, chunk, clock, batch),
        }
    }

    fn key(&self, number: SpanNumber) -> SpanKey {
        SpanKey {
            producer: self.producer,
            number,
        }
    }

    fn start(&mut self, number: SpanNumber, mut open: Open, batch: &mut Batch) {
        self.take_early(number, &mut open);
        match self.orphans.remove(&number) {
            None => {
                self.open.insert(number, open);
            }
            Some(orphan) => batch.ended.push(SpanRow {
                key: self.key(number),
                parent: open.parent,
                name: open.name,
                thread: open.thread,
                ended_at: orphan.wall,
                duration_ns: orphan.at.nanos().saturating_sub(open.started.nanos()),
                status: status(orphan.exception.as_ref()),
                captured: join(&open.arguments, orphan.captured),
                exception: orphan.exception,
            }),
        }
    }

    /// Stores ends whose start is nowhere (its record was damaged or lost) by themselves; fields of such
    /// a span are of no use.
    pub fn give_up_orphans(&mut self, batch: &mut Batch) {
        self.give_up_early();
        let name = Arc::new(NameText::plain(NameKind::Span, "?"));
        for (number, orphan) in std::mem::take(&mut self.orphans) {
            batch.ended.push(SpanRow {
                key: self.key(number),
                parent: SpanNumber::NONE,
                name: Arc::clone(&name),
                thread: orphan.thread,
                ended_at: orphan.wall,
                duration_ns: 0,
                status: status(orphan.exception.as_ref()),
                captured: orphan.captured,
                exception: orphan.exception,
            });
        }
    }

    /// Counts records that the reader found damaged.
    pub fn count_damaged(&mut self, records: u64) {
        self.ledger.damaged += records;
    }

    /// Whether something was counted since the ledger was last put into a batch.
    pub fn has_accounts(&self) -> bool {
        self.ledger != empty_ledger(self.producer)
    }

    /// Puts what stays open, and the ledger, at the end of a batch.
    pub fn finish(&mut self, batch: &mut Batch) {
        for (number, open) in &mut self.open {
            if open.committed {
                continue;
            }
            open.committed = true;
            batch.opened.push(OpenSpan {
                key: SpanKey {
                    producer: self.producer,
                    number: *number,
                },
                parent: open.parent,
                name: Arc::clone(&open.name),
                thread: Arc::clone(&open.thread),
                started_at: open.started_at,
                started_monotonic: open.started.nanos(),
                captured: captured::closed(&open.arguments),
            });
        }
        let ledger = std::mem::replace(&mut self.ledger, empty_ledger(self.producer));
        if ledger != empty_ledger(self.producer) {
            batch.ledger.push(ledger);
        }
    }
}

fn empty_ledger(producer: ProducerId) -> LedgerDelta {
    LedgerDelta {
        producer,
        stored: 0,
        damaged: 0,
        unknown: 0,
        clamped: 0,
    }
}

fn status(exception: Option<&String>) -> Status {
    if exception.is_some() {
        Status::Err
    } else {
        Status::Ok
    }
}

/// Puts the open part of the arguments before a closed rest.
fn join(arguments: &str, rest: Option<String>) -> Option<String> {
    match rest {
        None => captured::closed(arguments),
        Some(rest) if arguments.is_empty() => Some(rest),
        Some(rest) => Some(format!("{arguments},{}", &rest[1..])),
    }
}

#[cfg(test)]
mod tests {
    use argus_model::record::LossReason;

    use super::*;

    #[test]
    fn a_gap_lies_in_no_future_and_ends_after_it_began() {
        let (now, ahead) = (Timestamp::from_nanos(100_000_000_000), u64::MAX / 4);
        let anchor = ClockAnchor {
            monotonic: Monotonic::from_nanos(0),
            wall: Timestamp::from_nanos(7),
        };
        let check = |from: u64, to: u64, expected: (i64, i64)| {
            let gap = Gap {
                number: 1,
                reason: LossReason::Disk,
                normal: 1,
                errors: 0,
                from: Monotonic::from_nanos(from),
                to: Monotonic::from_nanos(to),
            };
            let row = Fold::new(ProducerId::default()).gap_row(gap, anchor, now);
            assert_eq!((row.from.nanos(), row.to.nanos()), expected);
        };
        check(1, 2, (8, 9));
        check(1, ahead, (8, now.nanos()));
        check(ahead, ahead, (now.nanos(), now.nanos()));
        check(ahead, 2, (9, 9));
    }
}
