//! Parents in other programs.

use std::time::Duration;

use argus_model::{ProducerId, SpanKey, SpanNumber, Timestamp};
use rusqlite::{Connection, Row, params};

use super::known::Known;
use super::runs;
use crate::batch::RemoteParentRow;
use crate::query::{RemoteParents, StoredRemoteParent};

/// A span that began so long before its end loses its parent together with what was older than it.
const LONG: Duration = Duration::from_secs(86_400);

/// Writes what a batch's spans say.
pub(super) fn insert(
    connection: &Connection,
    known: &mut Known,
    rows: &[RemoteParentRow],
) -> rusqlite::Result<()> {
    for row in rows {
        let producer_id = runs::producer_id(connection, known, row.key.producer, row.at)?;
        connection
            .prepare_cached(
                "INSERT INTO remote_parents (producer_id, number, trace_id, parent_span_id, at_ns)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                producer_id,
                row.key.number.0.cast_signed(),
                trace_text(row.trace),
                span_text(row.parent),
                row.at.nanos(),
            ])?;
    }
    Ok(())
}

/// Those that are meant, the latest first, at most `limit`.
pub(super) fn parents(
    connection: &Connection,
    which: RemoteParents,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRemoteParent>> {
    let (column, id) = match which {
        RemoteParents::Trace(trace) => ("trace_id", trace_text(trace)),
        RemoteParents::Below(span) => ("parent_span_id", span_text(span)),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(&format!(
            "SELECT p.producer, r.number, r.trace_id, r.parent_span_id, r.at_ns
             FROM remote_parents AS r JOIN producers AS p ON p.id = r.producer_id
             WHERE r.{column} = ?1 ORDER BY r.id DESC LIMIT ?2"
        ))?
        .query_map(params![id, limit], parent)?
        .filter_map(Result::transpose)
        .collect()
}

/// Removes those of spans that began earlier.
pub(super) fn prune(connection: &Connection, before: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM remote_parents WHERE at_ns < ?1")?
        .execute([before.minus(LONG).nanos()])
        .map(drop)
}

/// Nothing for a row that was not written by us.
fn parent(row: &Row<'_>) -> rusqlite::Result<Option<StoredRemoteParent>> {
    let text = |column| row.get::<_, String>(column);
    let (producer, trace, parent) = (text(0)?, text(2)?, text(3)?);
    let number = SpanNumber(row.get::<_, i64>(1)?.cast_unsigned());
    let at = Timestamp::from_nanos(row.get(4)?);
    let read = || {
        let producer: ProducerId = producer.parse().ok()?;
        Some(StoredRemoteParent {
            key: SpanKey { producer, number },
            at,
            trace: u128::from_str_radix(&trace, 16).ok()?,
            parent: u64::from_str_radix(&parent, 16).ok()?,
        })
    };
    Ok(read())
}

fn trace_text(trace: u128) -> String {
    format!("{trace:032x}")
}

fn span_text(span: u64) -> String {
    format!("{span:016x}")
}
