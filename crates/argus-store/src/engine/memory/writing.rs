//! The writing side: applies a batch to the collections, in the order the batch promises.

use argus_model::session::{SESSION_STARTED, SessionStatus};
use argus_model::{ProducerId, Timestamp};

use super::{Data, Memory, Producer, Session};
use crate::batch::{
    Batch, Ending, OpenSpan, Parent, Position, ProcessEventRow, ProducerEnd, ProducerRow, RunKey,
    SessionEventRow, SpanRow, Subject,
};
use crate::engine::{death, session};
use crate::error::{CommitError, ReadError};
use crate::query::{
    StoredEvent, StoredLogTemplate, StoredMetric, StoredProcessEvent, StoredRemoteParent,
    StoredSample, StoredSession, StoredSpan, StoredStack,
};
use crate::retention::{Pruned, Retention};
use crate::sink::{KnownProducer, Sink};

/// Bytes of a mebibyte, the unit of a sample's memory.
const MEBIBYTE: f64 = 1_048_576.0;

impl Sink for Memory {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if !batch.is_empty() {
            let mut data = self.data();
            data.apply(batch);
            data.version += 1;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), CommitError> {
        Ok(())
    }

    fn prune(
        &mut self,
        retention: &Retention,
        now: Timestamp,
        slice: usize,
    ) -> Result<Pruned, CommitError> {
        let mut data = self.data();
        let pruned = data.prune(retention, now, slice);
        data.version += 1;
        Ok(pruned)
    }

    fn known(&self, producer: ProducerId) -> Result<Option<KnownProducer>, ReadError> {
        let data = self.data();
        let found = data.producers.iter().find(|known| known.id == producer);
        Ok(found.map(|known| {
            let run = RunKey::from(producer);
            let described = data.runs.iter().find(|stored| stored.run == run);
            KnownProducer {
                subject: described.map_or(
                    Subject {
                        run,
                        ..Subject::default()
                    },
                    |stored| Subject {
                        run,
                        app_name: stored.app_name.clone(),
                        process_name: stored.process_name.clone(),
                        command_line: stored.command_line.clone(),
                        hostname: stored.hostname.clone(),
                        parent: stored.parent,
                    },
                ),
                observer: described.is_some_and(|stored| stored.observer),
                drained: known.stored.max(0).cast_unsigned() + known.damaged + known.unknown,
            }
        }))
    }

    fn positions(&self, producer: ProducerId) -> Result<Vec<Position>, ReadError> {
        let data = self.data();
        let of_producer = (producer, 0)..=(producer, u32::MAX);
        Ok(data
            .positions
            .range(of_producer)
            .map(|(_, &at)| at)
            .collect())
    }

    fn open_spans(&self, producer: ProducerId) -> Result<Vec<OpenSpan>, ReadError> {
        Ok(self.data().open_of(producer))
    }

    fn log_templates(&self) -> Result<Vec<StoredLogTemplate>, ReadError> {
        Ok(self.data().log_templates.values().cloned().collect())
    }

    fn unended_producers(&self) -> Result<Vec<ProducerId>, ReadError> {
        let data = self.data();
        let living = data
            .producers
            .iter()
            .filter(|known| known.ended_at.is_none());
        Ok(living.map(|known| known.id).collect())
    }
}

impl Data {
    fn apply(&mut self, batch: &Batch) {
        for row in &batch.producers {
            self.describe(row);
        }
        self.apply_spans(batch);
        self.apply_remote_parents(batch);
        self.apply_observed(batch);
        for event in &batch.session_events {
            self.append_event(event);
        }
        for end in &batch.ends {
            self.end(end);
        }
        self.apply_books(batch);
    }

    fn describe(&mut self, row: &ProducerRow) {
        let producer = self.producer(row.id, row.seen_at);
        producer.app_name.clone_from(&row.subject.app_name);
        producer.seen_at = producer.seen_at.min(row.seen_at);
        self.describe_run(&row.subject, row.seen_at);
        let run = self.run(row.subject.run, row.seen_at);
        run.instrumented = !row.is_observer();
        run.observer = row.is_observer();
        // The process goes on as this producer; its own end will be told.
        if !row.is_observer() && run.exit_code.is_none() {
            run.ended_at = None;
        }
    }

    pub(super) fn describe_run(&mut self, subject: &Subject, at: Timestamp) {
        let run = self.run(subject.run, at);
        for (field, said) in [
            (&mut run.app_name, &subject.app_name),
            (&mut run.process_name, &subject.process_name),
            (&mut run.command_line, &subject.command_line),
            (&mut run.hostname, &subject.hostname),
        ] {
            if !said.is_empty() {
                field.clone_from(said);
            }
        }
        run.parent = match (run.parent, subject.parent) {
            (Some(known), Some(said)) if known.pid == said.pid => Some(Parent {
                start_ticks: known.start_ticks.or(said.start_ticks),
                ..known
            }),
            (known, said) => known.or(said),
        };
    }

    fn apply_spans(&mut self, batch: &Batch) {
        let opened: Vec<&OpenSpan> = batch
            .opened
            .iter()
            .filter(|open| batch.ended.iter().all(|ended| ended.key != open.key))
            .collect();
        for span in &batch.ended {
            self.open.remove(&span.key);
            self.insert_ended(span, false);
        }
        for span in opened {
            self.producer(span.key.producer, span.started_at);
            if self.open.insert(span.key, span.clone()).is_none() {
                self.seen_open += 1;
            }
        }
    }

    fn insert_ended(&mut self, span: &SpanRow, interrupted: bool) {
        let producer = span.key.producer;
        self.producer(producer, span.ended_at);
        self.spans.push(|id| StoredSpan {
            id,
            key: span.key,
            parent: span.parent,
            process: span.name.text.clone(),
            group: span.name.group.clone(),
            app_name: String::new(),
            pid: producer.pid,
            tid: span.thread.tid,
            thread: span.thread.name.clone(),
            ended_at: span.ended_at,
            duration_ns: span.duration_ns,
            status: span.status,
            captured: span.captured.clone(),
            exception: span.exception.clone(),
            interrupted,
        });
    }

    fn open_of(&self, producer: ProducerId) -> Vec<OpenSpan> {
        let open = self.open.values();
        open.filter(|span| span.key.producer == producer)
            .cloned()
            .collect()
    }

    fn apply_observed(&mut self, batch: &Batch) {
        for row in &batch.samples {
            self.describe_run(&row.subject, row.at);
            self.samples.push_of(row.subject.run, |id| StoredSample {
                id,
                at: row.at,
                app_name: row.subject.app_name.clone(),
                process_name: row.subject.process_name.clone(),
                pid: row.subject.run.pid,
                cpu_percent: if row.cpu_percent.is_finite() {
                    row.cpu_percent
                } else {
                    0.0
                },
                memory_mb: row.rss_bytes as f64 / MEBIBYTE,
                threads: row.threads,
                measures: row.measures,
            });
        }
        self.apply_logs(batch);
        for row in &batch.process_events {
            self.apply_process_event(row);
        }
        for row in &batch.metrics {
            self.describe_run(&row.subject, row.at);
            self.metrics.push_of(row.subject.run, |id| StoredMetric {
                id,
                at: row.at,
                app_name: row.subject.app_name.clone(),
                pid: row.subject.run.pid,
                name: row.name.clone(),
                value: row.value,
                unit: row.unit.clone(),
                attributes: row.attributes.clone(),
            });
        }
        for row in &batch.stacks {
            self.describe_run(&row.subject, row.at);
            self.stacks.push(|id| StoredStack {
                id,
                at: row.at,
                run: row.subject.run,
                tid: row.tid,
                thread: row.thread.clone(),
                state: row.state,
                holds_gil: row.holds_gil,
                frames: row.frames.clone(),
            });
        }
    }

    fn apply_process_event(&mut self, row: &ProcessEventRow) {
        self.describe_run(&row.subject, row.at);
        if row.event_type == "terminated" {
            self.end_run(row.subject.run, row.at, row.exit_code);
        }
        self.process_events
            .push_of(row.subject.run, |id| StoredProcessEvent {
                id,
                at: row.at,
                app_name: row.subject.app_name.clone(),
                process_name: row.subject.process_name.clone(),
                pid: row.subject.run.pid,
                event_type: row.event_type.clone(),
                exit_code: row.exit_code,
                detail: row.detail.clone(),
            });
    }

    fn end_run(&mut self, run: crate::batch::RunKey, at: Timestamp, exit_code: Option<i32>) {
        let run = self.run(run, at);
        run.ended_at = run.ended_at.or(Some(at));
        run.exit_code = run.exit_code.or(exit_code);
    }

    fn append_event(&mut self, event: &SessionEventRow) {
        self.producer(event.producer, event.at);
        let place = self
            .sessions
            .iter()
            .position(|known| known.record.session == event.session)
            .unwrap_or_else(|| self.start_session(event));
        let session = &mut self.sessions[place];
        if !session::accepts_events(session.record.status) {
            let producer = self.producer(event.producer, event.at);
            producer.stored -= 1;
            producer.unknown += 1;
            return;
        }
        session.append(event, &event.event_type, &event.data);
        if let Some(outcome) = session::outcome(event) {
            session.record.status = outcome;
            session.record.ended_at = Some(event.at);
        }
    }

    fn start_session(&mut self, first: &SessionEventRow) -> usize {
        let mut session = Session {
            producer: first.producer,
            record: StoredSession {
                session: first.session.clone(),
                metadata: session::metadata(first).to_owned(),
                started_at: first.at,
                ended_at: None,
                status: SessionStatus::Active,
                events: 0,
            },
            events: Vec::new(),
        };
        if first.event_type != SESSION_STARTED {
            session.append(first, SESSION_STARTED, session::SYNTHETIC_START);
        }
        self.sessions.push(session);
        self.sessions.len() - 1
    }

    fn end(&mut self, end: &ProducerEnd) {
        let open = self.open_of(end.producer);
        self.open.retain(|key, _| key.producer != end.producer);
        for span in death::interrupt(open, end) {
            self.insert_ended(&span, true);
        }
        for session in &mut self.sessions {
            let status = &mut session.record.status;
            if session.producer == end.producer && *status == SessionStatus::Active {
                *status = SessionStatus::Interrupted;
            }
        }
        let producer = self.producer(end.producer, end.at);
        producer.ended_at = producer.ended_at.or(Some(end.at));
        let run = RunKey::from(end.producer);
        let goes_on = |it: &Producer| RunKey::from(it.id) == run && it.ended_at.is_none();
        if end.ending == Ending::Exec && self.producers.iter().any(goes_on) {
            return;
        }
        self.end_run(run, end.at, end.ending.exit_code());
    }

    fn apply_remote_parents(&mut self, batch: &Batch) {
        for row in &batch.remote_parents {
            self.producer(row.key.producer, row.at);
            if self.remote_parents.iter().any(|it| it.key == row.key) {
                continue;
            }
            self.remote_parents.push(StoredRemoteParent {
                key: row.key,
                at: row.at,
                trace: row.trace,
                parent: row.parent,
            });
        }
    }

    fn apply_books(&mut self, batch: &Batch) {
        let now = batch
            .collector
            .map_or(Timestamp::default(), |state| state.heartbeat);
        for row in &batch.gaps {
            self.producer(row.producer, row.from);
            let known = self.gaps.entry((row.producer, row.gap.number));
            known.and_modify(|gap| gap.grow(row)).or_insert(*row);
        }
        for delta in &batch.ledger {
            let producer = self.producer(delta.producer, now);
            producer.stored += i64::try_from(delta.stored).unwrap_or(i64::MAX);
            producer.damaged += delta.damaged;
            producer.unknown += delta.unknown;
        }
        for position in &batch.positions {
            self.producer(position.producer, now);
            let key = (position.producer, position.chunk);
            self.positions.insert(key, *position);
        }
        self.positions
            .retain(|(producer, _), _| !batch.forgotten.contains(producer));
        self.collector = batch.collector.or(self.collector);
    }
}

impl Session {
    fn append(&mut self, event: &SessionEventRow, event_type: &str, data: &str) {
        self.record.events += 1;
        self.events.push(StoredEvent {
            session: event.session.clone(),
            seq: self.record.events,
            at: event.at,
            event_type: event_type.to_owned(),
            data: data.to_owned(),
        });
    }
}
