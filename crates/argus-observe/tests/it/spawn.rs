//! Programs that start, and programs that do not. How their streams pass through is tested with
//! the real command, whose standard streams can be somebody's else.

use argus_observe::child::{Child, FORWARDED, Launch, SpawnError, Streams};
use argus_observe::platform::Signals;

fn launch(program: &str, arguments: &[&str]) -> Launch {
    Launch {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        environment: vec![("ARGUS_IT".into(), "handed over".into())],
    }
}

fn run(program: &str, arguments: &[&str]) -> (i32, Vec<String>) {
    let signals = Signals::collect(&FORWARDED).unwrap();
    let child = Child::spawn(&launch(program, arguments), Streams::Pipes, &signals).unwrap();
    let mut lines = Vec::new();
    let ended = child
        .relay(&mut |source, line| {
            lines.push(format!("{source:?}: {}", line.text));
        })
        .unwrap();
    lines.sort();
    (ended.code, lines)
}

#[test]
fn lines_and_exit_code_of_a_program_are_handed_over() {
    let script = "echo $ARGUS_IT; echo oops >&2; printf unfinished; exit 7";
    let (code, lines) = run("sh", &["-c", script]);
    assert_eq!(code, 7);
    assert_eq!(
        lines,
        ["Stderr: oops", "Stdout: handed over", "Stdout: unfinished"]
    );
}

#[test]
fn a_signal_that_ends_a_program_is_its_negative_number() {
    assert_eq!(run("sh", &["-c", "kill -9 $$"]).0, -9);
}

#[test]
fn a_program_starts_with_nothing_blocked_or_ignored() {
    let (_, lines) = run("grep", &["-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
    // Whoever runs the tests may ignore signals for everybody (`nohup`, a CI runner).
    let blocked = lines.iter().find(|line| line.contains("SigBlk")).unwrap();
    assert!(blocked.ends_with("\t0000000000000000"), "{lines:?}");
}

#[test]
fn a_program_that_ends_at_once_is_still_described() {
    let signals = Signals::collect(&FORWARDED).unwrap();
    let child = Child::spawn(&launch("true", &["x"]), Streams::Pipes, &signals).unwrap();
    let target = child.target();
    assert!(target.pid > 0 && target.start_ticks > 0);
    assert_eq!(target.command_line, "true x");
    assert_eq!(child.relay(&mut |_, _| {}).unwrap().code, 0);
}

#[test]
fn what_is_not_there_and_what_cannot_run_are_told_apart() {
    let signals = Signals::collect(&FORWARDED).unwrap();
    let missing = Child::spawn(
        &launch("argus-it-no-such-command", &[]),
        Streams::Pipes,
        &signals,
    );
    assert!(matches!(missing, Err(SpawnError::NotFound(_))));
    let folder = Child::spawn(&launch("/", &[]), Streams::Pipes, &signals);
    assert!(matches!(folder, Err(SpawnError::NotExecutable { .. })));
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let plain = Child::spawn(&launch(path, &[]), Streams::Pipes, &signals);
    assert!(matches!(plain, Err(SpawnError::NotExecutable { .. })));
}
