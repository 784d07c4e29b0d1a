//! Integration tests of spec/1: collect metrics, from processes at rest and under load.

use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::platform;
use argus_observe::sample::{FIRST_READING, Reading, Sampler};
use rustix::process::Signal;

use crate::stranger::{Stranger, eventually};

/// A Python program that is ready when it has renamed itself to its last argument's file.
fn python(body: &str) -> (tempfile::TempDir, Stranger) {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let program = folder.path().join("program.py");
    let text = format!("{body}\nopen({ready:?}, 'w').close()\nwork()\n");
    std::fs::write(&program, text).unwrap();
    let stranger = Stranger::run(&format!("exec python3 {}", program.display()));
    eventually("the program is ready", || ready.exists().then_some(()));
    (folder, stranger)
}

/// The reading over the first stretch of at least this length.
fn reading_after(sampler: &mut Sampler, stretch: Duration) -> Reading {
    let start = platform::monotonic_now();
    eventually("the stretch is over", || {
        (platform::monotonic_now().since(start) >= stretch).then_some(())
    });
    sampler.sample().unwrap().unwrap()
}

#[test]
fn a_process_at_rest_uses_no_cpu_but_memory_and_a_thread() {
    let stranger = Stranger::run("sleep 60");
    let mut sampler = Sampler::attach(&stranger.target()).unwrap();
    let reading = reading_after(&mut sampler, FIRST_READING);
    assert!(reading.cpu_percent < 20.0, "{reading:?}");
    assert!(reading.rss_bytes > 100_000 && reading.rss_bytes < 100_000_000);
    assert_eq!(reading.threads, 1);
    assert!(reading.at > Monotonic::default());
}

#[test]
fn a_process_with_high_cpu_and_memory_load_shows_both() {
    let (_folder, stranger) = python(
        "block = bytearray(b'x' * 200_000_000)\n\
         def work():\n    while True: pass",
    );
    let mut sampler = Sampler::attach(&stranger.target()).unwrap();
    // How much of a core it gets depends on who else wants one; /proc's own ticks are the judge.
    let ticks_before = ticks(stranger.pid);
    let reading = reading_after(&mut sampler, Duration::from_secs(1));
    let used = ticks(stranger.pid) - ticks_before;
    let expected = 100.0 * used as f64 / platform::ticks_per_second() as f64;
    assert!(reading.cpu_percent > 5.0, "{reading:?}");
    assert!(
        (reading.cpu_percent - expected).abs() < 15.0,
        "{reading:?} against {expected} %"
    );
    assert!(reading.rss_bytes > 200_000_000, "{reading:?}");
}

fn ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = text.rsplit_once(')').unwrap().1;
    let fields: Vec<_> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn threads_are_counted() {
    let (_folder, stranger) = python(
        "import threading, time\n\
         def work(): time.sleep(60)\n\
         for _ in range(4): threading.Thread(target=work, daemon=True).start()",
    );
    let mut sampler = Sampler::attach(&stranger.target()).unwrap();
    assert_eq!(sampler.sample().unwrap().unwrap().threads, 5);
}

#[test]
fn a_dead_process_gives_no_readings() {
    let stranger = Stranger::run("sleep 60");
    let mut sampler = Sampler::attach(&stranger.target()).unwrap();
    assert!(sampler.sample().unwrap().is_some());
    stranger.kill(Signal::KILL);
    eventually("it is dead", || {
        sampler.sample().unwrap().is_none().then_some(())
    });
}

#[test]
fn a_process_that_spawns_children_is_measured_alone() {
    let stranger = Stranger::run("sh -c 'python3 -c \"while True: pass\" & wait'");
    let mut sampler = Sampler::attach(&stranger.target()).unwrap();
    let reading = reading_after(&mut sampler, Duration::from_millis(500));
    assert!(reading.cpu_percent < 40.0, "{reading:?}");
    // The shell's child would outlive it.
    let children = format!("/proc/{0}/task/{0}/children", stranger.pid);
    let children = std::fs::read_to_string(children).unwrap();
    for child in children.split_whitespace() {
        let pid = platform::raw_pid(child.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
}
