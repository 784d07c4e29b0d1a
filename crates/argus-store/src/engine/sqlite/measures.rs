//! The columns of `performance_metrics` that hold a process's measures, one for each, by its name.

use std::sync::LazyLock;

use argus_model::{Measure, Measures};
use rusqlite::types::Null;
use rusqlite::{Row, Statement};

/// The columns before the measures in [`insertion`].
const BEFORE: &str = "timestamp, app_name, process_name, process_id, cpu_percent, memory_mb,
    thread_count, hostname, run_id, at_ns";
const COUNT_BEFORE: usize = 10;

/// The names of the measures' columns, in the order of [`Measure::ALL`].
pub(super) fn columns() -> &'static str {
    static COLUMNS: LazyLock<String> = LazyLock::new(|| Measure::ALL.map(Measure::name).join(", "));
    &COLUMNS
}

/// The statement that inserts a sample: ten values, then every measure.
pub(super) fn insertion() -> &'static str {
    static INSERTION: LazyLock<String> = LazyLock::new(|| {
        let values = vec!["?"; COUNT_BEFORE + Measure::ALL.len()].join(", ");
        let columns = columns();
        format!("INSERT INTO performance_metrics ({BEFORE}, {columns}) VALUES ({values})")
    });
    &INSERTION
}

/// Binds the measures of a sample to [`insertion`].
pub(super) fn bind(statement: &mut Statement<'_>, measures: &Measures) -> rusqlite::Result<()> {
    for measure in Measure::ALL {
        let index = COUNT_BEFORE + 1 + measure as usize;
        match measures.get(measure) {
            Some(value) => statement.raw_bind_parameter(index, value)?,
            None => statement.raw_bind_parameter(index, Null)?,
        }
    }
    Ok(())
}

/// Reads the measures of a row whose columns from `first` on are [`columns`].
pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Measures> {
    let mut measures = Measures::NONE;
    for measure in Measure::ALL {
        if let Some(value) = row.get(first + measure as usize)? {
            measures.set(measure, value);
        }
    }
    Ok(measures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sqlite::schema;

    #[test]
    fn every_measure_has_a_column_of_its_kind() {
        let store = schema::pristine().unwrap();
        for measure in Measure::ALL {
            let declared: String = store
                .query_row(
                    "SELECT type FROM pragma_table_info('performance_metrics') WHERE name = ?1",
                    [measure.name()],
                    |row| row.get(0),
                )
                .unwrap();
            let expected = if measure.is_count() {
                "INTEGER"
            } else {
                "REAL"
            };
            assert_eq!(declared, expected, "{}", measure.name());
        }
    }
}
