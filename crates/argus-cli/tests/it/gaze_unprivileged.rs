//! `argus gaze` run by a user without any right: it watches what it may, and what it may not see is
//! unknown, in the store and on the screen, and never 0.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::nobody::Nobody;
use crate::observed::{Running, Stranger, eventually};

/// The measures that the kernel shows to a process's owner only.
const PRIVATE: [&str; 2] = ["disk_read_bytes", "disk_written_bytes"];

fn argus(nobody: &Nobody, arguments: &[&str]) -> Command {
    let mut command = nobody.command(nobody.argus());
    command.args(arguments);
    command
        .env("ARGUS_HOME", nobody.path("home"))
        .env_remove("ARGUS_DB");
    command.env("ARGUS_COLLECTOR", "off").stdin(Stdio::null());
    command
}

/// What the last measurement of `pid` says in the store, and on the screen. The first has no rates.
fn watched(nobody: &Nobody, pid: u32) -> (Value, String) {
    let words = [
        "gaze",
        "--details",
        "--interval",
        "0.1",
        "--pid",
        &pid.to_string(),
    ];
    let mut gaze = Running::start(argus(nobody, &words));
    gaze.wait_for("[Gaze] Details: ");
    let details = gaze.wait_for("[Gaze] Details: ");
    gaze.signal(Signal::INT);
    let (code, said, _) = gaze.finish();
    assert_eq!(code, 0, "{said}");
    let drained = argus(nobody, &["collector", "--idle-exit", "0.1"]).status();
    assert!(drained.unwrap().success());
    let last = "SELECT * FROM performance_metrics WHERE minor_faults IS NOT NULL
                ORDER BY id DESC LIMIT 1";
    let output = argus(nobody, &["query", "--json", last]).output().unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    (rows[0].clone(), details)
}

#[test]
fn what_the_kernel_hides_is_unknown_and_shown_so() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: only root has a process that others may not look into");
        return;
    }
    let nobody = Nobody::new();
    let stranger = Stranger::sleeping(&std::env::temp_dir());
    let (sample, details) = watched(&nobody, stranger.pid);
    for column in PRIVATE {
        assert_eq!(sample[column], Value::Null, "{column}: {sample}");
    }
    assert!(sample["memory_mb"].as_f64().unwrap() > 0.0, "{sample}");
    assert_eq!(sample["thread_count"], 1, "{sample}");
    assert!(details.contains("| Read=– | Written=– |"), "{details}");
}

#[test]
fn ones_own_process_is_seen_whole_without_any_right() {
    let nobody = Nobody::new();
    let mut sleep = nobody.command("sleep").arg("60").spawn().unwrap();
    let pid = sleep.id();
    let comm = format!("/proc/{pid}/comm");
    eventually("it has its name", || {
        (std::fs::read_to_string(&comm).unwrap() == "sleep\n").then_some(())
    });
    let (sample, details) = watched(&nobody, pid);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    for column in PRIVATE {
        assert!(sample[column].is_u64(), "{column}: {sample}");
    }
    assert!(
        details.contains("| Read=0 B/s | Written=0 B/s |"),
        "{details}"
    );
}

/// The exit code belongs to what the kernel tells everybody.
#[test]
fn the_end_of_somebody_elses_process_is_noticed() {
    let nobody = Nobody::new();
    let stranger = Stranger::sleeping(&std::env::temp_dir());
    let words = ["gaze", "--pid", &stranger.pid.to_string()];
    let mut gaze = Running::start(argus(&nobody, &words));
    gaze.wait_for("[Gaze] Metrics: ");
    stranger.kill(Signal::TERM);
    let (code, said, _) = gaze.finish();
    assert_eq!(code, 0, "{said}");
    let known = "[Gaze] Process terminated (exit code: -15)";
    let unknown = "[Gaze] Process terminated (exit code: unknown)";
    assert!(said.contains(known) || said.contains(unknown), "{said}");
}
