//! Records about a process as rows: samples, log lines, events, readings.

use std::sync::Arc;

use argus_model::Timestamp;
use argus_model::record::{self, LogPlace, LogSource, Record};
use argus_store::Batch;
use argus_store::batch::{
    LogMeaning, LogPosition, LogRow, MetricRow, ProcessEventRow, SampleRow, SessionEventRow,
    StackRow, Subject,
};

use super::{ChunkContext, Clock, Fold};
use crate::captured;

impl Fold {
    pub(super) fn store_observed(
        &self,
        record: &Record<'_>,
        chunk: &ChunkContext,
        clock: &mut Clock,
        batch: &mut Batch,
    ) {
        let subject = |number: &u32| self.subject_of(*number, chunk);
        match record {
            Record::Metric {
                subject: whose,
                name,
                at,
                value,
                unit,
                attributes,
            } => {
                batch.metrics.push(MetricRow {
                    at: clock.wall(*at),
                    subject: subject(whose),
                    name: chunk.name(*name).text.clone(),
                    value: *value,
                    unit: (*unit).to_owned(),
                    attributes: captured::attributes(*attributes),
                });
            }
            Record::Log { .. } => self.store_log(record, chunk, clock, batch),
            Record::LogPosition { at, place, .. } => {
                note_position(clock.wall(*at), *place, chunk, batch);
            }
            Record::Sample {
                subject: whose,
                at,
                cpu_percent,
                rss_bytes,
                threads,
                measures,
            } => {
                batch.samples.push(SampleRow {
                    at: clock.wall(*at),
                    subject: subject(whose),
                    cpu_percent: *cpu_percent,
                    rss_bytes: *rss_bytes,
                    threads: *threads,
                    measures: *measures,
                });
            }
            Record::ProcessEvent {
                subject: whose,
                at,
                event_type,
                exit_code,
                detail,
            } => {
                batch.process_events.push(ProcessEventRow {
                    at: clock.wall(*at),
                    subject: subject(whose),
                    event_type: (*event_type).to_owned(),
                    exit_code: *exit_code,
                    detail: present(detail),
                });
            }
            Record::SessionEvent {
                at,
                session,
                event_type,
                data,
            } => {
                batch.session_events.push(SessionEventRow {
                    session: (*session).to_owned(),
                    producer: self.producer,
                    at: clock.wall(*at),
                    event_type: (*event_type).to_owned(),
                    data: (*data).to_owned(),
                });
            }
            Record::Stack { .. } => self.store_stack(record, chunk, clock, batch),
            // All others were taken before; a match on `Record` would have to repeat them.
            _ => {}
        }
    }

    fn store_log(
        &self,
        record: &Record<'_>,
        chunk: &ChunkContext,
        clock: &mut Clock,
        batch: &mut Batch,
    ) {
        if let Record::Log {
            subject,
            at,
            source,
            path,
            line,
            altered,
            span,
            level,
            place,
            meaning,
        } = record
        {
            let at = clock.wall(*at);
            let file = chunk.files.get(&place.file);
            batch.logs.push(LogRow {
                at,
                subject: self.subject_of(*subject, chunk),
                line: (*line).to_owned(),
                path: match file {
                    Some(file) => Some(Arc::clone(&file.path)),
                    None => (!path.is_empty()).then(|| Arc::from(*path)),
                },
                source: source_word(*source),
                level: present(level),
                span: (!span.is_none()).then(|| self.key(*span)),
                altered: *altered,
                offset: file.map(|_| place.end),
                meaning: owned(meaning),
                template: None,
            });
            note_position(at, *place, chunk, batch);
        }
    }

    fn store_stack(
        &self,
        record: &Record<'_>,
        chunk: &ChunkContext,
        clock: &mut Clock,
        batch: &mut Batch,
    ) {
        if let Record::Stack {
            subject,
            at,
            tid,
            thread,
            state,
            holds_gil,
            frames,
        } = record
        {
            batch.stacks.push(StackRow {
                at: clock.wall(*at),
                subject: self.subject_of(*subject, chunk),
                tid: *tid,
                thread: (*thread).to_owned(),
                state: *state,
                holds_gil: *holds_gil,
                frames: (*frames).to_owned(),
            });
        }
    }

    fn subject_of(&self, number: u32, chunk: &ChunkContext) -> Arc<Subject> {
        match number {
            0 => Arc::clone(&self.subject),
            _ => chunk.subjects.get(&number).unwrap_or(&self.subject).clone(),
        }
    }
}

/// Lines of a file come in long runs.
fn note_position(at: Timestamp, place: LogPlace, chunk: &ChunkContext, batch: &mut Batch) {
    let Some(file) = chunk.files.get(&place.file) else {
        return;
    };
    let (file, offset) = (Arc::clone(file), place.end);
    match batch.log_positions.last_mut() {
        Some(last) if Arc::ptr_eq(&last.file, &file) => *last = LogPosition { at, file, offset },
        _ => batch.log_positions.push(LogPosition { at, file, offset }),
    }
}

fn owned(meaning: &record::LogMeaning<'_>) -> Option<Box<LogMeaning>> {
    let pairs = meaning.ids.iter();
    let owned = LogMeaning {
        said_at: meaning.said_at,
        message: present(meaning.message),
        continues: meaning.continues,
        logger: present(meaning.logger),
        attributes: present(meaning.attributes),
        ids: pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    (*meaning != record::LogMeaning::default()).then(|| Box::new(owned))
}

fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn source_word(source: LogSource) -> &'static str {
    match source {
        LogSource::File => "file",
        LogSource::Stdout => "stdout",
        LogSource::Stderr => "stderr",
        LogSource::Logger => "logger",
        LogSource::Stdin => "stdin",
        LogSource::Journal => "journal",
    }
}
