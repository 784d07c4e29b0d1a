//! `argus run`: the program behaves as if it were alone, and its life is recorded.

use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;

use crate::observed::{Home, eventually};
use crate::pty::Terminal;

/// Runs a shell script under Argus: exit code, standard output, standard error.
fn run(home: &Home, script: &str) -> (i32, Vec<u8>, String) {
    let output = home
        .command(&["run", "--", "sh", "-c", script])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), output.stdout, error)
}

#[test]
fn the_exit_code_is_the_programs() {
    for code in [0, 1, 7, 255] {
        assert_eq!(run(&Home::new(), &format!("exit {code}")).0, code);
    }
    let home = Home::new();
    assert_eq!(run(&home, "kill -9 $$").0, 128 + 9);
    let events = home.recorded().events;
    let expected = [("started", None), ("terminated", Some(-9))];
    assert_eq!(
        events,
        expected.map(|(event, code)| (event.to_owned(), code))
    );
}

#[test]
fn a_command_that_is_not_there_or_cannot_run_says_so() {
    let home = Home::new();
    let (code, _, error) = home.start(&["run", "argus-no-such-command"]).finish();
    assert_eq!(code, 127);
    assert_eq!(error, "argus: command not found: argus-no-such-command\n");
    let plain = home.path("plain");
    std::fs::write(&plain, "no program").unwrap();
    let arguments = ["run", plain.to_str().unwrap()];
    let (code, _, error) = home.start(&arguments).finish();
    assert_eq!(code, 126);
    assert!(error.starts_with("argus: not executable: "), "{error}");
    assert_eq!(home.start(&["run"]).finish().0, 2);
}

#[test]
fn streams_pass_through_unchanged_and_are_kept_as_log_entries() {
    let home = Home::new();
    let (code, out, error) = run(&home, "printf 'a\\nb \\377\\0c'; echo oops >&2");
    assert_eq!(code, 0);
    assert_eq!(out, b"a\nb \xff\0c");
    assert!(error.starts_with("oops\n"), "{error}");
    let mut lines = home.recorded().lines;
    lines.sort();
    let expected = [
        ("Stderr", "oops"),
        ("Stdout", "a"),
        ("Stdout", "b \u{fffd}\0c"),
    ];
    let expected =
        expected.map(|(source, line)| (source.to_owned(), String::new(), line.to_owned()));
    assert_eq!(lines, expected);
}

#[test]
fn large_output_passes_whole() {
    let home = Home::new();
    let (code, out, _) = run(&home, "seq 1 200000");
    assert_eq!(code, 0);
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(out, expected.as_bytes());
    assert_eq!(home.recorded().lines.len(), 200_000);
}

#[test]
fn standard_input_is_the_programs() {
    let home = Home::new();
    let mut child = home
        .command(&["run", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"through and through").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"through and through");
}

#[test]
fn the_program_is_told_where_to_record() {
    let home = Home::new();
    let script = "echo $ARGUS_DB; echo $ARGUS_APP_NAME; echo $ARGUS_BIN";
    let arguments = ["run", "--app-name", "Terrain", "--", "sh", "-c", script];
    let (_, said, _) = home.start(&arguments).finish();
    let told: Vec<_> = said.lines().collect();
    assert_eq!(told[0], home.data().database().to_str().unwrap());
    assert_eq!(told[1], "Terrain");
    assert_eq!(told[2], env!("CARGO_BIN_EXE_argus"));
    assert_eq!(home.recorded().subject.1, "Terrain");
}

#[test]
fn without_a_name_the_application_is_called_like_the_program() {
    let home = Home::new();
    run(&home, "true");
    assert_eq!(home.recorded().subject.1, "sh");
}

#[test]
fn signals_reach_the_program_which_decides() {
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::USR1, "USR1"),
    ] {
        let home = Home::new();
        let script =
            format!("trap 'echo got it; exit 9' {name}; echo ready; while :; do sleep 0.05; done");
        let mut running = home.start(&["run", "--", "sh", "-c", &script]);
        running.wait_for("ready");
        running.signal(signal);
        let (code, said, _) = running.finish();
        assert_eq!((code, said.as_str()), (9, "ready\ngot it"), "{name}");
    }
}

#[test]
fn a_signal_that_the_program_dies_of_is_its_exit_code() {
    let home = Home::new();
    let mut running = home.start(&["run", "--", "sh", "-c", "echo ready; exec sleep 60"]);
    running.wait_for("ready");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().0, 128 + 15);
}

#[test]
fn when_nobody_reads_any_more_the_program_learns_it() {
    let home = Home::new();
    let argus = env!("CARGO_BIN_EXE_argus");
    let script = format!("{argus} run -- yes | head -n 1");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("ARGUS_HOME", home.path(""))
        .env("ARGUS_COLLECTOR", "off")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"y\n");
    let ending = eventually("it has ended", || {
        let mut events = home.recorded().events;
        (events.len() == 2).then(|| events.pop())?
    });
    assert_eq!(ending, ("terminated".to_owned(), Some(-13)));
}

#[test]
fn the_program_is_measured() {
    let home = Home::new();
    run(&home, "sleep 0.5");
    let samples = home.recorded().samples;
    assert!(!samples.is_empty());
    assert!(
        samples
            .iter()
            .all(|(_, rss, threads)| *rss > 0 && *threads == 1)
    );
}

#[test]
fn a_log_file_is_followed_as_well() {
    let home = Home::new();
    let log = home.path("app.log");
    std::fs::write(&log, "from before\n").unwrap();
    let log = log.to_str().unwrap();
    let script = format!("echo kept >> {log}; sleep 0.1");
    let arguments = ["run", "--logfile", log, "--", "sh", "-c", &script];
    assert_eq!(home.start(&arguments).finish().0, 0);
    let expected = ("File".to_owned(), log.to_owned(), "kept".to_owned());
    assert_eq!(home.recorded().lines, [expected]);
}

// With a terminal.

#[test]
fn in_a_terminal_the_program_has_one_too() {
    let home = Home::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && echo all three; stty size; \
        echo < /dev/tty && echo controlled";
    let mut terminal = Terminal::start(&home.command(&["run", "--", "sh", "-c", script]));
    let text = terminal.wait_for_text("controlled");
    assert!(text.contains("all three\n30 100\n"), "{text}");
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    terminal.assert_restored();
    let texts = home.recorded().lines;
    assert!(texts.contains(&("Stdout".into(), String::new(), "all three".into())));
}

#[test]
fn keys_reach_the_program_and_control_c_interrupts_it() {
    let home = Home::new();
    let script = "read line; echo \"read $line\"; trap 'echo interrupted; exit 5' INT; \
        echo armed; while :; do sleep 0.05; done";
    let mut terminal = Terminal::start(&home.command(&["run", "--", "sh", "-c", script]));
    terminal.press("hello\n");
    terminal.wait_for_text("read hello");
    terminal.wait_for_text("armed");
    terminal.press("\u{3}");
    terminal.wait_for_text("interrupted");
    assert_eq!(terminal.wait_for_exit().code(), Some(5));
    terminal.assert_restored();
}

#[test]
fn the_terminal_is_restored_when_the_program_leaves_it_raw_or_is_killed() {
    let home = Home::new();
    let script = "stty raw -echo; echo gone raw; kill -9 $$";
    let mut terminal = Terminal::start(&home.command(&["run", "--", "sh", "-c", script]));
    terminal.wait_for_text("gone raw");
    assert_eq!(terminal.wait_for_exit().code(), Some(128 + 9));
    terminal.assert_restored();
}
