//! A pid that passes from one program to the next, again and again: each is a producer of its own,
//! and the life of one never speaks for another.

use std::process::{Child, Command};

use super::alone::{Own, alone};
use super::bed::{Bed, Guarded, kill, until};
use super::host::SAID;
use super::ledger::{Ledger, Said};
use super::rounds;

/// So few that many a program begins and ends within one tick of the clock by which the kernel tells
/// when it began.
const EACH: u32 = 20;
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Starts a program that has this pid, which must be free.
fn start_as(pid: u32, command: &mut Command) -> Child {
    loop {
        std::fs::write(LAST_PID, (pid - 1).to_string()).unwrap();
        let mut child = command.spawn().unwrap();
        if child.id() == pid {
            return child;
        }
        // Somebody else of this namespace was quicker with the pid before.
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn programs_that_share_a_pid_are_told_apart() {
    let name = "pid_reuse::programs_that_share_a_pid_are_told_apart";
    alone(name, Own::Processes, || {
        if std::fs::write(LAST_PID, "300").is_err() {
            println!("{name}: not run, the next pid cannot be chosen here");
            return;
        }
        let (bed, pid, rounds) = (Bed::new(), 4_000, rounds(20));
        let _collector = Guarded(
            bed.argus(&["collector", "--idle-exit", "never"])
                .spawn()
                .unwrap(),
        );
        let said = bed.path("said");
        for round in 0..rounds {
            let mut host = bed.host(&format!("lane:{round}:{EACH}"));
            let mut host = start_as(pid, host.env(SAID, &said));
            host.wait().unwrap();
        }
        let progress = bed.path("progress");
        let mut last = bed.host(&format!("spans-until-killed:{}", progress.display()));
        let mut last = start_as(pid, &mut last);
        let living = "SELECT count(*) FROM producers WHERE pid = 4000 AND ended_at_ns IS NULL";
        let all = "SELECT count(*) FROM producers WHERE pid = 4000";
        let expected = i64::from(rounds) + 1;
        until("all but the last are dead", || {
            (bed.number(all), bed.number(living)) == (expected, 1)
        });
        let inner = "SELECT count(*) FROM process_trace WHERE process = 'inner'";
        let before = bed.number(inner);
        until("the last lives on", || bed.number(inner) > before + 1_000);
        assert_eq!(bed.number(living), 1);
        kill(last.id());
        last.wait().unwrap();
        until("the last is dead", || bed.number(living) == 0);
        // Two of one pid and one tick share a run; everything else of them is told apart.
        let runs = bed.number("SELECT count(DISTINCT run_id) FROM producers WHERE pid = 4000");
        let shared = expected - runs;
        let ledger = Ledger::of_lanes(&bed, Said::read(&said));
        ledger.settle(&format!(
            "pid-reuse, {rounds} programs of one pid, {shared} in the tick of the one before"
        ));
        until("spools are removed", || bed.spools() == 0);
    });
}
