//! Tables on a real terminal: colours, `NO_COLOR`, and the width of the window.

use argus_store::Batch;

use crate::logs::line;
use crate::pty::Terminal;
use crate::recording::{Recording, command, introduction, log};

/// Stands in the last row of every recording here.
const END: &str = "boom";

/// What `argus <listing>` writes to a terminal, with this variable set.
fn written(recording: &Recording, listing: &str, variable: Option<(&str, &str)>) -> String {
    let mut command = command(&recording.database());
    command.arg(listing).envs(variable);
    let mut terminal = Terminal::start(&command);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    terminal.wait_for("the end of its output", |screen| {
        screen.contents().contains(END)
    });
    terminal.written()
}

#[test]
fn colours_appear_on_a_terminal_only() {
    let recording = Recording::sample();
    assert!(written(&recording, "traces", None).contains("\x1b[31mERR\x1b[0m"));
    assert!(!recording.argus(&["traces"]).stdout.contains('\x1b'));
}

#[test]
fn levels_have_their_tones() {
    let recording = Recording::of(&Batch {
        logs: vec![
            line(400, "WARN", "slow"),
            line(300, "DEBUG", "details"),
            line(200, "ERROR", END),
        ],
        ..introduction()
    });
    let text = written(&recording, "logs", None);
    for toned in [
        "\x1b[33mWARN\x1b[0m",
        "\x1b[2mDEBUG\x1b[0m",
        "\x1b[31mERROR\x1b[0m",
    ] {
        assert!(text.contains(toned), "{text:?}");
    }
    let text = written(&recording, "logs", Some(("NO_COLOR", "1")));
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn no_color_is_obeyed() {
    let recording = Recording::sample();
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = written(&recording, "traces", Some(variable));
        assert!(!text.contains('\x1b'), "{variable:?}: {text:?}");
    }
}

#[test]
fn a_row_never_wraps() {
    let recording = Recording::of(&Batch {
        logs: vec![log(&format!("boom {}", "long ".repeat(100)))],
        ..introduction()
    });
    let text = written(&recording, "logs", Some(("NO_COLOR", "1")));
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert_eq!(widest, Some(100), "{text}");
    assert!(text.contains('…'));
}

#[test]
fn a_long_search_tells_how_far_it_has_come() {
    let recording = Recording::haystack();
    let search = ["traces", "--search", "needle"];
    let mut command = command(&recording.database());
    command.args(search);
    let mut terminal = Terminal::start(&command);
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    terminal.wait_for("what was found", |screen| {
        screen.contents().matches("needle()").count() == 2
    });
    let text = terminal.written();
    let told = "searching: 20,000 of 45,000 calls, 1 found";
    assert!(text.contains(told), "{text:?}");
    // It is gone in the end, and nobody but a person is told.
    terminal.wait_for("no progress any more", |screen| {
        !screen.contents().contains("searching")
    });
    assert_eq!(recording.argus(&search).stderr, "");
}
