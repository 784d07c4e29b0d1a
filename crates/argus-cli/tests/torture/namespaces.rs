//! Programs in namespaces of their own, such as containers that share a data folder: a pid there is
//! not a pid here, and a clock there may count from elsewhere.

use std::path::Path;
use std::process::Command;

use super::alone::{Own, alone};
use super::bed::{Bed, Guarded, kill, until};
use super::host::SAID;
use super::ledger::{Ledger, Said};
use super::rounds;

const EACH: u32 = 100;

/// A host below `unshare` with these words.
fn apart(words: &[&str], host: &Command) -> Command {
    let mut command = Command::new("unshare");
    command.args(words).arg(host.get_program());
    command.args(host.get_args());
    for (name, value) in host.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn can(words: &[&str]) -> bool {
    let tried = Command::new("unshare").args(words).arg("true").output();
    tried.is_ok_and(|tried| tried.status.success())
}

fn collector(bed: &Bed) -> Guarded {
    let mut command = bed.argus(&["collector", "--idle-exit", "never"]);
    Guarded(command.spawn().unwrap())
}

const OWN_PIDS: [&str; 4] = ["--pid", "--fork", "--kill-child", "--mount-proc"];

#[test]
fn programs_in_containers_are_stored_and_never_judged_by_pids_of_the_host() {
    let name = "namespaces::programs_in_containers_are_stored_and_never_judged_by_pids_of_the_host";
    alone(name, Own::Mounts, || {
        if !can(&OWN_PIDS) {
            println!("{name}: not run, no pid namespaces to be had here");
            return;
        }
        let (bed, rounds) = (Bed::new(), rounds(4));
        let said = bed.path("said");
        let outside = collector(&bed);
        // Each is pid 1 of its own; a pid 1 that lives is here, too.
        for container in 0..rounds {
            let mut host = bed.host(&format!("lane:{container}:{EACH}"));
            let status = apart(&OWN_PIDS, host.env(SAID, &said)).status().unwrap();
            assert_eq!(status.code(), Some(super::host::OWN_CODE));
        }
        let producers = "SELECT count(*) FROM producers";
        let lanes = "SELECT count(*) FROM metrics WHERE name = 'lane'";
        until("all containers are stored", || {
            bed.number(producers) == i64::from(rounds)
                && bed.number(lanes) == i64::from(rounds * EACH)
        });
        let runs = "SELECT count(DISTINCT run_id) FROM producers WHERE pid = 1";
        assert_eq!(bed.number(runs), i64::from(rounds), "each pid 1 is another");
        let ended = "SELECT count(*) FROM producers WHERE ended_at_ns IS NOT NULL";
        assert_eq!(bed.number(ended), 0, "nobody here can know");
        assert_eq!(bed.spools(), rounds as usize, "nothing of them is removed");
        Ledger::of_lanes(&bed, Said::read(&said))
            .settle(&format!("namespaces, {rounds} containers"));
        drop(outside);
    });
}

#[test]
fn a_collector_inside_a_container_knows_who_is_dead_there() {
    let name = "namespaces::a_collector_inside_a_container_knows_who_is_dead_there";
    alone(name, Own::Processes, || {
        let bed = Bed::new();
        let said = bed.path("said");
        let mut host = bed.host(&format!("lane:0:{EACH}"));
        host.env(SAID, &said).status().unwrap();
        bed.drain();
        Ledger::of_lanes(&bed, Said::read(&said)).settle("namespaces, all inside");
        bed.assert_spools_are_gone();
    });
}

/// A day ahead in everything that counts from the boot.
const OWN_TIME: [&str; 5] = [
    "--time",
    "--fork",
    "--kill-child",
    "--boottime=86400",
    "--monotonic=86400",
];

#[test]
fn a_program_that_counts_time_from_elsewhere_is_not_taken_for_dead() {
    let name = "namespaces::a_program_that_counts_time_from_elsewhere_is_not_taken_for_dead";
    alone(name, Own::Mounts, || {
        if !can(&OWN_TIME) {
            println!("{name}: not run, no time namespaces to be had here");
            return;
        }
        let bed = Bed::new();
        let progress = bed.path("progress");
        let host = bed.host(&format!("spans-until-killed:{}", progress.display()));
        let mut host = Guarded(apart(&OWN_TIME, &host).spawn().unwrap());
        let emitted = |progress: &Path| std::fs::metadata(progress).is_ok_and(|it| it.len() >= 8);
        until("the program emits", || emitted(&progress));
        let collector = collector(&bed);
        let inner = "SELECT count(*) FROM process_trace WHERE process = 'inner'";
        until("it is stored, again and again", || {
            bed.number(inner) > 5_000
        });
        assert_eq!(bed.spools(), 1, "a living program keeps its spool");
        let late = "SELECT count(*) FROM spans
                    WHERE abs(end_ns - unixepoch('now') * 1000000000) > 60000000000";
        let pid = bed.number("SELECT pid FROM producers");
        assert_eq!(bed.number(late), 0, "the wall clock is one for all");
        kill(u32::try_from(pid).unwrap());
        host.0.wait().unwrap();
        drop(collector);
        bed.drain();
        let bytes = std::fs::read(&progress).unwrap().try_into().unwrap();
        let (said, stored) = (u64::from_le_bytes(bytes), bed.number(inner));
        let stored = u64::try_from(stored).unwrap();
        println!("namespaces, another time: said {said}, stored {stored}");
        assert!(stored == said || stored == said + 1);
        bed.assert_spools_are_gone();
    });
}
