//! Commits beside readers, failures in the middle of one, and queries that try to write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::super::{open as open_file, open_reader, schema};
use super::Place;
use super::damage::report;
use crate::batch::{CollectorState, Hold, LogRow, OpenSpan, SpanRow};
use crate::conformance::fixture::{at, described, log, metric, name, open, span};
use crate::error::{CommitError, ReadError};
use crate::query::{Cell, LogFilter, Order, Page, SpanFilter, TimeRange};
use crate::retention::Retention;
use crate::{Batch, Memory, Sink, Store};

#[test]
fn a_commit_that_fails_leaves_nothing_and_can_be_repeated() {
    let mut place = Place::new(&Batch {
        producers: vec![described(1)],
        ended: vec![span(1, 0)],
        opened: vec![open(2, 0)],
        ..Batch::default()
    });
    let foreign = place.foreign();
    foreign
        .execute_batch("ALTER TABLE metrics RENAME TO hidden")
        .unwrap();
    // The new name, the new producer and the end of the open span all come before the failure.
    let batch = Batch {
        producers: vec![described(2)],
        ended: vec![
            span(2, 0),
            SpanRow {
                name: name("prices.new"),
                ..span(3, 0)
            },
        ],
        metrics: vec![metric(1, 0, "m", 1.0)],
        ..Batch::default()
    };
    let refused = place.sink.commit(&batch);
    assert!(matches!(refused, Err(CommitError::Unwritable(_))));
    let counts = place.reader().counts().unwrap();
    assert_eq!((counts.spans, counts.open_spans), (1, 1));
    assert_eq!(place.lines("SELECT count(*) FROM names"), ["2"]);
    foreign
        .execute_batch("ALTER TABLE hidden RENAME TO metrics")
        .unwrap();
    place.sink.commit(&batch).unwrap();
    let shown = place.lines("SELECT id, process FROM process_trace ORDER BY id");
    assert_eq!(shown, ["1|prices.price", "2|prices.price", "3|prices.new"]);
    let counts = place.reader().counts().unwrap();
    assert_eq!(
        (counts.spans, counts.open_spans, counts.seen_open),
        (3, 0, 1)
    );
}

#[test]
fn a_batch_of_any_size_gets_the_ids_in_order() {
    let mut place = Place::new(&Batch::default());
    let mut number = 0;
    for size in [1, 2, 31, 32, 33, 64, 65, 100] {
        let first = number + 1;
        number += size;
        let numbered = |number| SpanRow {
            captured: Some(format!(r#"{{"i":{{"n":"{number}"}}}}"#)),
            ..span(number, i64::try_from(number).unwrap())
        };
        let batch = Batch {
            ended: (first..=number).map(numbered).collect(),
            ..Batch::default()
        };
        place.sink.commit(&batch).unwrap();
    }
    let wrong =
        "SELECT count(*), count(*) FILTER (WHERE id <> span OR ts NOT LIKE '2026-01-27 14:%')
         FROM process_trace";
    assert_eq!(place.lines(wrong), [format!("{number}|0")]);
    let wrong = "SELECT count(*), count(*) FILTER (WHERE data_value <> id) FROM data_trace";
    assert_eq!(place.lines(wrong), [format!("{number}|0")]);
    assert_eq!(report(&place.database()).damage, []);
}

/// Runs of lines of several sources, some of them alike for longer than a statement takes, some plain.
#[test]
fn lines_of_any_mixture_read_back_as_from_memory() {
    let (mut place, mut memory) = (Place::new(&Batch::default()), Memory::new());
    let (mut random, mut number) = (7_u64, 0);
    for _ in 0..40 {
        let mut logs = Vec::new();
        for _ in 0..3 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let [length, whose, path, kind] = [20, 30, 40, 50].map(|bit| random >> bit);
            for _ in 0..length % 70 {
                number += 1;
                let row = log(1 + (whose % 2) as u32, number, &format!("line {number}"));
                let is_plain = kind % 3 == 0 || (kind % 3 == 1 && number % 7 > 0);
                logs.push(LogRow {
                    path: [None, Some("a.log".into()), Some("b.log".into())][path as usize % 3]
                        .clone(),
                    level: (!is_plain).then(|| "ERROR".into()),
                    span: row.span.filter(|_| !is_plain),
                    offset: Some(number as u64),
                    altered: number % 5 == 0,
                    ..row
                });
            }
        }
        let batch = Batch {
            logs,
            ..Batch::default()
        };
        place.sink.commit(&batch).unwrap();
        memory.commit(&batch).unwrap();
    }
    let all = Page {
        order: Order::Oldest,
        after: None,
        limit: usize::MAX,
    };
    let stored = place.reader().logs(&LogFilter::default(), all).unwrap();
    assert!(stored.len() > 2_000, "{}", stored.len());
    assert_eq!(stored, memory.logs(&LogFilter::default(), all).unwrap());
    assert_eq!(report(&place.database()).damage, []);
}

#[test]
fn a_line_that_another_program_wrote_does_not_shift_the_ids() {
    let batch = Batch {
        logs: (0..40).map(|number| log(1, number, "ours")).collect(),
        ..Batch::default()
    };
    let mut place = Place::new(&batch);
    let theirs =
        "INSERT INTO log_entries (id, timestamp, app_name, process_name, process_id, log_line)
         VALUES (1000, '', '', '', 1, 'theirs')";
    place.foreign().execute(theirs, []).unwrap();
    place.sink.commit(&batch).unwrap();
    let ids =
        "SELECT min(id), max(id), count(*) FROM log_entries WHERE id > 40 AND log_line = 'ours'";
    assert_eq!(place.lines(ids), ["1001|1040|40"]);
}

#[test]
fn a_span_that_another_program_wrote_does_not_shift_the_ids() {
    let mut place = Place::new(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    let copy = "INSERT INTO spans SELECT 1000, producer_id, 2, parent, name_id, thread_id, end_ns,
         duration_ns, status, captured, exception, interrupted FROM spans WHERE id = 1";
    place.foreign().execute(copy, []).unwrap();
    let batch = Batch {
        ended: (3..103).map(|number| span(number, 0)).collect(),
        ..Batch::default()
    };
    let refused = place.sink.commit(&batch);
    assert!(matches!(refused, Err(CommitError::Unwritable(_))));
    assert_eq!(place.lines("SELECT count(*) FROM spans"), ["2"]);
    place.sink.commit(&batch).unwrap();
    let ids = "SELECT min(id), max(id), count(*) FROM spans WHERE number > 2";
    assert_eq!(place.lines(ids), ["1001|1100|100"]);
}

/// Spans with so much captured that a few hundred batches of them fill a WAL.
fn heavy(first: u64) -> Batch {
    let captured = Some(format!(r#"{{"i":{{"x":"{}"}}}}"#, "x".repeat(100_000)));
    let heavy = |number| SpanRow {
        captured: captured.clone(),
        ..span(number, 0)
    };
    Batch {
        ended: (first..first + 10).map(heavy).collect(),
        ..Batch::default()
    }
}

#[test]
fn a_reader_that_does_not_move_holds_commits_back_before_the_wal_is_too_long() {
    let mut place = Place::new(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    let foreign = place.foreign();
    foreign.execute_batch("BEGIN").unwrap();
    let count = |foreign: &rusqlite::Connection| -> i64 {
        let count = "SELECT count(*) FROM spans";
        foreign.query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&foreign), 1);
    let wal = place.database().with_extension("db-wal");
    let length = || std::fs::metadata(&wal).unwrap().len();
    let mut committed = 0;
    let refused = loop {
        match place.sink.commit(&heavy(2 + committed * 10)) {
            Ok(()) => committed += 1,
            Err(error) => break error,
        }
        assert!(length() <= 128 << 20, "{} bytes of WAL", length());
    };
    // The reader is this process, which is not what anybody wants to be told.
    let CommitError::HeldBack { readers } = refused else {
        panic!("{refused}");
    };
    assert!(readers.is_empty(), "{readers:?}");
    let refused = place.sink.prune(&Retention::default(), at(9), 10);
    assert!(matches!(refused, Err(CommitError::HeldBack { .. })));
    let held = length();
    let hold = Hold {
        since: at(1),
        reader: Some(7),
    };
    place
        .sink
        .commit(&Batch {
            collector: Some(CollectorState {
                held: Some(hold),
                ..CollectorState::default()
            }),
            ..Batch::default()
        })
        .unwrap();
    let told = place.reader().collector().unwrap().unwrap();
    assert_eq!(told.held, Some(hold), "everybody else can know");
    place.sink.sync().unwrap();
    assert!(length() < held + (1 << 20));

    assert_eq!(count(&foreign), 1);
    foreign.execute_batch("COMMIT").unwrap();
    place.sink.commit(&heavy(2 + committed * 10)).unwrap();
    assert_eq!(count(&foreign), i64::try_from(committed).unwrap() * 10 + 11);
    assert!(length() <= 64 << 20, "{} bytes of WAL", length());
    assert_eq!(report(&place.database()).damage, []);
}

#[test]
fn a_writer_leaves_once_a_newer_one_has_migrated() {
    let mut place = Place::new(&Batch::default());
    let foreign = place.foreign();
    let newer = schema::KNOWN + 1;
    foreign.pragma_update(None, "user_version", newer).unwrap();
    let batch = Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    };
    assert!(matches!(
        place.sink.commit(&batch),
        Err(CommitError::Superseded)
    ));
    assert!(matches!(place.sink.sync(), Err(CommitError::Superseded)));
    let spans: i64 = foreign
        .query_row("SELECT count(*) FROM spans", [], |row| row.get(0))
        .unwrap();
    assert_eq!(spans, 0);
}

#[test]
fn readers_beside_a_busy_writer_never_find_the_store_locked() {
    const BATCHES: u64 = 200;
    let mut place = Place::new(&Batch {
        producers: vec![described(1)],
        ..Batch::default()
    });
    let database = place.database();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    let mut seen = 0_u64;
                    loop {
                        // Asked before the page is read, or the last commit could be missed.
                        let finished = done.load(Ordering::Acquire);
                        let reader = open_reader(&database).unwrap();
                        let page = Page::following(last, 1_000);
                        let spans = reader.spans(&SpanFilter::default(), page).unwrap();
                        last = spans.last().map_or(last, |span| span.id);
                        seen += spans.len() as u64;
                        reader.functions(TimeRange::default()).unwrap();
                        if finished && spans.is_empty() {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        for batch in 0..BATCHES {
            let committed = place.sink.commit(&Batch {
                ended: (0..10).map(|n| span(batch * 10 + n, 0)).collect(),
                ..Batch::default()
            });
            committed.unwrap();
            if batch % 50 == 0 {
                place.sink.sync().unwrap();
            }
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), BATCHES * 10);
        }
    });
}

#[test]
fn a_free_query_answers_with_a_table() {
    let place = Place::new(&Batch {
        ended: (1..=5).map(|number| span(number, 0)).collect(),
        ..Batch::default()
    });
    let table = place
        .reader()
        .query(
            "SELECT id, 1.5 AS half, NULL, x'00' FROM spans ORDER BY id",
            2,
        )
        .unwrap();
    assert_eq!(table.columns, ["id", "half", "NULL", "x'00'"]);
    let row = |id| {
        vec![
            Cell::Int(id),
            Cell::Float(1.5),
            Cell::Null,
            Cell::Bytes(vec![0]),
        ]
    };
    assert_eq!(table.rows, [row(1), row(2)]);
    assert!(table.cut);
    let whole = place.reader().query("SELECT id FROM spans", 5).unwrap();
    assert!(!whole.cut);
}

#[test]
fn a_free_query_cannot_write() {
    let place = Place::new(&Batch {
        opened: vec![OpenSpan { ..open(1, 0) }],
        ..Batch::default()
    });
    let elsewhere = place.folder.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", elsewhere.display());
    for text in [
        "DELETE FROM open_spans",
        "INSERT INTO names DEFAULT VALUES",
        "UPDATE totals SET spans = 7 RETURNING spans",
        "CREATE TEMP TABLE t (x)",
        "DROP TABLE spans",
        "PRAGMA query_only = 0",
        "PRAGMA user_version = 9",
        "PRAGMA journal_mode = DELETE",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('x')",
        "SELECT 1; DELETE FROM open_spans",
        "SELECT nothing FROM nowhere",
        "nonsense",
        "",
        attach.as_str(),
    ] {
        let refused = place.reader().query(text, 10);
        assert!(
            matches!(refused, Err(ReadError::Invalid(_))),
            "{text}: {refused:?}"
        );
    }
    assert!(!elsewhere.exists());
    let counts = place.reader().counts().unwrap();
    assert_eq!((counts.open_spans, counts.spans), (1, 0));
}

#[test]
fn a_statement_is_prepared_once_whatever_is_bound_to_it() {
    use rusqlite::{OpenFlags, StatementStatus};
    let place = Place::new(&Batch {
        producers: vec![described(1)],
        ended: (1..=100).map(|number| span(number, 0)).collect(),
        ..Batch::default()
    });
    let connection = open_file(&place.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection
        .prepare("SELECT id FROM spans WHERE id BETWEEN ? AND ? AND producer_id = ? LIMIT ?")
        .unwrap();
    for window in 0..10 {
        let values = [window * 10 + 1, window * 10 + 10, 1, 5];
        let rows = statement.query_map(values, |row| row.get::<_, i64>(0));
        assert_eq!(rows.unwrap().count(), 5);
    }
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}
