//! The collector killed at every border of its loop: the next one goes on, nothing is lost or
//! doubled.

use std::os::unix::process::ExitStatusExt;

use argus_drain::failpoint;

use super::bed::Bed;
use super::host::OWN_CODE;
use super::ledger::{Ledger, Said};
use super::rounds;

const SPANS: u32 = 20_000;

fn check(bed: &Bed, spans: u32, name: &str) {
    let count = |query: &str| u64::try_from(bed.number(query)).unwrap();
    let spans = u64::from(spans);
    let stored = count("SELECT count(*) FROM process_trace");
    let backwards = "SELECT count(*) FROM (
        SELECT CAST(data_value AS INTEGER) < lag(CAST(data_value AS INTEGER)) OVER (ORDER BY id)
        AS back FROM data_trace) WHERE back";
    let mut settled = Ledger {
        said: Said {
            accepted: spans,
            ..Said::default()
        },
        stored,
        doubled: stored - count("SELECT count(DISTINCT data_value) FROM data_trace"),
        out_of_order: count(backwards),
        ..Ledger::default()
    };
    settled.take_losses(bed);
    settled.settle(name);
    assert_eq!(count("SELECT count(*) FROM open_spans"), 0, "{name}: open");
    let calls = "SELECT sum(count) FROM function_minutes";
    assert_eq!(count(calls), spans, "{name}: rollups");
    let ledger = bed.ledger();
    assert_eq!(ledger.len(), 1, "{name}");
    assert_eq!(
        (ledger[0].stored, ledger[0].lost()),
        (2 * spans, 0),
        "{name}: ledger"
    );
    assert_eq!(
        ledger[0].app_name, "torture-host",
        "{name}: the takeover knows who it was"
    );
    bed.assert_spools_are_gone();
}

#[test]
fn a_collector_killed_at_any_failpoint_is_succeeded_without_loss() {
    for name in failpoint::ALL {
        for passage in [1, 2, 5] {
            let bed = Bed::new();
            let mut host = bed.host(&format!("spans:{SPANS}:0"));
            let host = host.env("ARGUS_APP_NAME", "torture-host").status();
            assert_eq!(host.unwrap().code(), Some(OWN_CODE));
            let point = format!("{name}:{passage}");
            let died = bed
                .collector()
                .env("ARGUS_FAILPOINT", &point)
                .status()
                .unwrap();
            // A failpoint may be passed fewer times than that; then the collector ends well.
            assert!(died.signal() == Some(9) || passage > 1, "{point}: {died}");
            bed.drain();
            check(&bed, SPANS, &point);
        }
    }
}

#[test]
fn a_collector_killed_again_and_again_while_spans_flow_loses_nothing() {
    let (bed, rounds) = (Bed::new(), rounds(40));
    // Paced so that they flow about as long as collectors die.
    let spans = 500 * rounds;
    let mut host = bed.host(&format!("spans:{spans}:1"));
    let mut host = host.env("ARGUS_APP_NAME", "torture-host").spawn().unwrap();
    let mut kills = 0;
    let names = failpoint::ALL.iter().cycle();
    for name in names.take(rounds as usize) {
        let died = bed
            .collector()
            .env("ARGUS_FAILPOINT", format!("{name}:1"))
            .status()
            .unwrap();
        kills += u32::from(died.signal() == Some(9));
    }
    assert_eq!(host.wait().unwrap().code(), Some(OWN_CODE));
    assert!(kills >= rounds / 4, "{kills} kills");
    bed.drain();
    check(&bed, spans, &format!("kill-collector, {kills} kills"));
}
