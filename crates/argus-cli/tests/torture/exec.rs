//! A process that executes another program keeps its pid and its start time; what it had open before
//! is over all the same.

use std::path::Path;

use argus_client::span;
use argus_spool::Weight;

use super::bed::{Bed, Guarded, kill, until};
use super::host::SAID;
use super::ledger::{Ledger, Said};
use super::rounds;

const EACH: u32 = 50;

/// Emits a lane inside an open span, then becomes this binary again in the next role, as often as it
/// says; at last a program that does not record.
pub(crate) fn host(lives: u32, at_last: &Path) {
    let _open = span!("life", left = lives);
    let mut said = Said::default();
    for number in 0..EACH {
        said.emit(lives, number, Weight::Normal);
    }
    said.say(&super::host::said());
    let mut next = if lives > 0 {
        let mut next = std::process::Command::new(std::env::current_exe().unwrap());
        let role = format!("exec:{}:{}", lives - 1, at_last.display());
        next.args(["host::play", "--exact", "--nocapture"]);
        next.env(super::host::ROLE, role);
        next
    } else {
        std::fs::write(at_last, "").unwrap();
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("600");
        sleep
    };
    let refused = std::os::unix::process::CommandExt::exec(&mut next);
    panic!("{refused}");
}

#[test]
fn what_a_program_had_open_ends_when_it_executes_another() {
    let (bed, lives) = (Bed::new(), rounds(10));
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let (said, at_last) = (bed.path("said"), bed.path("at-last"));
    let role = format!("exec:{}:{}", lives - 1, at_last.display());
    let mut host = Guarded(bed.host(&role).env(SAID, &said).spawn().unwrap());
    until("the last program runs", || at_last.exists());
    // The process itself goes on living: every one of these ends was told by something else.
    until("all lives have ended", || {
        bed.number("SELECT count(*) FROM producers WHERE ended_at_ns IS NOT NULL")
            == i64::from(lives)
    });
    assert!(host.0.try_wait().unwrap().is_none(), "it lives");
    assert_eq!(bed.number("SELECT count(*) FROM open_spans"), 0);
    let told = "SELECT count(*) FROM process_trace WHERE process = 'life' AND status = 'ERR'
                AND exception LIKE 'interrupted: process % runs another program'";
    assert_eq!(bed.number(told), i64::from(lives));
    assert_eq!(
        bed.number("SELECT count(*) FROM process_runs WHERE instrumented"),
        1,
        "one process"
    );
    let ledger = Ledger::of_lanes(&bed, Said::read(&said));
    ledger.settle(&format!("exec, {lives} programs in one process"));
    until("spools are removed", || bed.spools() == 0);
    kill(host.0.id());
}

/// The next program records too, and lives on: nothing of it may be taken for what was before.
#[test]
fn the_program_that_was_executed_is_no_part_of_the_death() {
    let bed = Bed::new();
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let progress = bed.path("progress");
    let mut shell = bed.host(&format!("then-until-killed:{}", progress.display()));
    let mut host = Guarded(shell.spawn().unwrap());
    until("the second program emits", || {
        std::fs::metadata(&progress).is_ok_and(|data| data.len() >= 8)
    });
    let ended = "SELECT count(*) FROM producers WHERE ended_at_ns IS NOT NULL";
    until("the first is over", || bed.number(ended) == 1);
    until("the run goes on", || {
        bed.number("SELECT count(*) FROM process_runs WHERE ended_at_ns IS NULL") == 1
    });
    // Some turns of the collector later, the second is still alive, and its span open.
    let stored = || bed.number("SELECT count(*) FROM process_trace WHERE process = 'inner'");
    let before = stored();
    until("more is stored", || stored() > before + 1_000);
    assert_eq!(bed.number(ended), 1);
    let open = "SELECT count(*) FROM open_spans";
    assert!(bed.number(open) >= 1, "the outer span is open");
    kill(host.0.id());
    host.0.wait().unwrap();
    until("it is dead", || bed.number(ended) == 2);
    until("the run is over", || {
        bed.number("SELECT count(*) FROM process_runs WHERE exit_code = -9") == 1
    });
    assert_eq!(bed.number(open), 0);
    until("spools are removed", || bed.spools() == 0);
}

/// Opens a span and becomes a program that emits until it is killed.
pub(crate) fn then_until_killed(progress: &Path) {
    let _open = span!("first");
    let mut next = std::process::Command::new(std::env::current_exe().unwrap());
    next.args(["host::play", "--exact", "--nocapture"]);
    let role = format!("spans-until-killed:{}", progress.display());
    next.env(super::host::ROLE, role);
    let refused = std::os::unix::process::CommandExt::exec(&mut next);
    panic!("{refused}");
}
