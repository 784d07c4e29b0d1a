//! What is saved of a damaged file: every row that can be read, with an account of the others.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;

use super::super::{open_reader, open_writer, salvage};
use super::damage::{everything, report};
use crate::Batch;
use crate::conformance::fixture::span;
use crate::query::{Page, SpanFilter, TimeRange};
use crate::salvage::{SalvageError, Salvaged};

pub(super) fn save(damaged: &Path, into: &Path) -> Salvaged {
    salvage(damaged, into, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

/// A page in the middle of the spans: the one that holds this row.
pub(super) fn page_of(database: &Path, row: i64) -> usize {
    let bytes = fs::read(database).unwrap();
    let needle = format!(r#"{{"i":{{"row":"{row}"}}}}"#);
    let found = bytes
        .windows(needle.len())
        .position(|window| window == needle.as_bytes());
    found.unwrap() / 8_192
}

#[test]
fn a_whole_store_is_saved_whole() {
    let place = everything();
    let into = place.folder.path().join("saved.db");
    let saved = save(&place.database(), &into);
    assert_eq!((saved.lost(), saved.doubtful()), (0, 0), "{saved:?}");
    assert_eq!(report(&into).damage, []);
    let (was, is) = (place.reader(), open_reader(&into).unwrap());
    assert_eq!(was.counts().unwrap().spans, is.counts().unwrap().spans);
    assert_eq!(
        was.functions(TimeRange::default()).unwrap(),
        is.functions(TimeRange::default()).unwrap()
    );
    let all = |store: &dyn crate::Store| store.spans(&SpanFilter::default(), Page::newest(9_999));
    assert_eq!(all(&*was).unwrap(), all(&*is).unwrap());
    assert_eq!(was.ledger().unwrap(), is.ledger().unwrap());
    assert_eq!(was.sessions(9).unwrap(), is.sessions(9).unwrap());
}

#[test]
fn a_lost_page_costs_its_own_rows_and_they_are_counted() {
    let place = everything();
    let (database, folder) = (place.database(), place.folder);
    drop(place.sink);
    let mut bytes = fs::read(&database).unwrap();
    let page = page_of(&database, 250);
    bytes[page * 8_192..(page + 1) * 8_192].fill(0xff);
    fs::write(&database, &bytes).unwrap();
    assert_ne!(report(&database).damage, []);
    let into = folder.path().join("saved.db");
    let saved = save(&database, &into);
    let spans = &saved.tables[0];
    assert_eq!((spans.table, spans.saved + spans.lost), ("spans", 2_000));
    assert!(spans.lost > 10 && spans.lost < 400, "{saved:?}");
    assert_eq!(saved.lost(), spans.lost, "nothing else is lost");
    assert_eq!(report(&into).damage, []);
    assert_eq!(
        open_reader(&into).unwrap().counts().unwrap().spans,
        spans.saved
    );
    // The new store can be written on.
    let mut sink = open_writer(&into).unwrap();
    let batch = Batch {
        ended: vec![span(90_000, 0)],
        ..Batch::default()
    };
    sink.commit(&batch).unwrap();
    drop(sink);
    assert_eq!(report(&into).damage, []);
}

#[test]
fn rows_that_may_be_wrong_are_told() {
    let place = everything();
    drop(place.sink);
    let database = place.folder.path().join("store.db");
    Connection::open(&database)
        .unwrap()
        .execute_batch("UPDATE spans SET captured = 'x' WHERE id = 1500")
        .unwrap();
    let saved = save(&database, &place.folder.path().join("saved.db"));
    assert_eq!((saved.tables[0].lost, saved.tables[0].doubtful), (0, 977));
}

#[test]
fn an_existing_store_is_not_overwritten() {
    let place = everything();
    let refused = salvage(&place.database(), &place.database(), &mut |_, _| {
        ControlFlow::Continue(())
    });
    assert!(matches!(refused, Err(SalvageError::Exists(_))));
}
