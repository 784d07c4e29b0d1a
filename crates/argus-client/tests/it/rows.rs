//! What the collector makes of spans and events: rows.

use argus_drain::intake::Intake;
use argus_model::{SpanNumber, Timestamp};
use argus_spool::read::producers;
use argus_store::Batch;
use argus_store::batch::{SpanRow, Status};
use tracing::{error, info_span, instrument, warn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::programs::Home;

pub(crate) fn play() {
    let subscriber = registry().with(argus_client::layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    #[instrument(err)]
    fn load(path: &str, token: u32) -> Result<(), String> {
        warn!(left = 3, "little room");
        Err(format!("no {path}"))
    }
    let _outer = info_span!("outer", rows = 10).entered();
    let _ = load("book.csv", 7);
    // Begun on one thread, told more on another, ended on a third.
    for number in 0..1_000_u64 {
        let span = info_span!("sent", number, late = tracing::field::Empty);
        let told = std::thread::spawn(move || {
            span.record("late", number);
            span
        });
        drop(told.join().unwrap());
    }
    error!(code = 5, "it breaks");
}

fn rows(home: &Home) -> Batch {
    let mut batch = Batch::default();
    for (producer, directory) in producers(&home.path("test.db.d/spool")).unwrap() {
        let anchor = argus_spool::boot_anchor();
        let mut intake = Intake::new(producer, directory, None, &[], Vec::new(), anchor);
        intake.declare_dead();
        while !intake.is_exhausted() {
            let now = Timestamp::from_nanos(i64::MAX);
            intake.read(1 << 20, now, &mut batch).unwrap();
        }
    }
    batch
}

#[test]
fn spans_and_events_become_rows_and_nothing_is_left_over() {
    let home = Home::new("rows");
    assert!(home.start("rows").wait().unwrap().success());
    let batch = rows(&home);
    let of = |name: &'static str| batch.ended.iter().filter(move |row| row.name.text == name);
    let captured = |row: &SpanRow| row.captured.clone().unwrap();

    let (outer, load) = (of("outer").next().unwrap(), of("load").next().unwrap());
    assert_eq!(captured(outer), r#"{"i":{"rows":"10"}}"#);
    assert_eq!((outer.status, outer.parent), (Status::Ok, SpanNumber::NONE));
    assert_eq!(
        captured(load),
        r#"{"i":{"path":"'book.csv'","token":"***"}}"#
    );
    assert_eq!((load.status, load.parent), (Status::Err, outer.key.number));
    assert_eq!(load.exception.as_deref(), Some("no book.csv"));
    assert_eq!(load.name.file.as_deref(), Some(file!()));
    assert_eq!(load.name.group.as_deref(), Some(module_path!()));

    assert_eq!(of("sent").count(), 1_000);
    for row in of("sent") {
        let (_, number) = row
            .captured
            .as_ref()
            .unwrap()
            .split_once("\"number\":")
            .unwrap();
        let (number, _) = number.split_once(['}', ',']).unwrap();
        let told = [
            format!(r#"{{"i":{{"number":{number},"late":{number}}}}}"#),
            format!(r#"{{"i":{{"late":{number},"number":{number}}}}}"#),
        ];
        assert!(told.contains(&captured(row)), "{}", captured(row));
        assert_eq!(row.parent, outer.key.number);
    }

    let lines: Vec<_> = batch
        .logs
        .iter()
        .map(|row| {
            let meaning = row.meaning.as_deref().unwrap();
            let attributes = meaning.attributes.as_deref().unwrap();
            let level = row.level.as_deref().unwrap();
            (level, row.line.as_str(), attributes, row.span.unwrap())
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("WARN", "little room", r#"{"left":3}"#, load.key),
            (
                "ERROR",
                "error=no book.csv",
                r#"{"error":"no book.csv"}"#,
                load.key
            ),
            ("ERROR", "it breaks", r#"{"code":5}"#, outer.key),
        ]
    );
    assert!(batch.logs.iter().all(|row| row.source == "logger"));

    let (mut stored, mut others) = (0, 0);
    for entry in &batch.ledger {
        stored += entry.stored;
        others += entry.damaged + entry.unknown + entry.clamped;
    }
    // Start and end of 1,002 spans, fields of a thousand, three lines.
    assert_eq!((stored, others), (2 * 1_002 + 1_000 + 3, 0));
}
