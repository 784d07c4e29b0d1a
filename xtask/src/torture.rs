//! `cargo xtask torture`: the long forms of the tests that break things for real.
//!
//! The tortures themselves are tests; CI runs their short forms with all others. Here each name
//! stands for a test binary, the tests in it, and how often their matter is repeated.

use std::process::Command;

use anyhow::{Result, bail};

use crate::Job;
use crate::python::{Environment, Purpose};
use crate::step::{self, Checks};
use crate::workspace::{Profile, Workspace};

pub(crate) const HELP: &str = "\
Breaks things for real, long, and prints the ledger each time.

usage: cargo xtask torture [NAME] [--rounds N | --seeds N]

  kill-producer   SIGKILL at random moments, 1,000 programs
  kill-collector  SIGKILL at every border of its loop and anywhere else, 1,000 collectors
  fork            10,000 children: fork, bare system call, orphans, threads; and 10,000 of
                  Python: multiprocessing's fork, forkserver, spawn; os.fork, libc's, bare
  threads         40,000 threads that live for a moment
  disk-full       the budget used up; tmpfs, ext4, xfs, btrfs without room
  read-only       read-only file systems, folders that must not be written
  eio             the device is gone (ext4, xfs, btrfs)
  bitflip         10,000 flipped bits in spools, 1,000 in a database
  clock           an hour ahead, three hours behind, stepping; a suspended machine
  pid-reuse       300 programs with one pid, many of them in one tick of the clock
  exec            500 programs in one process
  namespaces      containers that share a data folder, a clock that counts from elsewhere
  upgrade         an old spool, a newer database
  reader-stall    a reader that never ends its transaction
  retention       a store far beyond its limit while programs record: how long commits wait
  rotation        a log rotated ten times a second in every way, with 2,000 lines a second, and a gaze
                  that is killed all the time: 10 seeds of each; also logrotate and Python's handlers;
                  the logs of nginx, PostgreSQL and logback under load, as their own means rotate them,
                  and a log of 1 GB
  children        gaze and a program with 10,000 short-lived children: who is missed, what gaze holds
  programs        nginx, Redis, PostgreSQL, Node, a JVM and Python under load, and a program that uses
                  the disk, all watched by gaze: both sides' totals
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
    matter: Matter,
    /// Repetitions of the long form; nothing where there is nothing to repeat.
    rounds: Option<u32>,
}

/// Where the tests are.
enum Matter {
    Rust {
        /// What cargo needs to know to find them.
        place: &'static [&'static str],
        /// The beginning of the names of its tests.
        tests: &'static str,
    },
    /// A file of the package's tests.
    Python(&'static str),
}

const fn rust(
    name: &'static str,
    place: &'static [&'static str],
    tests: &'static str,
    rounds: Option<u32>,
) -> Torture {
    let matter = Matter::Rust { place, tests };
    Torture {
        name,
        matter,
        rounds,
    }
}

const SPINE: &[&str] = &["--package=argus-cli", "--test=torture"];
const SPOOL: &[&str] = &["--package=argus-spool", "--test=it"];
const DRAIN: &[&str] = &["--package=argus-drain", "--test=it"];
const STORE: &[&str] = &["--package=argus-store", "--lib"];

const TORTURES: [Torture; 24] = [
    rust("kill-producer", SPINE, "kill_producer::", Some(1_000)),
    rust("kill-collector", SPINE, "kill_collector::", Some(1_000)),
    rust("fork", SPINE, "fork::", Some(10_000)),
    Torture {
        name: "fork",
        matter: Matter::Python("python/tests/test_many_children.py"),
        rounds: Some(10_000),
    },
    rust("threads", SPINE, "threads::", Some(40_000)),
    rust("disk-full", SPINE, "disk_full::", Some(1)),
    rust("read-only", SPINE, "read_only::", None),
    rust("eio", SPINE, "eio::", None),
    rust("bitflip", SPOOL, "damage::", Some(10_000)),
    rust("bitflip", SPINE, "bitflip::", Some(20)),
    rust("bitflip", STORE, "damage::every_flipped_bit", Some(1_000)),
    rust("clock", SPINE, "clock::", None),
    rust("pid-reuse", SPINE, "pid_reuse::", Some(300)),
    rust("exec", SPINE, "exec::", Some(500)),
    rust("namespaces", SPINE, "namespaces::", Some(50)),
    rust("upgrade", SPINE, "upgrade::", None),
    rust("reader-stall", SPINE, "reader_stall::", Some(200)),
    rust("retention", SPINE, "retention::", Some(10)),
    rust("rotation", SPINE, "rotation::", Some(10)),
    rust("rotation", SPINE, "real_logs::", Some(10)),
    rust("children", SPINE, "offspring::", Some(10_000)),
    rust("programs", SPINE, "programs::", Some(2_000)),
    rust("model", SPOOL, "model::", Some(1_000)),
    rust("model", DRAIN, "model::", Some(1_000)),
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
        let mut tests = match torture.matter {
            Matter::Rust { place, tests } => rust_tests(workspace, place, tests)?,
            Matter::Python(file) => python_tests(workspace, file)?,
        };
        if let Some(rounds) = torture.rounds {
            let rounds = repeat.unwrap_or(rounds).to_string();
            tests.env("ARGUS_TORTURE_ROUNDS", rounds);
        }
        checks.run(&format!("torture {}", torture.name), &mut tests);
    }
    checks.finish()
}

const PROFILE: [&str; 2] = ["--profile", Profile::Torture.name()];

fn rust_tests(workspace: &Workspace, place: &[&str], tests: &str) -> Result<Command> {
    let mut build = workspace.cargo(&["test", "--no-run", "--quiet"]);
    step::run("build", build.args(PROFILE).args(place))?;
    let mut run = workspace.cargo(&["test", "--quiet"]);
    run.args(PROFILE).args(place).args(["--", tests]);
    run.args(["--nocapture", "--test-threads=1"]);
    Ok(run)
}

fn python_tests(workspace: &Workspace, file: &str) -> Result<Command> {
    let environment = Environment::prepare(workspace, Purpose::Development)?;
    let mut build = workspace.cargo(&["build", "--package", "argus-cli", "--quiet"]);
    step::run("build the argus command", build.args(PROFILE))?;
    environment.install_package(Profile::Release)?;
    let mut run = environment.command("python");
    run.args(["-m", "pytest", "-q", "-s", file]);
    run.env("ARGUS_BIN", workspace.target("torture/argus"));
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        crate::tests::refusal(plan(words))
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
