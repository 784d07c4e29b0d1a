//! `cargo xtask torture`: the long forms of the tests that break things for real.
//!
//! The tortures themselves are tests; CI runs their short forms with all others. Here each name
//! stands for a test binary, the tests in it, and how often their matter is repeated.

use anyhow::{Result, bail};

use crate::Job;
use crate::step::{self, Checks};
use crate::workspace::Workspace;

pub(crate) const HELP: &str = "\
Breaks things for real, long, and prints the ledger each time.

usage: cargo xtask torture [NAME] [--rounds N | --seeds N]

  kill-producer   SIGKILL at random moments, 1,000 programs
  kill-collector  SIGKILL at every border of its loop, 1,000 collectors
  fork            10,000 children: fork, bare system call, orphans, threads
  threads         40,000 threads that live for a moment
  disk-full       the budget used up; tmpfs, ext4, xfs, btrfs without room
  read-only       read-only file systems, folders that must not be written
  eio             the device is gone (ext4, xfs, btrfs)
  bitflip         10,000 flipped bits in spools
  clock           an hour ahead, three hours behind, stepping
  pid-reuse       300 programs with one pid
  upgrade         an old spool, a newer database
  reader-stall    a reader that never ends its transaction
  model           1,000 seeds of random steps against a model of the spool

Without a name, all of them, one after the other: about an hour. What needs mounts or pids of its
own runs in private namespaces, best as root; what cannot be had is said and left out.

Each prints: accepted, stored, counted losses, doubled, out of order, and fails unless they balance.

examples:
  cargo xtask torture fork
  cargo xtask torture kill-producer --rounds 200
  cargo xtask torture model --seeds 5000";

/// What a name stands for.
struct Torture {
    name: &'static str,
    package: &'static str,
    binary: &'static str,
    /// The beginning of the names of its tests.
    tests: &'static str,
    /// Repetitions of the long form; nothing where there is nothing to repeat.
    rounds: Option<u32>,
}

const fn spine(name: &'static str, tests: &'static str, rounds: Option<u32>) -> Torture {
    Torture {
        name,
        package: "argus-cli",
        binary: "torture",
        tests,
        rounds,
    }
}

const fn spool(name: &'static str, tests: &'static str, rounds: u32) -> Torture {
    Torture {
        name,
        package: "argus-spool",
        binary: "it",
        tests,
        rounds: Some(rounds),
    }
}

const TORTURES: [Torture; 14] = [
    spine("kill-producer", "kill_producer::", Some(1_000)),
    spine("kill-collector", "kill_collector::", Some(1_000)),
    spine("fork", "fork::", Some(10_000)),
    spine("threads", "threads::", Some(40_000)),
    spine("disk-full", "disk_full::", Some(1)),
    spine("read-only", "read_only::", None),
    spine("eio", "eio::", None),
    spool("bitflip", "damage::", 10_000),
    spine("bitflip", "bitflip::", Some(20)),
    spine("clock", "clock::", None),
    spine("pid-reuse", "pid_reuse::", Some(300)),
    spine("upgrade", "upgrade::", None),
    spine("reader-stall", "reader_stall::", Some(200)),
    spool("model", "model::", 1_000),
];

/// Understands the words behind `torture`.
pub(crate) fn plan(words: &[&str]) -> Result<Job> {
    let (names, repeat) = match words {
        [names @ .., option @ ("--rounds" | "--seeds"), count] => match count.parse::<u32>() {
            Ok(count) if count > 0 => (names, Some(count)),
            _ => bail!("`{option}` takes a number, not `{count}`"),
        },
        names => (names, None),
    };
    let chosen: Vec<&Torture> = match names {
        [] => TORTURES.iter().collect(),
        [name] => TORTURES.iter().filter(|it| it.name == *name).collect(),
        _ => bail!("`torture` takes one name, not `{}`", names.join(" ")),
    };
    if chosen.is_empty() {
        bail!("there is no torture `{}`", names.join(" "));
    }
    Ok(Box::new(move |workspace| run(workspace, &chosen, repeat)))
}

fn run(workspace: &Workspace, chosen: &[&Torture], repeat: Option<u32>) -> Result<()> {
    let mut checks = Checks::default();
    for torture in chosen {
        let mut build = workspace.cargo(&["test", "--no-run", "--quiet"]);
        build.args(["--package", torture.package, "--test", torture.binary]);
        step::run("build", &mut build)?;
        let mut tests = workspace.cargo(&["test", "--quiet", "--package", torture.package]);
        tests.args(["--test", torture.binary, "--", torture.tests]);
        tests.args(["--nocapture", "--test-threads=1"]);
        if let Some(rounds) = torture.rounds {
            let rounds = repeat.unwrap_or(rounds).to_string();
            tests.env("ARGUS_TORTURE_ROUNDS", rounds);
        }
        checks.run(&format!("torture {}", torture.name), &mut tests);
    }
    checks.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        match plan(words) {
            Ok(_) => "nothing wrong".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_torture_is_explained() {
        for torture in &TORTURES {
            assert!(HELP.contains(&format!("\n  {} ", torture.name)));
            assert_eq!(refused(&[torture.name, "--rounds", "3"]), "nothing wrong");
        }
        assert_eq!(refused(&[]), "nothing wrong");
        assert_eq!(refused(&["model", "--seeds", "7"]), "nothing wrong");
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(refused(&["rack"]), "there is no torture `rack`");
        let many = "`--rounds` takes a number, not `many`";
        assert_eq!(refused(&["fork", "--rounds", "many"]), many);
    }
}
