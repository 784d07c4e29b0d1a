//! `argus gaze` with more than one process.

use rustix::process::Signal;

use crate::observed::{Home, Stranger};

/// Of the processes with a run: application name, exit code, how often they were measured.
const RUNS: &str = "SELECT app_name, exit_code,
        (SELECT count(*) > 0 FROM performance_metrics AS m WHERE m.run_id = r.id) AS measured,
        (SELECT group_concat(event_type) FROM process_events AS e WHERE e.run_id = r.id) AS events
    FROM process_runs AS r WHERE NOT observer ORDER BY pid";

#[test]
fn several_processes_are_watched_each_to_its_own_end() {
    let home = Home::new();
    let strangers = [(); 3].map(|()| Stranger::sleeping(&home.path("")));
    let pids: Vec<_> = strangers.iter().map(|s| s.pid.to_string()).collect();
    let mut arguments = vec!["gaze", "--interval", "0.05"];
    for pid in &pids {
        arguments.extend(["--pid", pid]);
    }
    let mut gaze = crate::observed::Running::start(home.collected(&arguments));
    for pid in &pids {
        gaze.wait_for(&format!("[Gaze] Metrics (sleep {pid}): CPU="));
    }
    for (stranger, signal) in strangers
        .iter()
        .zip([Signal::TERM, Signal::KILL, Signal::HUP])
    {
        stranger.kill(signal);
        let code = -signal.as_raw();
        gaze.wait_for(&format!(
            "[Gaze] Process terminated (exit code: {code}) (sleep {})",
            stranger.pid
        ));
    }
    let (code, said, errors) = gaze.finish();
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    assert!(said.contains("[Gaze] Processes terminated: 3"), "{said}");
    let mut ends: Vec<_> = strangers.iter().map(|s| s.pid).zip([-15, -9, -1]).collect();
    ends.sort_unstable();
    let runs = home.rows(RUNS);
    assert_eq!(runs.len(), 3);
    for (run, (_, code)) in runs.iter().zip(ends) {
        assert_eq!(run["app_name"], "sleep");
        assert_eq!(run["exit_code"], code);
        assert_eq!(run["measured"], 1);
        assert_eq!(run["events"], "monitoring_started,terminated");
    }
}

#[test]
fn a_process_named_twice_is_watched_once() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let mut gaze = home.start(&["gaze", "--pid", &pid, "--pid", &pid]);
    gaze.wait_for("[Gaze] Metrics: CPU=");
    stranger.kill(Signal::TERM);
    let (code, said, errors) = gaze.finish();
    assert_eq!(code, 0);
    assert!(
        errors.contains(&format!("process {pid} is named twice")),
        "{errors}"
    );
    assert!(
        said.contains("[Gaze] Process terminated (exit code: -15)"),
        "{said}"
    );
    let recorded = home.recorded();
    let events = ["monitoring_started", "terminated"].map(|event| event.to_owned());
    assert!(recorded.events.iter().map(|(event, _)| event).eq(&events));
}
