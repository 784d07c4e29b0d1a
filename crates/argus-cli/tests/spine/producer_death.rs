//! A program killed at random: every accepted record is in the store, once.

use std::time::{Duration, Instant};

use super::bed::{Bed, Chance, Guarded, kill, until};

/// Kills of this many programs; the long form is run by hand.
fn rounds() -> u64 {
    std::env::var("ARGUS_TEST_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100)
}

#[test]
fn a_program_killed_at_random_loses_nothing_and_its_open_spans_are_interrupted() {
    let bed = Bed::new();
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let mut said = Vec::new();
    for round in 0..rounds() {
        let progress = bed.path(&format!("progress-{round}"));
        let role = format!("spans-until-killed:{}", progress.display());
        let mut host = Guarded(bed.host(&role).spawn().unwrap());
        until("the program emits", || {
            std::fs::metadata(&progress).is_ok_and(|data| data.len() >= 8)
        });
        let moment = Instant::now() + Duration::from_micros(chance.below(3_000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        kill(host.0.id());
        host.0.wait().unwrap();
        let bytes = std::fs::read(&progress).unwrap().try_into().unwrap();
        said.push((host.0.id(), u64::from_le_bytes(bytes)));
    }
    let interrupted = "SELECT count(*) FROM process_trace WHERE exception LIKE 'interrupted:%'";
    let rounds = i64::try_from(rounds()).unwrap();
    until("all deaths are stored", || {
        bed.number("SELECT count(*) FROM producers WHERE ended_at_ns IS NULL") == 0
            && bed.number("SELECT count(*) FROM producers") == rounds
    });
    // The outer span of each, and the inner one where the kill came between start and end.
    let outer = format!("{interrupted} AND process = 'outer'");
    assert_eq!(bed.number(&outer), rounds);
    assert_eq!(bed.number("SELECT count(*) FROM open_spans"), 0);
    for (pid, said) in said {
        let stored = bed.number(&format!(
            "SELECT count(*) FROM process_trace
             WHERE process = 'inner' AND pid = {pid} AND status = 'OK'"
        ));
        let stored = u64::try_from(stored).unwrap();
        assert!(
            stored == said || stored == said + 1,
            "pid {pid}: said {said}, stored {stored}"
        );
        let numbers = bed.number(&format!(
            "SELECT count(DISTINCT data_value) FROM data_trace
             WHERE process = 'inner' AND pid = {pid} AND status = 'OK'"
        ));
        assert_eq!(u64::try_from(numbers).unwrap(), stored, "none is doubled");
    }
    for entry in bed.ledger() {
        assert_eq!(entry.lost(), 0, "{entry:?}");
    }
    until("spools are removed", || {
        std::fs::read_dir(bed.data().spool()).unwrap().count() == 0
    });
}
