//! The commands that tell of alerts, as real programs.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::alarm::{
    Commands, Finished, MAX_RUNNING, NotStarted, Outcome, Rule, Transition, Turn,
};
use argus_observe::argv::Argv;
use argus_observe::platform::{self, Signal, Signals};
use argus_observe::process::find_by_pid;
use argus_observe::wake::wait_any;

use crate::stranger::eventually;

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Argv {
    let words = ["sh", "-c", script].map(String::from);
    words.to_vec().try_into().unwrap()
}

fn fired() -> Transition {
    let at = Monotonic::from_nanos(7_000_000_000);
    Transition {
        rule: Rule::Cpu,
        threshold: 80.0,
        value: 93.25,
        at,
        turn: Turn::Fired { since: at },
    }
}

fn start(commands: &mut Commands) {
    let now = platform::monotonic_now();
    commands.start(&fired(), 1234, "My App", now).unwrap();
}

/// Waits as a loop would: for the descriptor, and for what is due.
fn next_finished(commands: &mut Commands) -> Finished {
    eventually("the end of a command", || {
        let now = platform::monotonic_now();
        let due = commands.next_due().unwrap();
        wait_any([commands.as_fd()], Some(due.since(now))).unwrap();
        let mut finished = None;
        commands.collect(platform::monotonic_now(), |it| finished = Some(it));
        finished
    })
}

fn pid_in(file: &Path) -> u32 {
    eventually("a pid in a file", || {
        let text = std::fs::read_to_string(file).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}

#[test]
fn a_command_is_told_the_facts_and_its_exit_code_comes_back() {
    let mut commands = Commands::new(
        shell(
            "cat; echo out; echo first >&2; env | grep ^ARGUS_ALERT | sort | tr '\\n' ' ' >&2; exit 3",
        ),
        LONG,
    )
    .unwrap();
    assert_eq!(commands.next_due(), None);
    start(&mut commands);
    let finished = next_finished(&mut commands);
    assert_eq!(finished.outcome, Outcome::Ended(Some(3)));
    assert_eq!(
        finished.said.unwrap(),
        "ARGUS_ALERT_APP=My App ARGUS_ALERT_BECAUSE= ARGUS_ALERT_PID=1234 ARGUS_ALERT_RULE=cpu \
         ARGUS_ALERT_STATE=fired ARGUS_ALERT_THRESHOLD=80 ARGUS_ALERT_VALUE=93.25"
    );
    assert_eq!(commands.next_due(), None);
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!(
        "trap '' TERM; sleep 1000 & echo $! >'{}'; wait",
        file.display()
    );
    let mut commands = Commands::new(shell(&script), Duration::from_millis(300)).unwrap();
    start(&mut commands);
    let child = pid_in(&file);
    let finished = next_finished(&mut commands);
    assert_eq!(finished.outcome, Outcome::TimedOut);
    eventually("the end of its child", || find_by_pid(child).err());
}

#[test]
fn no_more_than_some_run_at_once_and_all_are_killed_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let script = format!("touch '{}'/$$; exec sleep 1000", path.display());
    let mut commands = Commands::new(shell(&script), LONG).unwrap();
    for _ in 0..MAX_RUNNING {
        start(&mut commands);
    }
    let now = platform::monotonic_now();
    let refused = commands.start(&fired(), 1, "x", now);
    assert!(matches!(refused, Err(NotStarted::TooMany)), "{refused:?}");
    let pids = eventually("all of them", || {
        let names = std::fs::read_dir(path).unwrap();
        let pids: Vec<u32> = names
            .map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        (pids.len() == MAX_RUNNING).then_some(pids)
    });
    drop(commands);
    for pid in pids {
        // Not even as a zombie.
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid}");
    }
}

#[test]
fn a_command_that_is_not_there_is_said_so() {
    let words = vec!["/nowhere/notify".to_owned()];
    let mut commands = Commands::new(words.try_into().unwrap(), LONG).unwrap();
    let error = commands
        .start(&fired(), 1, "x", platform::monotonic_now())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start the alert command /nowhere/notify"
    );
    assert_eq!(commands.next_due(), None);
}

#[test]
fn a_command_does_not_inherit_what_we_block() {
    let _signals = Signals::collect(&[Signal::TERM]).unwrap();
    let mut commands = Commands::new(shell("kill -TERM $$; echo alive >&2"), LONG).unwrap();
    start(&mut commands);
    let finished = next_finished(&mut commands);
    assert_eq!(finished.outcome, Outcome::Ended(Some(-15)));
    assert_eq!(finished.said, None);
}

#[test]
fn a_command_that_says_a_lot_neither_waits_for_us_nor_fills_our_memory() {
    let script = "yes 'too much' | head -c 300000 >&2; echo >&2; echo '  the last  ' >&2";
    let mut commands = Commands::new(shell(script), LONG).unwrap();
    start(&mut commands);
    let finished = next_finished(&mut commands);
    assert_eq!(finished.outcome, Outcome::Ended(Some(0)));
    assert_eq!(finished.said.as_deref(), Some("the last"));
}
