//! Versions that meet: a spool of the first format is drained for ever as it was on its first day,
//! and an older collector leaves a newer database and the spools beside it as they are.
//!
//! The fixture was written by the role `old-format` of this binary. It is never written again: a
//! change of the format that cannot read it is wrong.

use std::path::Path;

use argus_client::{Session, span};
use argus_model::ProducerId;
use argus_spool::Weight;

use super::bed::Bed;
use super::host::{OWN_CODE, SAID};
use super::ledger::Said;

/// What the fixture holds: one of everything a program of the first version can say by itself.
pub(crate) fn write_fixture() {
    let session = Session::start("import");
    session.emit("file_read", r#"{"bytes":4096}"#);
    {
        let _outer = span!(
            "outer",
            text = "ä quoted \"word\"",
            number = -7_i64,
            ratio = 0.5_f64
        );
        for index in 0..3_u32 {
            drop(span!("inner", index = index, flag = true));
        }
        let failing = std::panic::catch_unwind(|| {
            let _span = span!("failing");
            std::panic::resume_unwind(Box::new("no"));
        });
        assert!(failing.is_err());
    }
    drop(session);
    let mut said = Said::default();
    for number in 0..100 {
        said.emit(0, number, Weight::Normal);
    }
    std::thread::Builder::new()
        .name("second".into())
        .spawn(|| {
            let mut said = Said::default();
            for number in 0..50 {
                said.emit(1, number, Weight::Error);
            }
        })
        .unwrap()
        .join()
        .unwrap();
    std::mem::forget(span!("never ended", since = "long ago"));
}

/// Puts the fixture into the bed as the spool of a program that died in an earlier boot.
fn plant(bed: &Bed) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture/fixtures/spool-1");
    let entry = std::fs::read_dir(fixtures)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let written: ProducerId = entry.file_name().to_str().unwrap().parse().unwrap();
    let here = argus_spool::host::producer_id();
    let planted = ProducerId {
        boot: !here.boot,
        machine: here.machine,
        ..written
    };
    let directory = bed.data().spool().join(planted.to_string());
    std::fs::create_dir(&directory).unwrap();
    for chunk in std::fs::read_dir(entry.path()).unwrap() {
        let chunk = chunk.unwrap();
        std::fs::copy(chunk.path(), directory.join(chunk.file_name())).unwrap();
    }
}

#[test]
fn a_spool_of_the_first_format_is_drained_as_on_its_first_day() {
    let bed = Bed::new();
    plant(&bed);
    bed.drain();
    let check = |query: &str, expected: &[&str]| {
        let answer = bed.argus(&["query", "--json", query]).output().unwrap();
        let text = String::from_utf8(answer.stdout).unwrap();
        for part in expected {
            assert!(text.contains(part), "{part} in {text}");
        }
    };
    let number = |query: &str| bed.number(query);
    let spans = "SELECT count(*) FROM process_trace WHERE process =";
    for (name, count) in [
        ("outer", 1),
        ("inner", 3),
        ("failing", 1),
        ("never ended", 1),
    ] {
        assert_eq!(number(&format!("{spans} '{name}'")), count, "{name}");
    }
    check(
        "SELECT data, data_value FROM data_trace WHERE process = 'outer' ORDER BY data",
        &["ä quoted \\\"word\\\"", "-7", "0.5"],
    );
    check(
        "SELECT status, exception FROM process_trace WHERE process = 'never ended'",
        &["ERR", "interrupted: "],
    );
    assert_eq!(
        number(
            "SELECT count(*) FROM process_trace AS inside JOIN process_trace AS around
             ON around.span = inside.parent WHERE around.process = 'outer'"
        ),
        4,
        "parents are kept"
    );
    let lanes = "SELECT count(*) FROM metrics WHERE name = 'lane'";
    assert_eq!(number(lanes), 150);
    assert_eq!(number("SELECT count(*) FROM obs_events"), 3);
    let ledger = bed.ledger();
    assert_eq!(ledger.len(), 1);
    println!(
        "upgrade: stored {}, lost {}",
        ledger[0].stored,
        ledger[0].lost()
    );
    assert_eq!((ledger[0].stored, ledger[0].lost()), (164, 0));
    assert_eq!(ledger[0].app_name, "old-format");
    bed.assert_spools_are_gone();
}

#[test]
fn an_older_collector_leaves_a_newer_database_and_the_spools_as_they_are() {
    let bed = Bed::new();
    bed.drain();
    let mut host = bed.host("lanes:1:100");
    let status = host.env(SAID, bed.path("said")).status().unwrap();
    assert_eq!(status.code(), Some(OWN_CODE));
    // The schema's version stands in the file's head, big-endian, at byte 60.
    let mut newer = std::fs::read(bed.data().database()).unwrap();
    newer[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    std::fs::write(bed.data().database(), &newer).unwrap();

    let refused = bed.collector().output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let sentence = String::from_utf8(refused.stderr).unwrap();
    assert!(sentence.contains("newer Argus"), "{sentence}");
    assert!(std::fs::read(bed.data().database()).unwrap() == newer);
    assert_eq!(bed.spools(), 1);
}
