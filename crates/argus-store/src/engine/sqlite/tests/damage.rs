//! What a check finds: everything that changes a row, and nothing in a store that is whole.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::super::sums::{Checked, TABLES};
use super::super::{check, schema};
use super::Place;
use crate::Batch;
use crate::batch::{
    GapRow, LedgerDelta, LogFile, LogMeaning, LogPosition, LogRow, LogTemplate, Position,
    RemoteParentRow, SpanRow, Status,
};
use crate::conformance::fixture::{
    at, described, end, event, key, log, metric, name, open, process_event, producer, sample, span,
    stack,
};
use crate::retention::{Rest, Retention};
use crate::verify::Report;

/// How many bits are flipped; the environment asks for the long form.
fn flips() -> u64 {
    let asked = std::env::var("ARGUS_TORTURE_ROUNDS").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(300)
}

pub(super) fn report(database: &Path) -> Report {
    check(database, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn gap() -> GapRow {
    GapRow {
        producer: producer(1),
        gap: argus_model::record::Gap {
            number: 1,
            reason: argus_model::record::LossReason::Budget,
            normal: 2,
            errors: 1,
            from: argus_model::Monotonic::from_nanos(1),
            to: argus_model::Monotonic::from_nanos(2),
        },
        from: at(0),
        to: at(1),
    }
}

/// Log lines, and what belongs to them.
fn lines(round: i64) -> Batch {
    Batch {
        logs: (0..40)
            .map(|row| LogRow {
                meaning: Some(Box::new(LogMeaning {
                    ids: vec![("request_id".into(), format!("r{row}"))],
                    ..LogMeaning::default()
                })),
                ..log(1, row, &format!("line {row} of {round}"))
            })
            .collect(),
        log_templates: vec![LogTemplate {
            id: 1,
            pattern: "line <*> of <*>".into(),
            count: 40,
            first: at(0),
            last: at(39),
        }],
        log_positions: vec![LogPosition {
            at: at(39),
            file: Arc::new(LogFile {
                path: "app.log".into(),
                inode: round as u64 / 2,
                ..LogFile::default()
            }),
            offset: round as u64 * 1_000,
        }],
        ..Batch::default()
    }
}

/// Rows in every table, over several batches, with updates and deletes among them.
pub(super) fn everything() -> Place {
    let mut place = Place::new(&Batch {
        producers: vec![described(1), described(2)],
        opened: (0..20).map(|number| open(10_000 + number, 0)).collect(),
        gaps: vec![gap()],
        ..Batch::default()
    });
    for round in 0..4_i64 {
        let number = |row: i64| (round * 500 + row).cast_unsigned();
        let committed = place.sink.commit(&Batch {
            ended: (0..500)
                .map(|row| SpanRow {
                    name: name(&format!("module.function_{}", row % 7)),
                    status: if row % 50 == 0 {
                        Status::Err
                    } else {
                        Status::Ok
                    },
                    exception: (row % 50 == 0).then(|| format!("ValueError: {row}")),
                    captured: (row % 2 == 0).then(|| format!(r#"{{"i":{{"row":"{row}"}}}}"#)),
                    ..span(number(row), round * 5 * 3_600 + row % 60)
                })
                .collect(),
            samples: (0..20).map(|row| sample(1, round * 60 + row)).collect(),
            remote_parents: vec![RemoteParentRow {
                key: key(1, number(0)),
                at: at(0),
                trace: 7,
                parent: 9,
            }],
            stacks: vec![stack(1, 1, round, "load (a.py:1)")],
            process_events: vec![process_event(2, round, "started")],
            metrics: (0..20).map(|row| metric(1, row, "depth", 0.5)).collect(),
            session_events: vec![event(
                &format!("session {}", round / 2),
                "step",
                r#"{"a":1}"#,
            )],
            ledger: vec![LedgerDelta {
                producer: producer(1),
                stored: 500,
                damaged: 0,
                unknown: 0,
                clamped: 0,
            }],
            positions: vec![Position {
                ended: true,
                producer: producer(1),
                chunk: 3,
                generation: u64::MAX,
                offset: 64,
            }],
            collector: Some(crate::batch::CollectorState::default()),
            ..lines(round)
        });
        committed.unwrap();
        place.sink.sync().unwrap();
    }
    let keep = Retention::unlimited();
    while place.sink.prune(&keep, at(15 * 3_600), 100).unwrap().rest == Rest::More {}
    place
}

#[test]
fn every_table_is_checked() {
    let pristine = schema::pristine().unwrap();
    let mut statement = pristine
        .prepare(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'sums' ORDER BY name",
        )
        .unwrap();
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut checked: Vec<&str> = TABLES.iter().map(|checked| checked.table).collect();
    checked.sort_unstable();
    assert_eq!(names, checked);
}

#[test]
fn a_whole_store_has_no_damage() {
    let mut place = everything();
    for Checked { table, .. } in TABLES {
        let rows = place.lines(&format!("SELECT count(*) > 0 FROM {table}"));
        assert_eq!(rows, ["1"], "{table}");
    }
    let whole = report(&place.database());
    assert_eq!(whole.damage, []);
    assert!(whole.rows > 2_000, "{whole:?}");
    // The end of a producer deletes open spans and updates a session.
    let committed = place.sink.commit(&Batch {
        ends: vec![end(1, 900, Some(1))],
        forgotten: vec![producer(1)],
        ..Batch::default()
    });
    committed.unwrap();
    assert_eq!(report(&place.database()).damage, []);
}

#[test]
fn an_empty_store_has_no_damage() {
    let place = Place::new(&Batch::default());
    assert_eq!(report(&place.database()).damage, []);
}

#[test]
fn a_failed_commit_leaves_the_sums_as_they_were() {
    let mut place = everything();
    let foreign = place.foreign();
    foreign
        .execute_batch("ALTER TABLE metrics RENAME TO hidden")
        .unwrap();
    let batch = Batch {
        ended: vec![span(77_000, 0)],
        logs: vec![log(1, 0, "lost")],
        metrics: vec![metric(1, 0, "m", 1.0)],
        ..Batch::default()
    };
    place.sink.commit(&batch).unwrap_err();
    foreign
        .execute_batch("ALTER TABLE hidden RENAME TO metrics")
        .unwrap();
    place.sink.commit(&batch).unwrap();
    let found = report(&place.database()).damage;
    // Renaming a table to and fro changes how the file describes it, and nothing else.
    assert!(
        found.iter().all(|damage| damage.what.contains("schema")),
        "{found:?}"
    );
}

#[test]
fn a_row_changed_by_another_hand_is_located() {
    let place = everything();
    for (statement, table, keys) in [
        (
            "UPDATE spans SET duration_ns = duration_ns + 1 WHERE id = 1500",
            "spans",
            Some((1024, 2047)),
        ),
        (
            "DELETE FROM log_entries WHERE id = 7",
            "log_entries",
            Some((0, 1023)),
        ),
        (
            "UPDATE obs_session_meta SET status = 'failed'",
            "obs_session_meta",
            None,
        ),
    ] {
        let copy = place.folder.path().join("copy.db");
        let into = format!("VACUUM INTO '{}'", copy.display());
        place.foreign().execute_batch(&into).unwrap();
        Connection::open(&copy)
            .unwrap()
            .execute_batch(statement)
            .unwrap();
        let found = report(&copy).damage;
        assert!(
            found
                .iter()
                .any(|damage| damage.table.as_deref() == Some(table) && damage.keys == keys),
            "{statement}: {found:?}"
        );
        fs::remove_file(&copy).unwrap();
    }
}

#[test]
fn a_check_can_be_ended() {
    let place = everything();
    let mut calls = 0;
    let ended = check(&place.database(), &mut |_| {
        calls += 1;
        if calls == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(ended.unwrap().interrupted);
}

/// Everything that a reader could be told, or the error in its place.
fn contents(database: &Path) -> Result<Vec<u8>, rusqlite::Error> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut all = Vec::new();
    let mut tell = |text: &str| -> rusqlite::Result<()> {
        let mut statement = connection.prepare(text)?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                match row.get_ref(column)? {
                    ValueRef::Null => all.push(0),
                    ValueRef::Integer(number) => {
                        all.push(1);
                        all.extend(number.to_le_bytes());
                    }
                    ValueRef::Real(number) => {
                        all.push(2);
                        all.extend(number.to_bits().to_le_bytes());
                    }
                    ValueRef::Text(bytes) => {
                        all.push(3);
                        all.extend((bytes.len() as u64).to_le_bytes());
                        all.extend(bytes);
                    }
                    ValueRef::Blob(bytes) => {
                        all.push(4);
                        all.extend((bytes.len() as u64).to_le_bytes());
                        all.extend(bytes);
                    }
                }
            }
        }
        Ok(())
    };
    for checked in TABLES {
        // By rowid or primary key, so that indexes have no say.
        tell(&format!("SELECT * FROM {} NOT INDEXED", checked.table))?;
    }
    // What only an index tells.
    tell("SELECT id FROM spans INDEXED BY spans_failed WHERE status = 'ERR' ORDER BY id")?;
    Ok(all)
}

#[test]
fn every_flipped_bit_that_changes_a_row_is_found() {
    let place = everything();
    let (database, folder) = (place.database(), place.folder);
    drop(place.sink);
    let whole = fs::read(&database).unwrap();
    let told = contents(&database).unwrap();
    let copy = folder.path().join("flipped.db");
    // splitmix64: the same flips in every run.
    let mut state = 0x5eed_u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let (mut harmful, mut silent) = (0, 0);
    for _ in 0..flips() {
        let bit = random() % (whole.len() as u64 * 8);
        let (at, bit) = ((bit / 8) as usize, bit % 8);
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(&copy, &bytes).unwrap();
        let changed = contents(&copy).map_or(true, |now| now != told);
        let connection = Connection::open(&copy).unwrap();
        let noticed: Result<String, _> =
            connection.query_row("PRAGMA quick_check", [], |row| row.get(0));
        drop(connection);
        fs::write(&copy, &bytes).unwrap();
        harmful += u64::from(changed);
        silent += u64::from(changed && noticed.is_ok_and(|answer| answer == "ok"));
        let found = check(&copy, &mut |_| ControlFlow::Continue(()))
            .map_or(true, |report| !report.damage.is_empty());
        assert!(
            found || !changed,
            "byte {at}, bit {bit} changed a row unnoticed"
        );
    }
    println!(
        "{} flips, {harmful} changed what is read, {silent} of them unnoticed by SQLite",
        flips()
    );
    assert!(harmful > flips() / 5, "too few flips hit a row: {harmful}");
}
