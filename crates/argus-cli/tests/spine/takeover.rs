//! A killed collector is succeeded while any command runs; nobody else is ever the writer.

use std::time::{Duration, Instant};

use argus_model::paths::DataDir;

use super::bed::{Bed, Guarded, kill, until};

fn living(bed: &Bed) -> Option<u32> {
    bed.control().living_collector()
}

#[test]
fn a_killed_collector_is_succeeded_within_two_seconds_while_a_command_runs() {
    let bed = Bed::new();
    let mut run = bed.argus(&["run", "--interval", "0.2", "--", "sleep", "30"]);
    let mut run = Guarded(run.env_remove("ARGUS_COLLECTOR").spawn().unwrap());
    until("a collector was started", || living(&bed).is_some());
    for _ in 0..3 {
        let before = living(&bed).unwrap();
        kill(before);
        let killed = Instant::now();
        until("another one lives", || {
            living(&bed).is_some_and(|pid| pid != before)
        });
        let taken = killed.elapsed();
        assert!(taken < Duration::from_secs(2), "takeover took {taken:?}");
    }
    kill(living(&bed).unwrap());
    run.0.kill().unwrap();
}

#[test]
fn a_collector_takes_the_descriptors_it_may_have() {
    let bed = Bed::new();
    let few = "ulimit -S -n 64; exec \"$0\" collector --idle-exit never";
    let mut shell = bed.command("sh", &["-c", few, env!("CARGO_BIN_EXE_argus")]);
    let collector = Guarded(shell.spawn().unwrap());
    until("it collects", || living(&bed).is_some());
    let limits = format!("/proc/{}/limits", collector.0.id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = line.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1]);
    assert_ne!(numbers[0], "64");
}

#[test]
fn a_second_collector_leaves_at_once() {
    let bed = Bed::new();
    let _first = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    until("the first collects", || living(&bed).is_some());
    let second = bed.collector().output().unwrap();
    assert!(second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another collector"), "{said}");
}

#[test]
fn a_collector_leaves_when_there_is_nobody_left_and_says_so() {
    let bed = Bed::new();
    bed.drain();
    assert_eq!(living(&bed), None);
    assert!(DataDir::of(bed.data().database()).database().exists());
}
