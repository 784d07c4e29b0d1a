//! A program killed at random: every accepted record is in the store, once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use argus_store::query::Cell;

use super::bed::{Bed, Chance, Guarded, kill, until};
use super::ledger::Ledger;
use super::rounds;

#[test]
fn a_program_killed_at_random_loses_nothing_and_its_open_spans_are_interrupted() {
    let (bed, rounds) = (Bed::new(), rounds(100));
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let mut said = BTreeMap::new();
    for round in 0..rounds {
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
        let before = said.insert(host.0.id(), u64::from_le_bytes(bytes));
        assert_eq!(before, None, "a pid comes once");
    }
    let interrupted = "SELECT count(*) FROM process_trace WHERE exception LIKE 'interrupted:%'";
    let rounds = i64::from(rounds);
    until("all deaths are stored", || {
        bed.number("SELECT count(*) FROM producers WHERE ended_at_ns IS NULL") == 0
            && bed.number("SELECT count(*) FROM producers") == rounds
    });
    // The outer span of each, and the inner one where the kill came between start and end.
    let outer = format!("{interrupted} AND process = 'outer'");
    assert_eq!(bed.number(&outer), rounds);
    assert_eq!(bed.number("SELECT count(*) FROM open_spans"), 0);
    let mut ledger = Ledger::default();
    let by_pid = "SELECT pid, count(*), count(DISTINCT data_value) FROM data_trace
                  WHERE process = 'inner' AND status = 'OK' GROUP BY pid";
    let table = bed.store().query(by_pid, said.len() + 1).unwrap();
    assert_eq!(table.rows.len(), said.len(), "every program was heard");
    for row in table.rows {
        let [pid, stored, different] = [0, 1, 2].map(|column| match row[column] {
            Cell::Int(number) => u64::try_from(number).unwrap(),
            ref other => panic!("{other:?}"),
        });
        let said = said[&u32::try_from(pid).unwrap()];
        assert!(
            stored == said || stored == said + 1,
            "pid {pid}: said {said}, stored {stored}"
        );
        // The last one may have been accepted without the program living to say so.
        ledger.said.accepted += stored;
        ledger.stored += stored;
        ledger.doubled += stored - different;
    }
    ledger.take_losses(&bed);
    ledger.settle(&format!("kill-producer, {rounds} kills"));
    assert_eq!(ledger.damaged, 0);
    until("spools are removed", || bed.spools() == 0);
}
