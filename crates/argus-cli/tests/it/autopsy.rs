//! `argus autopsy`, and the report that `argus run` prints of a program that died badly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use argus_model::{SpanKey, SpanNumber};
use argus_store::Batch;
use argus_store::batch::*;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::observed::{Home, Running, Stranger, eventually};
use crate::recording::{
    Recording, before, introduction, open_span, producer, sample, span, subject,
};

/// The sample, with a deeper stack, a child, and an end.
fn crashed() -> Batch {
    let mut batch = sample();
    let inner = |number, parent, name: &str, started| OpenSpan {
        parent: SpanNumber(parent),
        started_at: before(started),
        captured: Some(r#"{"i":{"book":"'oil'"}}"#.into()),
        ..open_span(number, name)
    };
    batch.opened = vec![
        inner(4, 0, "prices.main", 700),
        inner(5, 4, "prices.wait", 300),
    ];
    let mut elsewhere = inner(6, 0, "prices.tick", 50);
    elsewhere.thread = Arc::new(Thread {
        tid: 4712,
        name: "ticker".into(),
    });
    batch.opened.push(elsewhere);
    batch.process_events.push(ProcessEventRow {
        at: before(450),
        event_type: "alert_started".into(),
        detail: Some(r#"{"alert":"cpu"}"#.into()),
        ..batch.process_events[0].clone()
    });
    batch.process_events.push(ProcessEventRow {
        at: before(0),
        event_type: "terminated".into(),
        exit_code: Some(-9),
        detail: Some(r#"{"cause":"oom_kill","evidence":"kernel_log","core_dumped":false}"#.into()),
        ..batch.process_events[0].clone()
    });
    let mut child = (*subject()).clone();
    child.run.pid = 4800;
    child.command_line = "python3 worker.py".into();
    child.parent = Parent::known(producer().pid, producer().start_ticks);
    batch.process_events.push(ProcessEventRow {
        at: before(800),
        subject: Arc::new(child),
        ..batch.process_events[0].clone()
    });
    batch.ends.push(ProducerEnd {
        producer: producer(),
        at: before(0),
        ending: Ending::Exit(Some(-9)),
    });
    batch
}

#[test]
fn a_crash_is_told_on_one_page() {
    let answer = Recording::of(&crashed()).argus(&["autopsy"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(
        answer.stderr,
        "run 1, the one that ended last; argus autopsy RUN names another\n"
    );
    insta::assert_snapshot!(answer.stdout, @r#"
    prices (pid 4711) was killed by the kernel: out of memory
      the kernel's log says so
      run      1
      command  python3 prices.py
      host     here
      started  2026-01-27 14:23:43.123
      ended    2026-01-27 14:23:45.123, after 2.00 s

    OPEN WHEN IT DIED: 3 calls in 2 threads
    ELAPSED  CALL
             MainThread 4711
     700 ms    prices.main(book='oil')
     300 ms      prices.wait(book='oil')
             ticker 4712
    50.0 ms    prices.tick(book='oil')

    FAILED IN THE LAST MINUTE: 1 call
    ENDED         DURATION  CALL
    14:23:44.423   4.50 ms  prices.load() ✗ ValueError: boom

    LAST MINUTE
                                    LAST    LOWEST      MEAN   HIGHEST
    CPU                           12.5 %    12.5 %    12.5 %    12.5 %  █
    memory                      64.0 MiB  64.0 MiB  64.0 MiB  64.0 MiB  █
    threads                            3         3         3         3  █
    queue_depth {queue=orders}         7         7         7         7  █

    EVENTS OF THE LAST MINUTE
    TIME          EVENT          DETAIL
    14:23:43.123  started
    14:23:44.673  alert_started  {"alert":"cpu"}

    LOG: 2 LINES
    TIME          SOURCE  LINE
    14:23:44.623  stdout  started
    14:23:44.623  stdout  out of oil

    STILL ALIVE: 1 child
     PID  APP     STARTED                  COMMAND
    4800  prices  2026-01-27 14:23:44.323  python3 worker.py

    LOST
    3 of 12 records are missing: 2 ordinary ones and 1 errors found no room, 0 are damaged, 0 of an unknown kind
    "#);
}

#[test]
fn the_same_as_json_is_what_help_says() {
    let told = Recording::of(&crashed()).json(&["autopsy", "4711"]);
    assert_eq!(
        told["end"],
        json!({
            "at": "2026-01-27T14:23:45.123456789Z", "exit_code": -9, "signal": "SIGKILL",
            "cause": "oom_kill", "evidence": "kernel_log", "core_dumped": false,
        })
    );
    assert_eq!(
        (&told["alive"], &told["others"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(told["lived_ms"], json!(2_000.0));
    let open = told["open"].as_array().unwrap();
    let names: Vec<_> = open
        .iter()
        .map(|it| (&it["process"], &it["depth"]))
        .collect();
    let expected = [
        (&json!("prices.main"), &json!(0)),
        (&json!("prices.wait"), &json!(1)),
        (&json!("prices.tick"), &json!(0)),
    ];
    assert_eq!(names, expected);
    assert_eq!(open[1]["arguments"], json!({"book": "'oil'"}));
    assert_eq!(
        (&open[1]["elapsed_ms"], &open[1]["parent"]),
        (&json!(300.0), &json!(4))
    );
    let length = |key: &str| told[key].as_array().unwrap().len();
    assert_eq!(
        length("failed"),
        1,
        "those that were open stand among the open ones"
    );
    assert_eq!(
        (length("logs"), length("samples"), length("metrics")),
        (2, 1, 1)
    );
    assert_eq!(
        (length("events"), length("children"), length("cut")),
        (3, 1, 0)
    );
    assert_eq!(told["children"][0]["pid"], json!(4800));
    assert_eq!(told["records"]["lost"], json!(3));
    assert_eq!(told["run"]["command_line"], json!("python3 prices.py"));
    let help = Recording::missing().argus(&["autopsy", "--help"]).stdout;
    for key in told.as_object().unwrap().keys() {
        assert!(
            help.contains(&format!("\"{key}\"")),
            "{key} is not documented"
        );
    }
}

#[test]
fn a_run_is_found_by_pid_id_and_name() {
    let recording = Recording::of(&crashed());
    let pid = |words: &str| recording.json(&["autopsy", words])["run"]["pid"].clone();
    for words in [
        "4711",
        "1",
        "run:1",
        "pid:4711",
        "prices",
        "app:prices",
        "python3",
    ] {
        assert_eq!(pid(words), json!(4711), "{words}");
    }
    assert_eq!((pid("2"), pid("4800")), (json!(4800), json!(4800)));
    let answer = recording.argus(&["autopsy", "prices"]);
    assert_eq!(
        answer.stderr,
        "run 1, the last one called prices that ended; 1 other run called so\n"
    );
    for words in ["4712", "run:99", "prices2", "pid:4712"] {
        let answer = recording.argus(&["autopsy", words]);
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{words}");
        assert_eq!(
            answer.stderr,
            format!(
                "argus: no run is called \"{words}\"\n\
                 hint: argus status   (names the programs that were recorded)\n"
            )
        );
    }
}

#[test]
fn a_living_run_is_told_to_live_and_what_it_does() {
    let recording = Recording::sample();
    let answer = recording.argus(&["autopsy"]);
    let mut lines = answer.stdout.lines();
    assert_eq!(lines.next(), Some("prices (pid 4711) lives"));
    assert!(
        answer.stdout.contains("\nOPEN NOW: 1 call in 1 thread\n"),
        "{answer:?}"
    );
    assert!(answer.stdout.contains("  prices.wait()\n"), "{answer:?}");
    assert_eq!(answer.stderr, "run 1, the last one; none has ended yet\n");
    let told = recording.json(&["autopsy", "4711"]);
    assert_eq!((&told["alive"], &told["end"]), (&json!(true), &json!(null)));
}

#[test]
fn an_unknown_end_is_said_to_be_unknown() {
    let mut batch = introduction();
    batch.ends.push(ProducerEnd {
        producer: producer(),
        at: before(0),
        ending: Ending::Exit(None),
    });
    let recording = Recording::of(&batch);
    let answer = recording.argus(&["autopsy", "4711"]);
    assert!(
        answer
            .stdout
            .starts_with("prices (pid 4711) ended; how is unknown\n"),
        "{answer:?}"
    );
    let end = &recording.json(&["autopsy"])["end"];
    assert_eq!(
        (
            &end["exit_code"],
            &end["signal"],
            &end["cause"],
            &end["core_dumped"]
        ),
        (&json!(null), &json!(null), &json!("unknown"), &json!(null))
    );
}

#[test]
fn a_store_without_runs_has_nothing_to_tell() {
    let empty = Recording::of(&Batch::default());
    let answer = empty.argus(&["autopsy"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert_eq!(
        answer.stderr,
        "argus: no program has been recorded yet\n\
         hint: argus run -- COMMAND   (records a program)\n"
    );
}

#[test]
fn a_deep_stack_and_foreign_text_stay_on_the_page() {
    let nasty = "\x1b]0;owned\x07\u{202e}evil\r\x1b[2J";
    let mut batch = introduction();
    batch.opened = (1..=3_000)
        .map(|number| OpenSpan {
            parent: SpanNumber(number - 1),
            ..open_span(number, nasty)
        })
        .collect();
    batch.ended = vec![SpanRow {
        status: Status::Err,
        exception: Some(nasty.into()),
        key: SpanKey {
            producer: producer(),
            number: SpanNumber(5_000),
        },
        ..span(1, nasty)
    }];
    batch.ends.push(ProducerEnd {
        producer: producer(),
        at: before(0),
        ending: Ending::Exit(Some(1)),
    });
    let recording = Recording::of(&batch);
    let answer = recording.argus(&["autopsy"]);
    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!answer.stdout.contains(steers), "{:?}", answer.stdout);
    assert!(
        answer.stdout.contains("… 2,960 more …"),
        "{}",
        answer.stdout
    );
    assert!(answer.stdout.lines().count() < 60);
    assert_eq!(
        recording.json(&["autopsy"])["open"]
            .as_array()
            .unwrap()
            .len(),
        3_000
    );
}

// Real programs.

fn run(home: &Home, script: &str) -> (i32, String, String) {
    let arguments = ["run", "--app-name", "Short", "--", "sh", "-c", script];
    Running::start(home.collected(&arguments)).finish()
}

fn autopsy(home: &Home, which: &str) -> Value {
    let output = home
        .collected(&["autopsy", which, "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_program_that_a_signal_ends_is_reported_and_a_plain_code_is_not() {
    let home = Home::new();
    let (code, said, error) = run(&home, "echo out; echo err >&2; kill -SEGV $$");
    assert_eq!((code, said.as_str()), (128 + 11, "out"));
    let end = &autopsy(&home, "Short")["end"];
    assert_eq!(
        (&end["exit_code"], &end["signal"]),
        (&json!(-11), &json!("SIGSEGV"))
    );
    assert_eq!(
        (&end["cause"], &end["evidence"]),
        (&json!("signal"), &json!("exit_status"))
    );
    let dumped = if end["core_dumped"] == json!(true) {
        ", core dumped"
    } else {
        ""
    };
    let pid = &autopsy(&home, "Short")["run"]["pid"];
    let report = format!(
        "err\nargus: Short (pid {pid}) was killed by SIGSEGV (signal 11){dumped}\n\
         more: argus autopsy {pid}\n"
    );
    assert_eq!(error, report);
    for (script, expected) in [("exit 0", 0), ("exit 1", 1), ("kill -INT $$", 128 + 2)] {
        let (code, _, error) = run(&home, script);
        assert_eq!((code, error.as_str()), (expected, ""), "{script}");
    }
    let last = autopsy(&home, "");
    assert_eq!(last["end"]["exit_code"], json!(-2));
    assert_eq!(last["others"], json!(3));
}

#[test]
fn a_report_can_be_turned_off() {
    let home = Home::new();
    let arguments = ["run", "--no-autopsy", "--", "sh", "-c", "kill -9 $$"];
    let (code, _, error) = Running::start(home.collected(&arguments)).finish();
    assert_eq!((code, error.as_str()), (128 + 9, ""));
}

#[test]
fn whose_a_sigkill_was_stands_in_the_event() {
    let home = Home::new();
    let (_, _, error) = run(&home, "kill -9 $$");
    let end = &autopsy(&home, "Short")["end"];
    // Other tests have the kernel kill for want of memory, on this machine and just now.
    assert!(
        ["signal", "perhaps_oom_kill"].contains(&end["cause"].as_str().unwrap()),
        "{end}"
    );
    assert!(
        ["machine", "control_group"].contains(&end["evidence"].as_str().unwrap()),
        "{end}"
    );
    assert!(error.contains("was killed by SIGKILL"), "{error}");
}

#[test]
fn logs_and_vitals_of_a_real_program_are_told() {
    let home = Home::new();
    let lines = "for n in $(seq 60); do echo line $n; done; sleep 0.3; exit 3";
    assert_eq!(run(&home, lines).0, 3);
    let told = autopsy(&home, "Short");
    let logs = told["logs"].as_array().unwrap();
    assert_eq!((logs.len(), &logs[49]["line"]), (50, &json!("line 60")));
    assert_eq!(told["cut"], json!(["logs"]));
    assert!(!told["samples"].as_array().unwrap().is_empty());
    assert_eq!(told["end"]["cause"], json!("exit"));
    assert_eq!(told["run"]["instrumented"], json!(false));
}

#[test]
fn a_program_that_gaze_watched_is_told_by_its_pid_while_it_lives_and_after() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let arguments = ["gaze", "--pid", &pid, "--interval", "0.1"];
    let mut gaze = Running::start(home.collected(&arguments));
    gaze.wait_for("Metrics: CPU=");
    eventually("its run is stored", || {
        let asked = home.collected(&["autopsy", &pid]).output().unwrap();
        asked.status.success().then_some(())
    });
    assert_eq!(autopsy(&home, &pid)["alive"], json!(true));
    stranger.kill(Signal::TERM);
    assert_eq!(gaze.finish().0, 0);
    let told = autopsy(&home, &pid);
    assert_eq!(told["end"]["signal"], json!("SIGTERM"));
    assert!(told["lived_ms"].as_f64().unwrap() > 0.0);
    assert!(told["lived_ms"].as_f64().unwrap() < Duration::from_secs(60).as_secs_f64() * 1e3);
}

/// A control group with room for 32 MiB, which goes with the test; none where it cannot be made.
struct SmallGroup(PathBuf);

impl SmallGroup {
    fn make() -> Option<Self> {
        let name = format!("argus-run-{}", std::process::id());
        let hierarchies = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        for (root, limit) in hierarchies {
            let root = Path::new(root);
            let folder = root.join(&name);
            if !root.join("cgroup.procs").exists() || fs::create_dir(&folder).is_err() {
                continue;
            }
            // Refused by version 1, which has no such file, and needs none.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
            let group = Self(folder);
            if fs::write(group.0.join(limit), (32 << 20).to_string()).is_ok() {
                return Some(group);
            }
        }
        eprintln!("skipped: no memory control group can be made here");
        None
    }
}

impl Drop for SmallGroup {
    fn drop(&mut self) {
        eventually("the group is empty", || fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn a_program_that_ran_out_of_memory_is_told_from_one_that_was_killed() {
    let Some(group) = SmallGroup::make() else {
        return;
    };
    let home = Home::new();
    // Its collector must not be in the group, or it could not be removed.
    run(&home, "true");
    let inside = format!(
        "echo $$ > {}; exec \"$0\" \"$@\"",
        group.0.join("cgroup.procs").display()
    );
    let greedy = ["run", "--app-name", "Greedy", "--", "tail", "/dev/zero"];
    let argus = home.collected(&greedy);
    let mut command = Command::new("sh");
    command
        .args(["-c", &inside])
        .arg(argus.get_program())
        .args(argus.get_args())
        .envs(
            argus
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let (code, _, error) = Running::start(command).finish();
    assert_eq!(code, 128 + 9);
    let end = &autopsy(&home, "Greedy")["end"];
    assert_eq!(end["cause"], json!("oom_kill"), "{end}: {error}");
    assert!(
        error.contains(" was killed by the kernel: out of memory\n  the kernel"),
        "{error}"
    );
}
