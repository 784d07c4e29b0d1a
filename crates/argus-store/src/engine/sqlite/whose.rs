//! The producers that a filter names.
//!
//! They are looked up once, not with every window of a page: nearly always there is one.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::walk::Conditions;
use crate::query::SpanFilter;

/// So many producers are told to a statement by their numbers.
const FEW: usize = 8;

/// Whose rows are meant.
#[derive(Debug)]
pub(super) enum Whose {
    Everybodys,
    Nobodys,
    /// Between one and [`FEW`].
    These(Vec<i64>),
    /// Of more producers than that: they are told by what is asked of them.
    Those(Conditions),
}

impl Whose {
    /// Cost: a look into an index.
    pub(super) fn of(connection: &Connection, filter: &SpanFilter) -> rusqlite::Result<Self> {
        let mut conditions = Conditions::default();
        if let Some(run) = filter.run {
            conditions.and("run_id = ?", [run.into()]);
        }
        if let Some(pid) = filter.pid {
            conditions.and("pid = ?", [pid.into()]);
        }
        if let Some(app_name) = &filter.app_name {
            conditions.and("app_name = ?", [app_name.clone().into()]);
        }
        if conditions.is_empty() {
            return Ok(Self::Everybodys);
        }
        let statement = format!(
            "SELECT id FROM producers WHERE true{} LIMIT {}",
            conditions.text(),
            FEW + 1
        );
        let ids: Vec<i64> = connection
            .prepare_cached(&statement)?
            .query_map(params_from_iter(conditions.values()), |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(match ids.len() {
            0 => Self::Nobodys,
            1..=FEW => Self::These(ids),
            _ => Self::Those(conditions),
        })
    }

    /// Restricts a table with a `producer_id`.
    pub(super) fn restrict(&self, conditions: &mut Conditions, table: &str) {
        match self {
            Self::Everybodys => {}
            Self::Nobodys => conditions.and("false", []),
            Self::These(ids) => match ids[..] {
                [id] => conditions.and(&format!("{table}.producer_id = ?"), [id.into()]),
                _ => {
                    // Filled up to one length, so that one prepared statement serves.
                    let padding = ids.iter().cycle().take(FEW);
                    let marks = ["?"; FEW].join(", ");
                    conditions.and(
                        &format!("{table}.producer_id IN ({marks})"),
                        padding.map(|&id| Value::from(id)),
                    );
                }
            },
            // Row by row: a program may have run ten thousand times, and few rows are read.
            Self::Those(theirs) => {
                let condition = format!(
                    "EXISTS (SELECT 1 FROM producers WHERE id = {table}.producer_id{})",
                    theirs.text()
                );
                conditions.and(&condition, theirs.values());
            }
        }
    }
}
