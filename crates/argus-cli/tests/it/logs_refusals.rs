//! What `argus logs` refuses: values that make no sense, and options that contradict each other.

use crate::recording::Recording;

fn refused(arguments: &[&str]) -> String {
    let answer = Recording::sample().argus(&[&["logs"], arguments].concat());
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (2, ""),
        "{arguments:?}: {answer:?}"
    );
    answer.stderr
}

#[test]
fn values_that_make_no_sense_are_refused_in_a_sentence() {
    for (arguments, told) in [
        (
            ["--level", "loud"],
            "'--level <LEVEL>': expected trace, debug, info, warn, error or fatal",
        ),
        (
            ["--regex", "(a"],
            "'--regex <RE>': not a regular expression: unclosed group",
        ),
        (
            ["--regex", "(a{1000}){1000}"],
            "'--regex <RE>': the expression is too large",
        ),
        (["--template", "0"], "'--template <ID>'"),
        (["--template", "x"], "'--template <ID>'"),
        (
            ["--source", "moon"],
            "possible values: file, stdout, stderr, logger, journal, stdin",
        ),
        (["--by", "luck"], "possible values: captured, said"),
        (["-C", "-1"], "-1"),
        (["-A", "many"], "'--after-context <N>'"),
        (["--limit", "0"], "'--limit <N>'"),
    ] {
        let said = refused(&arguments);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for arguments in [
        &["-f", "--until", "1m"][..],
        &["-f", "--before", "3"],
        &["-f", "--templates"],
        &["-f", "--correlation", "x"],
        &["--templates", "--level", "warn"],
        &["--templates", "--pid", "1"],
        &["--correlation", "x", "-C", "2"],
        &["--correlation", "x", "--templates"],
        &["--since", "1m", "--until", "2m"],
    ] {
        let said = refused(arguments);
        let is_told = said.contains("cannot be used with") || said.contains("is not before");
        assert!(is_told, "{arguments:?}: {said}");
    }
}

#[test]
fn a_template_that_does_not_exist_is_not_found() {
    let answer = Recording::sample().argus(&["logs", "--template", "99"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(
        answer.stderr,
        "argus: there is no template 99\nhint: argus logs --templates\n"
    );
}
