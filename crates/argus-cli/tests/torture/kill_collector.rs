//! The collector killed at every border of its loop: the next one goes on, nothing is lost or
//! doubled.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argus_drain::failpoint;

use super::bed::{Bed, Chance, Guarded, kill, until};
use super::host::{OWN_CODE, SAID};
use super::ledger::{Ledger, Said};
use super::rounds;

const SPANS: u32 = 20_000;
/// Spans of a program that comes and goes.
const EACH: u32 = 300;

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

/// Short-lived programs follow each other, so that there is always something to read, to end and to
/// remove; a collector is killed at a failpoint, or, when it does not come there in time, anywhere.
#[test]
fn a_collector_killed_again_and_again_while_programs_come_and_go_loses_nothing() {
    let (bed, rounds) = (Bed::new(), rounds(40));
    let said = bed.path("said");
    let over = AtomicBool::new(false);
    let (programs, anywhere) = std::thread::scope(|scope| {
        let programs = scope.spawn(|| {
            let mut programs = 0_u32;
            while !over.load(Ordering::Relaxed) {
                let mut host = bed.host(&format!("spans-and-lane:{programs}:{EACH}"));
                let status = host.env(SAID, &said).status().unwrap();
                assert_eq!(status.code(), Some(OWN_CODE));
                programs += 1;
            }
            programs
        });
        let anywhere = kill_collectors(&bed, rounds);
        over.store(true, Ordering::Relaxed);
        (programs.join().unwrap(), anywhere)
    });
    bed.drain();
    let name = format!("kill-collector, {rounds} kills, {anywhere} of them anywhere");
    let ledger = Ledger::of_lanes(&bed, Said::read(&said));
    ledger.settle(&format!("{name}, {programs} programs"));
    let spans = u64::from(programs) * u64::from(EACH);
    assert_eq!(ledger.stored, spans, "a record beside each span");
    let count = |query: &str| u64::try_from(bed.number(query)).unwrap();
    let stored = "SELECT count(*) FROM process_trace WHERE process = 'inner' AND status = 'OK'";
    let different = "SELECT count(*) FROM (SELECT DISTINCT producer_id, span FROM process_trace)";
    let calls = "SELECT sum(count) FROM function_minutes";
    assert_eq!(
        [stored, different, calls].map(count),
        [spans; 3],
        "{name}: spans"
    );
    assert_eq!(count("SELECT count(*) FROM open_spans"), 0, "{name}: open");
    let told = "SELECT sum(stored) FROM producers";
    assert_eq!(count(told), 3 * spans, "{name}: starts, ends and records");
    bed.assert_spools_are_gone();
}

/// Kills as many collectors, one after the other; answers how many of them at no failpoint.
fn kill_collectors(bed: &Bed, rounds: u32) -> u32 {
    let mut chance = Chance(0x5eed_c011_ec70_0001);
    let mut anywhere = 0;
    for name in failpoint::ALL.iter().cycle().take(rounds as usize) {
        let point = format!("{name}:{}", 1 + chance.below(3));
        let mut collector = bed.argus(&["collector", "--idle-exit", "never"]);
        let mut collector = Guarded(collector.env("ARGUS_FAILPOINT", point).spawn().unwrap());
        let end = Instant::now() + Duration::from_millis(250 + chance.below(250));
        let died = loop {
            if let Some(died) = collector.0.try_wait().unwrap() {
                break died;
            }
            if Instant::now() > end {
                kill(collector.0.id());
                anywhere += 1;
                break collector.0.wait().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(died.signal(), Some(9), "{name}: {died}");
    }
    anywhere
}

#[test]
fn a_program_whose_spool_was_removed_while_nobody_looked_has_ended() {
    let bed = Bed::new();
    let collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let progress = bed.path("progress");
    let host = bed.host(&format!("spans-until-killed:{}", progress.display()));
    let host = Guarded({ host }.spawn().unwrap());
    bed.store();
    let open = "SELECT count(*) FROM open_spans AS o JOIN names AS n ON n.id = o.name_id
         WHERE n.text = 'outer'";
    until("its outer span is stored", || bed.number(open) == 1);
    drop(collector);
    drop(host);
    std::fs::remove_dir_all(bed.data().spool()).unwrap();
    std::fs::create_dir(bed.data().spool()).unwrap();
    bed.drain();
    assert_eq!(bed.number(open), 0);
    let interrupted = "SELECT count(*) FROM process_trace WHERE process = 'outer'
         AND status = 'ERR' AND exception LIKE 'interrupted:%'";
    assert_eq!(bed.number(interrupted), 1);
    assert!(bed.ledger()[0].ended_at.is_some());
}
