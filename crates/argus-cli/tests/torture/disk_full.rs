//! No room: the budget used up, the disk full. The host goes on; what it could not record is counted
//! exactly, errors apart; and when there is room again, everybody can read how much it was.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::alone::{Own, alone};
use super::bed::{Bed, Guarded, until};
use super::disk::{Disk, Kind};
use super::host::{OWN_CODE, OWN_WORDS, SAID};
use super::ledger::{Ledger, Said};
use super::rounds;

const BUDGET: u64 = 2 << 20;

#[test]
fn ordinary_records_stop_at_nine_tenths_of_the_budget_and_errors_at_the_whole() {
    let bed = Bed::new();
    bed.control().set_budget(BUDGET);
    let host = start(&bed);
    let used = || bed.control().usage().0;
    let signals = bed.path("");
    wait_for(&signals, "normal");
    let (smallest_chunk, nine_tenths) = (64 * 1024, BUDGET / 10 * 9);
    assert!(
        used() <= nine_tenths && used() + smallest_chunk > nine_tenths,
        "{} of {BUDGET}",
        used()
    );
    go_on(&signals, "normal");
    wait_for(&signals, "errors");
    assert!(
        used() <= BUDGET && used() + smallest_chunk > BUDGET,
        "{} of {BUDGET}",
        used()
    );
    finish(&bed, host, "budget", || ());
}

#[test]
fn a_full_disk_costs_records_that_are_counted_and_nothing_else() {
    let name = "disk_full::a_full_disk_costs_records_that_are_counted_and_nothing_else";
    alone(name, Own::Mounts, || {
        for disk in Kind::ALL.into_iter().filter_map(Disk::mount) {
            disk.bed.drain();
            let ballast = disk.fill(3 << 20);
            let signals = disk.bed.path("");
            let host = start(&disk.bed);
            wait_for(&signals, "normal");
            go_on(&signals, "normal");
            wait_for(&signals, "errors");
            finish(&disk.bed, host, "disk", || {
                std::fs::remove_file(ballast).unwrap();
            });
            println!(
                "{}: the host ended with its own words and code",
                disk.name()
            );
        }
    });
}

/// Pages that the kernel has written back are written to again when chunks are re-used. Where that
/// needs new room (btrfs without `NOCOW`) a full disk would kill the host.
#[test]
fn a_disk_that_fills_up_behind_re_used_chunks_kills_nobody() {
    let name = "disk_full::a_disk_that_fills_up_behind_re_used_chunks_kills_nobody";
    alone(name, Own::Mounts, || {
        // The short form tries the one where it is hard.
        let others = Kind::ALL.into_iter().filter(|_| rounds(0) > 0);
        for disk in others.chain([Kind::Btrfs]).filter_map(Disk::mount) {
            let bed = &disk.bed;
            let (signals, said) = (bed.path(""), bed.path("said"));
            bed.drain();
            // The spool must leave the store the room that it needs to take the spool in.
            bed.control().set_budget(2 * BUDGET);
            let collector = Guarded(
                bed.argus(&["collector", "--idle-exit", "never"])
                    .spawn()
                    .unwrap(),
            );
            let mut host = bed.host(&format!("through-a-breakdown:{}", signals.display()));
            let mut host = Guarded(host.env(SAID, &said).spawn().unwrap());
            until("chunks are re-used", || {
                bed.number("SELECT count(*) FROM metrics") > 20_000
            });
            let ballast = disk.fill_up();
            // Long enough for what the host has to be written all over, again.
            std::thread::sleep(Duration::from_secs(1));
            std::fs::remove_file(ballast).unwrap();
            std::fs::write(signals.join("over"), "").unwrap();
            let status = host.0.wait().unwrap();
            assert_eq!(status.code(), Some(OWN_CODE), "{}: {status}", disk.name());
            drop(collector);
            bed.drain();
            let ledger = Ledger::of_lanes(bed, Said::read(&said));
            ledger.settle(&format!(
                "disk-full, behind re-used chunks on {}",
                disk.name()
            ));
        }
    });
}

fn start(bed: &Bed) -> Child {
    let mut host = bed.host(&format!("through-a-shortage:{}", bed.path("").display()));
    host.env(SAID, bed.path("said")).stdout(Stdio::piped());
    host.spawn().unwrap()
}

fn wait_for(signals: &Path, signal: &str) {
    until(signal, || signals.join(signal).exists());
}

fn go_on(signals: &Path, signal: &str) {
    std::fs::write(signals.join(format!("{signal}-seen")), "").unwrap();
}

/// There is room again, and a collector: the rest is recorded, and so is how much is missing.
fn finish(bed: &Bed, host: Child, reason: &str, make_room: impl FnOnce()) {
    make_room();
    let collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    go_on(&bed.path(""), "errors");
    let output = host.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(OWN_CODE));
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.ends_with(&format!("{OWN_WORDS}\n")), "{words}");
    drop(collector);
    bed.drain();

    let said = Said::read(&bed.path("said"));
    assert!(said.refused_normal >= 1_000 && said.refused_errors >= 1_000);
    Ledger::of_lanes(bed, said).settle(&format!("disk-full, {reason}"));
    let gaps = bed.store().gaps(100).unwrap();
    assert!(gaps.iter().all(|gap| gap.from <= gap.to));
    assert!(gaps.iter().all(|gap| gap.reason == reason), "{gaps:?}");
    let normal: u64 = gaps.iter().map(|gap| gap.normal).sum();
    assert_eq!(normal, said.refused_normal, "{gaps:?}");
    on_screen(bed, said);
}

/// What `argus status` shows is that number.
fn on_screen(bed: &Bed, said: Said) {
    let shown = bed.argus(&["status", "--json"]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let account = &shown["ledger"][0];
    assert_eq!(account["lost_normal"], said.refused_normal);
    assert_eq!(account["lost_errors"], said.refused_errors);
    let emitted = said.accepted + said.refused_normal + said.refused_errors;
    assert_eq!(account["emitted"], emitted);
}
