//! Where in spans the calls of a program lie, so that a page of one that died long ago, or speaks
//! rarely, reads nothing but blocks that hold some of its calls.
//!
//! Ids are divided into zones of 16,384, and a zone into 64 blocks. A row of `span_zones` says of one
//! producer in one zone how many of its calls stand there, in which blocks, in which blocks failed
//! ones, and between which moments they ended. It is kept in the transaction of the spans. Bits and
//! moments are bounds, wider than the truth once retention has removed spans; the count is exact, and
//! its row goes with the last call.
//!
//! Ten million calls of six programs at a time are 3,700 rows. An index on spans would tell the same
//! and cost as much as the spans themselves.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params, params_from_iter};

use super::rollups::Ended;
use super::walk::{Conditions, Narrow, Stretch};
use super::whose::Whose;
use crate::batch::Status;
use crate::query::SpanFilter;

/// Ids of a zone, as a power of two.
const ZONE: u32 = 14;
/// Ids of a block, as a power of two: a zone has as many blocks as an integer has bits.
const BLOCK: u32 = ZONE - u64::BITS.ilog2();

/// What stands in a zone of one producer.
#[derive(Debug, Clone, Copy)]
struct Zone {
    count: i64,
    blocks: u64,
    failed_blocks: u64,
    first_end_ns: i64,
    last_end_ns: i64,
}

impl Zone {
    const EMPTY: Self = Self {
        count: 0,
        blocks: 0,
        failed_blocks: 0,
        first_end_ns: i64::MAX,
        last_end_ns: i64::MIN,
    };

    fn add(&mut self, span: &Ended) {
        let block = 1 << (span.id >> BLOCK & i64::from(u64::BITS - 1));
        self.count += 1;
        self.blocks |= block;
        if span.failed {
            self.failed_blocks |= block;
        }
        self.first_end_ns = self.first_end_ns.min(span.ended_at.nanos());
        self.last_end_ns = self.last_end_ns.max(span.ended_at.nanos());
    }
}

/// What some spans mean for the map, by zone and producer.
#[derive(Debug, Default)]
pub(super) struct Zones(BTreeMap<(i64, i64), Zone>);

impl Zones {
    /// Counts one span. Cost: a search among the producers of a batch.
    pub(super) fn add(&mut self, span: &Ended) {
        let key = (span.id >> ZONE, span.producer_id);
        self.0.entry(key).or_insert(Zone::EMPTY).add(span);
    }

    /// Adds everything to what the store has.
    pub(super) fn merge_into(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut merge = connection.prepare_cached(
            "INSERT INTO span_zones
                 (zone, producer_id, count, blocks, failed_blocks, first_end_ns, last_end_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (zone, producer_id) DO UPDATE SET
                 count = count + excluded.count,
                 blocks = blocks | excluded.blocks,
                 failed_blocks = failed_blocks | excluded.failed_blocks,
                 first_end_ns = min(first_end_ns, excluded.first_end_ns),
                 last_end_ns = max(last_end_ns, excluded.last_end_ns)",
        )?;
        for ((zone, producer_id), added) in self.0 {
            merge.execute(params![
                zone,
                producer_id,
                added.count,
                added.blocks.cast_signed(),
                added.failed_blocks.cast_signed(),
                added.first_end_ns,
                added.last_end_ns,
            ])?;
        }
        Ok(())
    }

    /// Takes the counts from what the store has, and forgets zones of which nothing is left.
    pub(super) fn take_from(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut remove = connection.prepare_cached(
            "DELETE FROM span_zones WHERE zone = ?1 AND producer_id = ?2 AND count <= ?3",
        )?;
        let mut take = connection.prepare_cached(
            "UPDATE span_zones SET count = count - ?3 WHERE zone = ?1 AND producer_id = ?2",
        )?;
        for ((zone, producer_id), taken) in self.0 {
            let row = [zone, producer_id, taken.count];
            if remove.execute(row)? == 0 {
                take.execute(row)?;
            }
        }
        Ok(())
    }
}

/// Draws the map of the spans that a store of version 1 has. Cost: reads all of them once.
///
/// A store in which some cannot be read is not migrated: it is damaged, and can be salvaged.
pub(super) fn draw(connection: &Connection) -> rusqlite::Result<()> {
    let select = format!("SELECT {} FROM spans NOT INDEXED", Ended::COLUMNS);
    let mut zones = Zones::default();
    let mut statement = connection.prepare(&select)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        zones.add(&Ended::read(row)?);
    }
    zones.merge_into(connection)
}

/// Which blocks a filter leaves.
pub(super) struct Map<'a> {
    connection: &'a Connection,
    blocks: &'static str,
    conditions: Conditions,
}

impl<'a> Map<'a> {
    /// A map for this filter; none when it asks for nothing that zones tell.
    pub(super) fn of(
        connection: &'a Connection,
        filter: &SpanFilter,
        whose: &Whose,
    ) -> Option<Self> {
        let mut conditions = Conditions::default();
        whose.restrict(&mut conditions, "z");
        if let Some(from) = filter.time.from {
            conditions.and("z.last_end_ns >= ?", [from.nanos().into()]);
        }
        if let Some(to) = filter.time.to {
            conditions.and("z.first_end_ns < ?", [to.nanos().into()]);
        }
        let blocks = match filter.status {
            Some(Status::Err) => "failed_blocks",
            _ => "blocks",
        };
        (!conditions.is_empty()).then_some(Self {
            connection,
            blocks,
            conditions,
        })
    }
}

impl Narrow for Map<'_> {
    /// Cost: a third of a microsecond for every zone and each of its producers.
    fn within(&self, (low, high): Stretch) -> rusqlite::Result<Vec<Stretch>> {
        let statement = format!(
            "SELECT z.zone, z.{} FROM span_zones AS z WHERE z.zone BETWEEN ? AND ?{} ORDER BY z.zone",
            self.blocks,
            self.conditions.text()
        );
        let zones = [low >> ZONE, high >> ZONE].map(Into::into);
        let values = zones.into_iter().chain(self.conditions.values());
        let mut statement = self.connection.prepare_cached(&statement)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut stretches = Vec::new();
        let mut zone: (i64, u64) = (0, 0);
        while let Some(row) = rows.next()? {
            let (number, blocks) = marked(row)?;
            if number != zone.0 {
                add_blocks(&mut stretches, zone);
                zone = (number, 0);
            }
            zone.1 |= blocks;
        }
        add_blocks(&mut stretches, zone);
        let clipped = stretches
            .iter()
            .map(|&(from, to)| (from.max(low), to.min(high)));
        Ok(clipped.filter(|&(from, to)| from <= to).collect())
    }
}

fn marked(row: &Row<'_>) -> rusqlite::Result<(i64, u64)> {
    Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
}

/// Appends the ids of the blocks that are set; neighbours become one stretch.
fn add_blocks(stretches: &mut Vec<Stretch>, (zone, mut blocks): (i64, u64)) {
    while blocks != 0 {
        let first = blocks.trailing_zeros();
        let count = (blocks >> first).trailing_ones();
        let low = (zone << ZONE) + (i64::from(first) << BLOCK);
        let high = low + (i64::from(count) << BLOCK) - 1;
        match stretches.last_mut() {
            Some(last) if last.1 + 1 == low => last.1 = high,
            _ => stretches.push((low, high)),
        }
        blocks &= u64::MAX.checked_shl(first + count).unwrap_or(0);
    }
}
