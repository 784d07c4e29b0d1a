//! `argus watch` on a real terminal: what it shows, its keys, and that the terminal is given back.

use argus_store::Batch;

use crate::pty::Terminal;
use crate::recording::{Recording, command, introduction, open_span};

fn watch(recording: &Recording) -> Terminal {
    let mut command = command(&recording.database());
    command.arg("watch");
    Terminal::start(&command)
}

fn with_open_calls() -> Recording {
    Recording::of(&Batch {
        opened: vec![open_span(1, "prices.outer"), open_span(2, "prices.wait")],
        ..introduction()
    })
}

#[test]
fn open_calls_stand_on_the_screen() {
    let recording = with_open_calls();
    let terminal = watch(&recording);
    let text = terminal.wait_for_text("prices.wait");
    for word in ["prices.outer", "4711", "MainThread"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
    terminal.wait_for("the alternate screen", |screen| {
        screen.alternate_screen() && screen.hide_cursor()
    });
}

#[test]
fn help_and_pause_come_and_go_and_q_gives_the_terminal_back() {
    let recording = with_open_calls();
    let mut terminal = watch(&recording);
    terminal.wait_for_text("prices.wait");
    terminal.press("?");
    terminal.wait_for_text("this help");
    terminal.press("?");
    terminal.wait_for("the screen below", |screen| {
        !screen.contents().contains("this help")
    });
    terminal.press(" ");
    terminal.wait_for_text("PAUSED");
    terminal.press(" ");
    terminal.wait_for("time going on", |screen| {
        !screen.contents().contains("PAUSED")
    });
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    terminal.assert_restored();
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let recording = with_open_calls();
    let mut terminal = watch(&recording);
    terminal.wait_for_text("prices.wait");
    terminal.terminate();
    terminal.wait_for_exit();
    terminal.assert_restored();
}

#[test]
fn what_is_recorded_later_appears() {
    let recording = Recording::missing();
    let mut terminal = watch(&recording);
    terminal.wait_for("an empty screen that says what to do", |screen| {
        screen.alternate_screen() && screen.contents().contains("argus run")
    });
    let mut sink = argus_store::open_writer(&recording.database()).unwrap();
    let batch = Batch {
        opened: vec![open_span(1, "prices.wait")],
        ..introduction()
    };
    sink.commit(&batch).unwrap();
    terminal.wait_for_text("prices.wait");
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    terminal.assert_restored();
}

#[test]
fn without_a_terminal_it_is_refused() {
    let answer = with_open_calls().argus(&["watch"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    insta::assert_snapshot!(answer.stderr, @r"
    argus: the live screen needs a terminal
    hint: argus status --json
    ");
}

#[test]
fn a_store_that_cannot_be_used_is_refused_before_the_screen_is_taken() {
    let recording = Recording::missing();
    std::fs::write(recording.database(), "no database".repeat(500)).unwrap();
    let mut terminal = watch(&recording);
    assert_eq!(terminal.wait_for_exit().code(), Some(3));
    terminal.wait_for_text("is damaged or not an Argus store");
    assert!(!terminal.written().contains("\x1b[?1049h"));
    terminal.assert_restored();
}
