//! The collector killed at every border of its loop: the next one goes on, nothing is lost or
//! doubled.

use std::os::unix::process::ExitStatusExt;

use argus_drain::failpoint;

use super::bed::Bed;

const SPANS: i64 = 20_000;

fn check(bed: &Bed, name: &str) {
    let count = |query: &str| bed.number(query);
    assert_eq!(
        count("SELECT count(*) FROM process_trace"),
        SPANS,
        "{name}: spans"
    );
    let distinct = "SELECT count(DISTINCT data_value) FROM data_trace";
    assert_eq!(count(distinct), SPANS, "{name}: each once");
    assert_eq!(count("SELECT count(*) FROM open_spans"), 0, "{name}: open");
    let calls = "SELECT sum(count) FROM function_minutes";
    assert_eq!(count(calls), SPANS, "{name}: rollups");
    let ledger = bed.ledger();
    assert_eq!(ledger.len(), 1, "{name}");
    assert_eq!(
        (ledger[0].stored, ledger[0].lost()),
        (2 * SPANS as u64, 0),
        "{name}: ledger"
    );
    assert_eq!(
        ledger[0].app_name, "spine-host",
        "{name}: the takeover knows who it was"
    );
    bed.assert_spools_are_gone();
}

#[test]
fn a_collector_killed_at_any_failpoint_is_succeeded_without_loss() {
    for name in failpoint::ALL {
        for passage in [1, 2, 5] {
            let bed = Bed::new();
            let mut host = bed.host(&format!("spans:{SPANS}"));
            assert!(
                host.env("ARGUS_APP_NAME", "spine-host")
                    .status()
                    .unwrap()
                    .success()
            );
            let point = format!("{name}:{passage}");
            let died = bed
                .collector()
                .env("ARGUS_FAILPOINT", &point)
                .status()
                .unwrap();
            // A failpoint may be passed fewer times than that; then the collector ends well.
            assert!(died.signal() == Some(9) || passage > 1, "{point}: {died}");
            bed.drain();
            check(&bed, &point);
        }
    }
}

#[test]
fn a_collector_killed_again_and_again_while_spans_flow_loses_nothing() {
    let bed = Bed::new();
    let mut host = bed.host(&format!("spans:{SPANS}"));
    let mut host = host.env("ARGUS_APP_NAME", "spine-host").spawn().unwrap();
    let mut kills = 0;
    for name in failpoint::ALL.iter().cycle().take(40) {
        let died = bed
            .collector()
            .env("ARGUS_FAILPOINT", format!("{name}:1"))
            .status()
            .unwrap();
        kills += u32::from(died.signal() == Some(9));
    }
    assert!(host.wait().unwrap().success());
    assert!(kills >= 10, "{kills} kills");
    bed.drain();
    check(&bed, "again and again");
}
