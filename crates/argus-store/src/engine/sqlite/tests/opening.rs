//! Who may open which file, and what opening leaves unchanged.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::super::{check, open_reader, open_writer, schema, sums};
use super::Place;
use crate::Batch;
use crate::conformance::fixture::{described, open, producer, span};
use crate::error::OpenError;
use crate::query::{Page, SpanFilter};
use crate::verify::Damage;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nobody_else_can_read_what_was_recorded() {
    let place = Place::new(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    for suffix in ["", "-wal", "-shm"] {
        let file = place.folder.path().join(format!("store.db{suffix}"));
        assert_eq!(mode(&file), 0o600, "{suffix}");
    }
}

#[test]
fn what_is_not_there_yet_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("store.db");
    assert!(matches!(open_reader(&database), Err(OpenError::Missing(path)) if path == database));
    assert!(!database.exists());
    // A writer that died before its first migration left this.
    fs::write(&database, "").unwrap();
    assert!(matches!(open_reader(&database), Err(OpenError::Missing(_))));
    drop(open_writer(&database).unwrap());
    assert!(open_reader(&database).is_ok());
}

#[test]
fn a_newer_store_is_refused_and_not_changed() {
    let place = Place::new(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    let (database, folder) = (place.database(), place.folder);
    drop(place.sink);
    let connection = Connection::open(&database).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    connection.close().unwrap();
    let before = fs::read(&database).unwrap();
    let newer = |error| {
        matches!(
            error,
            OpenError::Newer {
                found: 999,
                known: schema::KNOWN,
                ..
            }
        )
    };
    assert!(newer(open_writer(&database).err().unwrap()));
    assert!(newer(open_reader(&database).err().unwrap()));
    assert_eq!(fs::read(&database).unwrap(), before);
    drop(folder);
}

#[test]
fn a_file_that_is_no_store_of_ours_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = |error| matches!(error, OpenError::Damaged { .. });
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a database ".repeat(1_000)).unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    for database in [text, foreign] {
        let before = fs::read(&database).unwrap();
        assert!(damaged(open_writer(&database).err().unwrap()));
        assert!(damaged(open_reader(&database).err().unwrap()));
        assert_eq!(fs::read(&database).unwrap(), before);
    }
}

#[test]
fn a_damaged_store_is_refused() {
    let place = Place::new(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    let (database, folder) = (place.database(), place.folder);
    drop(place.sink);
    let mut bytes = fs::read(&database).unwrap();
    bytes[100..8_192].fill(0xa5);
    fs::write(&database, bytes).unwrap();
    assert!(matches!(
        open_reader(&database),
        Err(OpenError::Damaged { .. })
    ));
    assert!(matches!(
        open_writer(&database),
        Err(OpenError::Damaged { .. })
    ));
    drop(folder);
}

#[test]
fn a_folder_in_the_databases_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        open_reader(folder.path()),
        Err(OpenError::Damaged { .. })
    ));
    assert!(matches!(
        open_writer(folder.path()),
        Err(OpenError::Damaged { .. })
    ));
}

#[test]
fn a_new_writer_goes_on_where_the_last_one_stopped() {
    let place = Place::new(&Batch {
        producers: vec![described(1)],
        ended: vec![span(1, 0), span(2, 0)],
        opened: vec![open(3, 0)],
        ..Batch::default()
    });
    let (database, folder) = (place.database(), place.folder);
    drop(place.sink);
    // Even when retention has taken the newest rows, their ids are not given again.
    let connection = Connection::open(&database).unwrap();
    connection.execute("DELETE FROM spans", []).unwrap();
    connection.close().unwrap();
    let mut sink = open_writer(&database).unwrap();
    assert_eq!(sink.open_spans(producer(1)).unwrap(), [open(3, 0)]);
    sink.commit(&Batch {
        ended: vec![span(3, 0)],
        ..Batch::default()
    })
    .unwrap();
    let reader = open_reader(&database).unwrap();
    let spans = reader
        .spans(&SpanFilter::default(), Page::newest(9))
        .unwrap();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].id, 3);
    assert_eq!(reader.counts().unwrap().open_spans, 0);
    drop(folder);
}

#[test]
fn the_file_has_the_settings_of_the_design() {
    let place = Place::new(&Batch::default());
    let foreign = place.foreign();
    let pragma = |name: &str| {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        foreign
            .query_row(&format!("PRAGMA {name}"), [], value)
            .unwrap()
    };
    assert_eq!(pragma("page_size"), 8_192.into());
    assert_eq!(pragma("auto_vacuum"), 2.into());
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("user_version"), i64::from(schema::KNOWN).into());
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[test]
fn a_store_of_the_first_version_becomes_one_of_today() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("store.db");
    let mut connection = Connection::open(&database).unwrap();
    schema::migrate_to(&mut connection, 0, 1).unwrap();
    connection
        .execute_batch(
            "INSERT INTO spans VALUES (1, 1, 7, 0, 1, 1, 1769523825000000042, 5000000, 'ERR', NULL,
                 'boom', 0), (2, 1, 8, 0, 1, 1, 1769523826000000000, 5, 'OK', NULL, NULL, 0);
             UPDATE totals SET last_span_id = 2, spans = 2, errors = 1;",
        )
        .unwrap();
    for table in ["spans", "totals"] {
        sums::count_anew(&connection, table).unwrap();
    }
    connection.close().unwrap();
    let older = open_reader(&database).err().unwrap();
    assert!(matches!(older, OpenError::Older { found: 1, known, .. } if known == schema::KNOWN));

    let mut sink = open_writer(&database).unwrap();
    sink.commit(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    })
    .unwrap();
    let place = Place { folder, sink };
    assert_eq!(
        place.lines("SELECT ts, status, id FROM process_trace ORDER BY id LIMIT 2"),
        [
            "2026-01-27 14:23:45.000000042|ERR|1",
            "2026-01-27 14:23:46.000000000|OK|2"
        ]
    );
    let report = check(&database, &mut |_| ControlFlow::Continue(())).unwrap();
    let of_spans = |damage: &&Damage| damage.table.as_deref() == Some("spans");
    assert_eq!(report.damage.iter().find(of_spans), None);
    assert_eq!(place.lines("PRAGMA integrity_check"), ["ok"]);
    let schema = |connection: &Connection| -> Vec<String> {
        let text = "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1";
        let mut statement = connection.prepare(text).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(
        schema(&place.foreign()),
        schema(&schema::pristine().unwrap())
    );
}

#[test]
fn a_new_file_is_never_met_half_made() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        let database = folder.path().join(format!("{number}.db"));
        let path = database.clone();
        let writer = std::thread::spawn(move || drop(open_writer(&path).unwrap()));
        loop {
            let met = Connection::open(&database).and_then(|connection| {
                connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
            });
            // Busy while it is being made.
            match met.unwrap_or(0) {
                0 => {}
                found => break assert_eq!(found, schema::KNOWN),
            }
        }
        writer.join().unwrap();
    }
}
