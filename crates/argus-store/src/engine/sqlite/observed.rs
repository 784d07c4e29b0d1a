//! What is known of processes from outside: samples, log lines, events, and named quantities.
//!
//! The first columns of three of these tables are the documents' own, in their format; ours stand
//! behind them.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use argus_model::Timestamp;
use foldhash::HashMap;
use rusqlite::{Connection, ToSql, params};

use super::known::Known;
use super::logs;
use super::measures;
use super::moment::iso;
use super::runs;
use super::stacks;
use super::writer::Tally;
use crate::batch::{Batch, MetricRow, ProcessEventRow, SampleRow, Subject};

/// Bytes of a mebibyte, the unit of `memory_mb`.
const MEBIBYTE: f64 = 1_048_576.0;
/// The event that ends a run.
const TERMINATED: &str = "terminated";

/// Writes the batch's rows about processes.
pub(super) fn write(
    connection: &Connection,
    known: &mut Known,
    batch: &Batch,
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    begin_runs(connection, known, batch)?;
    insert_samples(connection, known, &batch.samples)?;
    logs::insert(connection, known, batch, &mut tally.sums)?;
    insert_events(connection, known, &batch.process_events)?;
    insert_metrics(connection, known, &batch.metrics)?;
    stacks::insert(connection, known, &batch.stacks)?;
    let length = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    tally.samples += length(batch.samples.len());
    tally.logs += length(batch.logs.len());
    tally.process_events += length(batch.process_events.len());
    tally.metrics += length(batch.metrics.len());
    tally.stacks += length(batch.stacks.len());
    Ok(())
}

/// Notes the runs that the rows are about, each as of its earliest row: a run that is known is not
/// looked at again with every row.
fn begin_runs(connection: &Connection, known: &mut Known, batch: &Batch) -> rusqlite::Result<()> {
    let samples = batch.samples.iter().map(|row| (&row.subject, row.at));
    let logs = batch.logs.iter().map(|row| (&row.subject, row.at));
    let events = batch
        .process_events
        .iter()
        .map(|row| (&row.subject, row.at));
    let metrics = batch.metrics.iter().map(|row| (&row.subject, row.at));
    let stacks = batch.stacks.iter().map(|row| (&row.subject, row.at));
    let outside = samples
        .chain(logs)
        .chain(events)
        .chain(metrics)
        .chain(stacks);
    let mut places = HashMap::default();
    let mut begun: Vec<(&Arc<Subject>, Timestamp)> = Vec::new();
    for (subject, at) in outside {
        match places.entry(Arc::as_ptr(subject)) {
            Entry::Vacant(place) => {
                place.insert(begun.len());
                begun.push((subject, at));
            }
            Entry::Occupied(place) => {
                let (_, begun) = &mut begun[*place.get()];
                *begun = at.min(*begun);
            }
        }
    }
    begun.sort_by_key(|(_, at)| *at);
    for (subject, at) in begun {
        runs::run_id(connection, known, subject, at)?;
    }
    Ok(())
}

fn insert_samples(
    connection: &Connection,
    known: &mut Known,
    samples: &[SampleRow],
) -> rusqlite::Result<()> {
    let statement = measures::insertion();
    for sample in samples {
        let run_id = runs::run_id(connection, known, &sample.subject, sample.at)?;
        // What is not a number would be NULL, which the document's column refuses.
        let cpu_percent = if sample.cpu_percent.is_finite() {
            sample.cpu_percent
        } else {
            0.0
        };
        let mut statement = connection.prepare_cached(statement)?;
        for (index, value) in [
            &iso(sample.at) as &dyn ToSql,
            &sample.subject.app_name,
            &sample.subject.process_name,
            &sample.subject.run.pid,
            &cpu_percent,
            &(sample.rss_bytes as f64 / MEBIBYTE),
            &sample.threads,
            &hostname(&sample.subject),
            &run_id,
            &sample.at.nanos(),
        ]
        .into_iter()
        .enumerate()
        {
            statement.raw_bind_parameter(index + 1, value)?;
        }
        measures::bind(&mut statement, &sample.measures)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn insert_events(
    connection: &Connection,
    known: &mut Known,
    events: &[ProcessEventRow],
) -> rusqlite::Result<()> {
    for event in events {
        let run_id = runs::run_id(connection, known, &event.subject, event.at)?;
        connection
            .prepare_cached(
                "INSERT INTO process_events (timestamp, app_name, process_name, process_id,
                     event_type, exit_code, hostname, run_id, at_ns, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                iso(event.at),
                event.subject.app_name,
                event.subject.process_name,
                event.subject.run.pid,
                event.event_type,
                event.exit_code,
                hostname(&event.subject),
                run_id,
                event.at.nanos(),
                event.detail,
            ])?;
        if event.event_type == TERMINATED {
            runs::end_run(connection, run_id, event.at, event.exit_code)?;
        }
    }
    Ok(())
}

fn insert_metrics(
    connection: &Connection,
    known: &mut Known,
    metrics: &[MetricRow],
) -> rusqlite::Result<()> {
    for metric in metrics {
        let run_id = runs::run_id(connection, known, &metric.subject, metric.at)?;
        connection
            .prepare_cached(
                "INSERT INTO metrics (timestamp, app_name, process_id, name, value, unit,
                     attributes, run_id, at_ns)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                iso(metric.at),
                metric.subject.app_name,
                metric.subject.run.pid,
                metric.name,
                metric.value,
                metric.unit,
                metric.attributes,
                run_id,
                metric.at.nanos(),
            ])?;
    }
    Ok(())
}

fn hostname(subject: &Arc<Subject>) -> Option<&str> {
    (!subject.hostname.is_empty()).then_some(&subject.hostname)
}
