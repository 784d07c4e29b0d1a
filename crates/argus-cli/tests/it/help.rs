//! `--help`, `--version`, completions.

use crate::recording::{Answer, Recording};

const COMMANDS: &[&str] = &[
    "watch",
    "status",
    "traces",
    "logs",
    "metrics",
    "analyze",
    "query",
    "completions",
];

fn argus(arguments: &[&str]) -> Answer {
    Recording::missing().argus(arguments)
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let answer = argus(&["--help"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(answer.stdout, @r#"
    A flight recorder
    "#);
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
