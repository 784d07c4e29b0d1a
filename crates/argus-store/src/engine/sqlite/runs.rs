//! Producers, and the process runs that join the view from inside with the view from outside.
//!
//! Who speaks about a process may know more or less of it: what is said last holds, but saying
//! nothing (empty text) erases nothing. A run ends once; a later word on it only adds the exit
//! code where that was unknown.

use argus_model::record::OBSERVER_RUNTIME;
use argus_model::{ProducerId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::known::Known;
use crate::batch::{Ending, Parent, ProducerEnd, ProducerRow, RunKey, Subject};
use crate::sink::KnownProducer;

/// Which side a description of a run comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Inside,
    /// An observer's description of itself.
    Observing,
    Outside,
}

/// Inserts producers or describes them anew.
pub(super) fn describe(
    connection: &Connection,
    known: &mut Known,
    producers: &[ProducerRow],
) -> rusqlite::Result<()> {
    for producer in producers {
        let run_id = upsert_run(
            connection,
            &producer.subject,
            producer.seen_at,
            if producer.is_observer() {
                Seen::Observing
            } else {
                Seen::Inside
            },
        )?;
        let id = upsert_producer(connection, producer, run_id)?;
        known.producers.insert(producer.id, id);
    }
    Ok(())
}

/// The row of this producer. One that never described itself (that record was damaged) gets a row
/// with nothing but its identity, so that nothing of it is hidden.
pub(super) fn producer_id(
    connection: &Connection,
    known: &mut Known,
    producer: ProducerId,
    at: Timestamp,
) -> rusqlite::Result<i64> {
    if let Some((last, id)) = known.last_producer
        && last == producer
    {
        return Ok(id);
    }
    let id = match known.producers.get(&producer) {
        Some(&id) => id,
        None => match find(connection, producer)? {
            Some(id) => id,
            None => insert_undescribed(connection, producer, at)?,
        },
    };
    known.producers.insert(producer, id);
    known.last_producer = Some((producer, id));
    Ok(id)
}

/// The row of a producer that has one.
pub(super) fn find(connection: &Connection, producer: ProducerId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM producers WHERE producer = ?1")?
        .query_row([producer.to_string()], |row| row.get(0))
        .optional()
}

/// What is remembered of a producer.
pub(super) fn known(
    connection: &Connection,
    producer: ProducerId,
) -> rusqlite::Result<Option<KnownProducer>> {
    connection
        .prepare_cached(
            "SELECT app_name, process_name, command_line, hostname, stored + damaged + unknown,
                    runtime = ?2, parent_pid FROM producers WHERE producer = ?1",
        )?
        .query_row(params![producer.to_string(), OBSERVER_RUNTIME], |row| {
            Ok(KnownProducer {
                subject: Subject {
                    run: RunKey::from(producer),
                    app_name: row.get(0)?,
                    process_name: row.get(1)?,
                    command_line: row.get(2)?,
                    hostname: row.get(3)?,
                    parent: Parent::known(row.get(6)?, 0),
                },
                drained: row.get::<_, i64>(4)?.max(0).cast_unsigned(),
                observer: row.get(5)?,
            })
        })
        .optional()
}

/// The run of the process that a row from outside is about.
pub(super) fn run_id(
    connection: &Connection,
    known: &mut Known,
    subject: &std::sync::Arc<Subject>,
    at: Timestamp,
) -> rusqlite::Result<i64> {
    known.runs.id(subject, |subject| {
        upsert_run(connection, subject, at, Seen::Outside)
    })
}

/// A producer is over. So is its run, unless the process goes on as another producer.
pub(super) fn end(
    connection: &Connection,
    known: &mut Known,
    end: &ProducerEnd,
) -> rusqlite::Result<()> {
    let producer_id = producer_id(connection, known, end.producer, end.at)?;
    connection
        .prepare_cached(
            "UPDATE producers SET ended_at_ns = coalesce(ended_at_ns, ?2),
                 exit_code = coalesce(exit_code, ?3) WHERE id = ?1",
        )?
        .execute(params![producer_id, end.at.nanos(), end.ending.exit_code()])?;
    let run_id: i64 = connection
        .prepare_cached("SELECT run_id FROM producers WHERE id = ?1")?
        .query_row([producer_id], |row| row.get(0))?;
    if end.ending == Ending::Exec && has_producer(connection, run_id, end.producer.pid)? {
        return Ok(());
    }
    end_run(connection, run_id, end.at, end.ending.exit_code())
}

/// Whether a run has a producer that is not over.
fn has_producer(connection: &Connection, run_id: i64, pid: u32) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM producers
                 WHERE pid = ?2 AND run_id = ?1 AND ended_at_ns IS NULL)",
        )?
        .query_row(params![run_id, pid], |row| row.get(0))
}

/// Notes that a run is over.
pub(super) fn end_run(
    connection: &Connection,
    run_id: i64,
    at: Timestamp,
    exit_code: Option<i32>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE process_runs SET ended_at_ns = coalesce(ended_at_ns, ?2),
                 exit_code = coalesce(exit_code, ?3) WHERE id = ?1",
        )?
        .execute(params![run_id, at.nanos(), exit_code])
        .map(drop)
}

/// Producers without an end.
pub(super) fn unended(connection: &Connection) -> rusqlite::Result<Vec<ProducerId>> {
    let mut statement = connection
        .prepare_cached("SELECT producer FROM producers WHERE ended_at_ns IS NULL ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut producers = Vec::new();
    while let Some(row) = rows.next()? {
        producers.extend(row.get_ref(0)?.as_str()?.parse::<ProducerId>());
    }
    Ok(producers)
}

fn upsert_run(
    connection: &Connection,
    subject: &Subject,
    at: Timestamp,
    seen: Seen,
) -> rusqlite::Result<i64> {
    let RunKey {
        machine,
        boot,
        pid_namespace,
        pid,
        start_ticks,
    } = subject.run;
    connection
        .prepare_cached(
            "INSERT INTO process_runs (machine, boot, pid_namespace, pid, start_ticks, app_name,
                 process_name, command_line, hostname, instrumented, observer, started_at_ns,
                 parent_pid, parent_start_ticks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?14, ?15)
             ON CONFLICT (pid, start_ticks, machine, boot, pid_namespace) DO UPDATE SET
                 app_name = coalesce(nullif(excluded.app_name, ''), app_name),
                 process_name = coalesce(nullif(excluded.process_name, ''), process_name),
                 command_line = coalesce(nullif(excluded.command_line, ''), command_line),
                 hostname = coalesce(nullif(excluded.hostname, ''), hostname),
                 instrumented = max(instrumented, excluded.instrumented),
                 observer = max(observer, excluded.observer),
                 started_at_ns = min(started_at_ns, excluded.started_at_ns),
                 parent_pid = coalesce(parent_pid, excluded.parent_pid),
                 parent_start_ticks = coalesce(parent_start_ticks,
                     iif(coalesce(parent_pid, excluded.parent_pid) = excluded.parent_pid,
                         excluded.parent_start_ticks, NULL)),
                 ended_at_ns = iif(?13 AND exit_code IS NULL, NULL, ended_at_ns)
             RETURNING id",
        )?
        .query_row(
            params![
                machine.cast_signed(),
                boot.cast_signed(),
                pid_namespace.cast_signed(),
                pid,
                start_ticks.cast_signed(),
                subject.app_name,
                subject.process_name,
                subject.command_line,
                subject.hostname,
                seen == Seen::Inside,
                seen == Seen::Observing,
                at.nanos(),
                // The process goes on as this producer; its own end will be told.
                seen == Seen::Inside,
                subject.parent.map(|parent| parent.pid),
                subject
                    .parent
                    .and_then(|parent| Some(parent.start_ticks?.cast_signed())),
            ],
            |row| row.get(0),
        )
}

/// The parent that the columns from `first` on name.
pub(super) fn parent(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Parent>> {
    let pid: Option<u32> = row.get(first)?;
    let start_ticks: Option<i64> = row.get(first + 1)?;
    Ok(pid.map(|pid| Parent {
        pid,
        start_ticks: start_ticks.map(i64::cast_unsigned),
    }))
}

fn upsert_producer(
    connection: &Connection,
    producer: &ProducerRow,
    run_id: i64,
) -> rusqlite::Result<i64> {
    let subject = &producer.subject;
    connection
        .prepare_cached(
            "INSERT INTO producers (producer, run_id, pid, app_name, process_name, command_line,
                 hostname, runtime, argus_version, parent_pid, seen_at_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (producer) DO UPDATE SET
                 run_id = excluded.run_id,
                 app_name = excluded.app_name,
                 process_name = excluded.process_name,
                 command_line = excluded.command_line,
                 hostname = excluded.hostname,
                 runtime = excluded.runtime,
                 argus_version = excluded.argus_version,
                 parent_pid = excluded.parent_pid,
                 seen_at_ns = min(seen_at_ns, excluded.seen_at_ns)
             RETURNING id",
        )?
        .query_row(
            params![
                producer.id.to_string(),
                run_id,
                producer.id.pid,
                subject.app_name,
                subject.process_name,
                subject.command_line,
                subject.hostname,
                producer.runtime,
                producer.argus_version,
                subject.parent.map_or(0, |parent| parent.pid),
                producer.seen_at.nanos(),
            ],
            |row| row.get(0),
        )
}

fn insert_undescribed(
    connection: &Connection,
    producer: ProducerId,
    at: Timestamp,
) -> rusqlite::Result<i64> {
    let subject = Subject {
        run: producer.into(),
        ..Subject::default()
    };
    let run_id = upsert_run(connection, &subject, at, Seen::Inside)?;
    let row = ProducerRow {
        id: producer,
        subject: subject.into(),
        runtime: String::new(),
        argus_version: String::new(),
        seen_at: at,
    };
    upsert_producer(connection, &row, run_id)
}
