//! The map of spans: never says that a call is not where it is, whatever was written and removed.

use std::time::Duration;

use rusqlite::Connection;

use super::super::{open_writer, schema};
use super::Place;
use super::damage::{everything, report};
use super::salvage::{page_of, save};
use crate::Batch;
use crate::batch::{SpanRow, Status};
use crate::conformance::fixture::{at, described, key, span};
use crate::error::OpenError;
use crate::query::{Page, SpanFilter, TimeRange};
use crate::retention::{Rest, Retention};

/// Zones whose count is not the number of spans there, and spans that their zone does not tell of.
fn lies(connection: &Connection) -> (i64, i64) {
    let number = |query: &str| connection.query_row(query, [], |row| row.get(0)).unwrap();
    let miscounted = "
        SELECT count(*) FROM
            (SELECT id >> 14 AS zone, producer_id, count(*) AS spans FROM spans GROUP BY 1, 2) AS s
        FULL JOIN span_zones AS z USING (zone, producer_id) WHERE z.count IS NOT s.spans";
    let untold = "
        SELECT count(*) FROM spans AS s
        LEFT JOIN span_zones AS z ON z.zone = s.id >> 14 AND z.producer_id = s.producer_id
        WHERE coalesce(z.blocks >> ((s.id >> 8) & 63) & 1, 0) = 0
            OR (s.status = 'ERR' AND z.failed_blocks >> ((s.id >> 8) & 63) & 1 = 0)
            OR s.end_ns NOT BETWEEN z.first_end_ns AND z.last_end_ns";
    (number(miscounted), number(untold))
}

/// Twenty thousand calls of three programs; the last two speak rarely, and late ones come last.
fn chatter(place: &mut Place, round: u64) {
    let ended = (0..20_000).map(|row| {
        let number = round * 20_000 + row;
        let pid = match row {
            row if row % 7_000 == 1 => 2,
            row if row % 501 == 0 => 3,
            _ => 1,
        };
        let late = if row > 19_990 { 3_600 } else { 0 };
        SpanRow {
            key: key(pid, number),
            status: if row % 97 == 0 {
                Status::Err
            } else {
                Status::Ok
            },
            ..span(
                number,
                round.cast_signed() * 120 + row.cast_signed() % 100 - late,
            )
        }
    });
    let batch = Batch {
        producers: vec![described(1), described(2), described(3)],
        ended: ended.collect(),
        ..Batch::default()
    };
    place.sink.commit(&batch).unwrap();
}

#[test]
fn the_map_holds_after_every_slice_of_retention() {
    let mut place = Place::new(&Batch::default());
    for round in 0..3 {
        chatter(&mut place, round);
        assert_eq!(lies(&place.foreign()), (0, 0), "written in round {round}");
    }
    let retention = Retention {
        age: Some(Duration::from_secs(60)),
        ..Retention::unlimited()
    };
    for slices in 0.. {
        let pruned = place.sink.prune(&retention, at(200), 3_000).unwrap();
        assert_eq!(lies(&place.foreign()), (0, 0), "after slice {slices}");
        if pruned.rest == Rest::Nothing {
            break;
        }
        assert!(slices < 100);
    }
    let left = place.lines("SELECT count(*), sum(count) FROM span_zones");
    let spans = place.reader().counts().unwrap().spans;
    assert!((1..40_000).contains(&spans), "{spans}");
    assert!(left[0].ends_with(&format!("|{spans}")), "{left:?}");
    assert_eq!(report(&place.database()).damage, []);
}

#[test]
fn what_is_left_is_found_by_program() {
    let mut place = Place::new(&Batch::default());
    chatter(&mut place, 0);
    chatter(&mut place, 1);
    let retention = Retention {
        age: Some(Duration::from_secs(60)),
        ..Retention::unlimited()
    };
    while place.sink.prune(&retention, at(180), 3_000).unwrap().rest == Rest::More {}
    let rare = SpanFilter {
        pid: Some(2),
        ..SpanFilter::default()
    };
    let found = place.reader().spans(&rare, Page::newest(9)).unwrap();
    let numbers: Vec<u64> = found.iter().map(|span| span.key.number.0).collect();
    assert_eq!(numbers, [34_001, 27_001, 20_001]);
}

/// The same store as its version 1 had it: what there is in columns of that version.
fn as_version_1(place: Place) -> tempfile::TempDir {
    let (database, folder) = (place.database(), place.folder);
    drop(place.sink);
    let newer = folder.path().join("newer.db");
    std::fs::rename(&database, &newer).unwrap();
    let mut connection = Connection::open(database).unwrap();
    schema::migrate_to(&mut connection, 0, 1).unwrap();
    let attach = "ATTACH ?1 AS newer";
    connection.execute(attach, [newer.to_str()]).unwrap();
    let texts = |query: &str, of: &[&str]| -> Vec<String> {
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map(rusqlite::params_from_iter(of), |row| row.get(0));
        rows.unwrap().map(Result::unwrap).collect()
    };
    for table in texts(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table'",
        &[],
    ) {
        let stored = "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0";
        let columns = texts(stored, &[&table]).join(", ");
        let copy = format!(
            "DELETE FROM main.{table};
             INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"
        );
        connection.execute_batch(&copy).unwrap();
    }
    let later = "DELETE FROM main.sums
        WHERE checked NOT IN (SELECT name FROM main.sqlite_schema)";
    connection.execute(later, []).unwrap();
    connection.close().unwrap();
    folder
}

const ALL: TimeRange = TimeRange {
    from: None,
    to: None,
};

const MAP: &str = "SELECT * FROM span_zones ORDER BY zone, producer_id";

#[test]
fn an_older_store_is_brought_up_to_date() {
    let mut place = everything();
    chatter(&mut place, 1);
    let (drawn, functions) = (place.lines(MAP), place.reader().functions(ALL).unwrap());
    let folder = as_version_1(place);
    let sink = open_writer(&folder.path().join("store.db")).unwrap();
    let mut place = Place { folder, sink };
    assert_eq!(place.lines(MAP), drawn);
    assert_eq!(place.reader().functions(ALL).unwrap(), functions);
    let keep = Retention::unlimited();
    while place.sink.prune(&keep, at(86_400), 100).unwrap().rest == Rest::More {}
    assert_eq!(place.reader().functions(ALL).unwrap(), functions);
    assert_eq!(report(&place.database()).damage, []);
    let version: u32 = place
        .foreign()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, schema::KNOWN);
}

#[test]
fn an_older_store_that_is_damaged_is_refused_and_can_be_salvaged() {
    let folder = as_version_1(everything());
    let database = folder.path().join("store.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let page = page_of(&database, 250);
    bytes[page * 8_192..(page + 1) * 8_192].fill(0xff);
    std::fs::write(&database, &bytes).unwrap();
    let refused = open_writer(&database).err();
    assert!(matches!(refused, Some(OpenError::Damaged { .. })));
    let into = folder.path().join("saved.db");
    let saved = save(&database, &into);
    assert!((1_600..2_000).contains(&saved.tables[0].saved), "{saved:?}");
    assert_eq!(report(&into).damage, []);
}
