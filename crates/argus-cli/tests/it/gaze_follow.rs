//! `argus gaze` that goes with what happens: children, programs that come back, load, a changed
//! configuration.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::observed::{Home, Running, Stranger, eventually};

const RUNS: &str = "SELECT c.pid, c.exit_code, p.pid AS parent, c.command_line
    FROM process_runs AS c
    LEFT JOIN process_runs AS p ON p.pid = c.parent_pid AND p.start_ticks = c.parent_start_ticks
    WHERE NOT c.observer ORDER BY c.start_ticks, c.pid";

#[test]
fn children_have_runs_of_their_own_with_their_parents() {
    let home = Home::new();
    let gate = home.path("gate");
    let command = format!(
        "sh -c 'while [ ! -e {gate} ]; do sleep 0.01; done; \
             sh -c \"sleep 0.15; exit 5\"; sh -c \"sleep 0.15 & wait; exit 6\"; exit 7'",
        gate = gate.display()
    );
    let stranger = Stranger::run(&home.path(""), &command);
    let pid = stranger.pid.to_string();
    let arguments = [
        "gaze",
        "--pid",
        &pid,
        "--interval",
        "0.1",
        "--follow-children",
    ];
    let mut gaze = Running::start(home.collected(&arguments));
    gaze.wait_for("[Gaze] Timestamp: ");
    fs::write(gate, "").unwrap();
    let (code, said, errors) = gaze.finish();
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    let runs = home.rows(RUNS);
    let run = |end: &str| {
        let is_it = |run: &&Value| run["command_line"].as_str().unwrap().ends_with(end);
        runs.iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{end}: {runs:?}"))
    };
    let root = runs.iter().find(|run| run["pid"] == stranger.pid).unwrap();
    assert_eq!(root["exit_code"], 7);
    for (end, code) in [("exit 5", 5), ("exit 6", 6)] {
        let child = run(end);
        assert_eq!(
            (&child["exit_code"], &child["parent"]),
            (&code.into(), &root["pid"])
        );
    }
    let of = |parent: &Value| runs.iter().filter(|run| run["parent"] == *parent).count();
    assert_eq!(of(&run("exit 6")["pid"]), 1, "a grandchild");
    assert!(said.contains(&format!("parent {pid}")), "{said}");
}

#[test]
fn a_program_that_comes_back_is_watched_again() {
    let home = Home::new();
    let folder = home.path("");
    let name = format!("argus-back-{:05}", std::process::id());
    fs::copy("/bin/sleep", home.path(&name)).unwrap();
    let start = || {
        let stranger = Stranger::run(&folder, &format!("./{name} 60"));
        stranger.wait_for_name(&name[..15]);
        stranger
    };
    let first = start();
    let arguments = [
        "gaze",
        "--process",
        &name,
        "--interval",
        "0.1",
        "--follow-restarts",
    ];
    let mut gaze = Running::start(home.collected(&arguments));
    gaze.wait_for("[Gaze] Metrics (");
    first.kill(Signal::KILL);
    gaze.wait_for("[Gaze] Waiting (");
    let second = start();
    gaze.wait_for(&format!("PID {}, down for ", second.pid));
    gaze.wait_for("[Gaze] Metrics (");
    gaze.signal(Signal::INT);
    let (code, said, errors) = gaze.finish();
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    let events = home.rows(
        "SELECT process_id, event_type, exit_code, json_extract(detail, '$.down_ms') AS down
         FROM process_events ORDER BY id",
    );
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["process_id"].as_u64(),
                event["event_type"].as_str().unwrap(),
            )
        })
        .collect();
    let (first, second) = (Some(u64::from(first.pid)), Some(u64::from(second.pid)));
    let expected = [
        (first, "monitoring_started"),
        (first, "terminated"),
        (second, "restarted"),
        (second, "monitoring_stopped"),
    ];
    assert_eq!(told, expected);
    assert_eq!(events[1]["exit_code"], -9);
    assert!(events[2]["down"].as_u64().is_some());
}

#[test]
fn an_idle_program_is_sampled_seldom_and_a_busy_one_at_once() {
    let home = Home::new();
    let gate = home.path("gate");
    let command = format!(
        "sh -c 'while [ ! -e {} ]; do sleep 0.5; done; while :; do :; done'",
        gate.display()
    );
    let stranger = Stranger::run(&home.path(""), &command);
    let pid = stranger.pid.to_string();
    let arguments = ["gaze", "--pid", &pid, "--interval", "0.2", "--adaptive"];
    let mut gaze = Running::start(home.collected(&arguments));
    gaze.wait_for("[Gaze] Metrics: CPU=");
    let intervals = |condition: &str| {
        let query = format!(
            "SELECT interval_seconds AS seconds FROM performance_metrics
             WHERE interval_seconds {condition}"
        );
        (!home.rows(&query).is_empty()).then_some(())
    };
    eventually("it idles", || intervals("> 1.1"));
    fs::write(gate, "").unwrap();
    eventually("it is busy", || intervals("< 0.021"));
    stranger.kill(Signal::KILL);
    assert_eq!(gaze.finish().0, 0);
}

fn write_config(path: &Path, targets: &[(&str, &Stranger)]) {
    let mut text = "interval = 0.1\n".to_owned();
    for (name, stranger) in targets {
        text += &format!("[[target]]\nname = '{name}'\npid = {}\n", stranger.pid);
    }
    fs::write(path, text).unwrap();
}

#[test]
fn a_service_reads_its_configuration_again() {
    let home = Home::new();
    let config = home.path("gaze.toml");
    let strangers = [(); 3].map(|()| Stranger::sleeping(&home.path("")));
    let [one, two, three] = &strangers;
    write_config(&config, &[("One", one), ("Two", two)]);
    let arguments = ["gaze", "--config", config.to_str().unwrap()];
    let mut gaze = Running::start(home.collected(&arguments));
    gaze.wait_for("[Gaze] Timestamp: ");
    write_config(&config, &[("Two", two), ("Three", three)]);
    gaze.signal(Signal::HUP);
    gaze.wait_for("[Gaze] Starting monitoring: Three");
    fs::write(&config, "nonsense = 1\n").unwrap();
    gaze.signal(Signal::HUP);
    two.kill(Signal::TERM);
    gaze.wait_for("[Gaze] Process terminated (exit code: -15) (Two ");
    gaze.signal(Signal::TERM);
    let (code, said, errors) = gaze.finish();
    assert_eq!(code, 0, "{said}");
    assert!(
        errors.contains("line 1: unknown key `nonsense`"),
        "{errors}"
    );
    assert!(errors.contains("everything stays as it is"), "{errors}");
    let events = |app: &str| {
        let query = format!(
            "SELECT group_concat(event_type, ' ') AS events FROM process_events
             WHERE app_name = '{app}'"
        );
        home.rows(&query)[0]["events"].clone()
    };
    assert_eq!(events("One"), "monitoring_started monitoring_stopped");
    assert_eq!(
        events("Two"),
        "monitoring_started terminated",
        "not disturbed"
    );
    assert_eq!(events("Three"), "monitoring_started monitoring_stopped");
}

#[test]
fn a_unit_for_systemd_is_printed() {
    let home = Home::new();
    let arguments = ["gaze", "--config", "/etc/argus/gaze.toml", "--print-unit"];
    let (code, said, _) = home.start(&arguments).finish();
    assert_eq!(code, 0);
    for line in [
        "Type=notify",
        "ExecReload=kill -HUP $MAINPID",
        "Restart=always",
    ] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    let (code, _, errors) = home.start(&["gaze", "--print-unit"]).finish();
    assert_eq!(code, 2);
    assert!(errors.contains("--config FILE --print-unit"), "{errors}");
}
