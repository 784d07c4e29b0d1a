//! `--help`, `--version`, completions.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use crate::recording::{Answer, Recording};

const COMMANDS: &[&str] = &[
    "run",
    "gaze",
    "watch",
    "autopsy",
    "stack",
    "status",
    "traces",
    "logs",
    "metrics",
    "analyze",
    "query",
    "collector",
    "verify",
    "export",
    "doctor",
    "completions",
    "man",
];

fn argus(arguments: &[&str]) -> Answer {
    Recording::missing().argus(arguments)
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let answer = argus(&["--help"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(answer.stdout, @r"
    A flight recorder for programs: what they are doing now, and everything they did

    Usage: argus [OPTIONS] <COMMAND>

    Commands:
      run          Start a program and record it: exit code, output, CPU, memory, what it records itself
      gaze         Watch running processes from outside: CPU, memory, traffic, log files, children, ends
      watch        Watch programs live: open calls, CPU, memory, what just ended
      autopsy      Tell how a program ended and what it was doing: a crash report
      stack        Show what every thread of a running Python program is doing, without touching it
      status       Show what is recorded, what was lost and why, and how the collector is
      traces       List calls that ended, the newest last
      logs         List recorded log lines, the newest last
      metrics      List readings of CPU, memory and threads, and of named metrics
      analyze      Show per function how often, how long and how badly it ran
      query        Ask the store a question in SQL; it can only be read
      collector    Collect what programs record into the database (started on its own when needed)
      verify       Check that everything stored is as it was written
      export       Write everything stored as JSON, one object a line
      doctor       Check whether recording works here, what is off, and what to do about it
      completions  Print a completion script for a shell
      man          Print the manual, or write one page per command into a folder
      help         Print this message or the help of the given subcommand(s)

    Options:
          --db <FILE>  Use this database instead of ~/.argus/argus_runtime.db
      -h, --help       Print help
      -V, --version    Print version

    Exit codes: 0 fine; 1 not found, or the check failed; 2 usage, or it cannot be observed here;
    3 the store cannot be used (newer, another user's, damaged). `run` returns its program's code.

    Environment: ARGUS_DB names the database, ARGUS_HOME its folder (~/.argus); ARGUS_APP_NAME names a
    program that records itself, ARGUS_DISABLE=1 keeps it from doing so; ARGUS_COLLECTOR=off starts no
    collector; NO_COLOR=1 turns colours off. `argus doctor` lists what is set.
    ");
}

#[test]
fn help_of_every_command_has_an_example() {
    for command in COMMANDS {
        let answer = argus(&[command, "--help"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        let examples = answer.stdout.split("Examples:\n").nth(1).unwrap();
        assert!(examples.contains(&format!("argus {command}")), "{examples}");
    }
}

#[test]
fn version_is_an_answer() {
    let answer = argus(&["--version"]);
    assert_eq!(answer.code, 0);
    assert_eq!(
        answer.stdout,
        concat!("argus ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let answer = argus(&["completions", shell]);
        assert_eq!(answer.code, 0, "{answer:?}");
        for command in COMMANDS {
            assert!(answer.stdout.contains(command), "{shell}: {command}");
        }
    }
}

/// What the shell says to a script on its standard input; nothing where it is not installed.
fn loaded(shell: &str, options: &[&str], script: &str) -> Option<String> {
    let mut command = Command::new(shell);
    command.args(options).stdin(Stdio::piped());
    let spawned = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        spawned => spawned.unwrap(),
    };
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{shell}: {output:?}");
    assert!(output.stderr.is_empty(), "{shell}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn shells_load_their_completions_without_a_word() {
    for (shell, options) in [
        ("bash", &["-n"][..]),
        ("zsh", &["-f", "-n"]),
        ("fish", &["--no-config", "--no-execute"]),
    ] {
        let script = argus(&["completions", shell]).stdout;
        loaded(shell, options, &script);
    }
}

#[test]
fn bash_completes_a_command() {
    let script = argus(&["completions", "bash"]).stdout;
    let ask = "\nCOMP_WORDS=(argus do) COMP_CWORD=1\n_argus argus do argus\necho ${COMPREPLY[@]}\n";
    if let Some(completed) = loaded("bash", &["--norc"], &(script + ask)) {
        assert_eq!(completed, "doctor\n");
    }
}
