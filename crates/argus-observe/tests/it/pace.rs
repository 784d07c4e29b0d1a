//! The pace against a real process: it idles, and then it works.

use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::pace::{Bounds, Pace, Probe, Prober};
use argus_observe::platform;
use argus_observe::process::find_by_pid;
use rustix::process::Signal;

use crate::stranger::{Stranger, eventually};

const PROGRAM: &str = "
import os, sys, time
open(sys.argv[1]).read()
with open(sys.argv[2], 'w') as written: written.write(f'{time.monotonic_ns()}\\n')
while True: pass
";

/// A probe, how late it came, and the interval of the sample that it led to.
struct Taken {
    probe: Probe,
    late: Duration,
    sample: Option<Duration>,
}

#[test]
fn a_step_of_load_is_answered_within_one_fast_interval() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("program.py"), PROGRAM).unwrap();
    let (gate, written) = (path("gate"), path("written"));
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.unwrap().success());
    let (program, gate_path) = (path("program.py"), gate.display());
    let command = format!(
        "exec python3 {} {gate_path} {}",
        program.display(),
        written.display()
    );
    let stranger = Stranger::run(&command);
    eventually("Python waits", || {
        let wchan = std::fs::read_to_string(format!("/proc/{}/wchan", stranger.pid)).ok()?;
        let exe = find_by_pid(stranger.pid).ok()?.exe?;
        let is_python = exe.file_name()?.to_str()?.starts_with("python");
        (is_python && (wchan.contains("fifo") || wchan == "0")).then_some(())
    });

    let bounds = Bounds::around(Duration::from_secs(1));
    let prober = Prober::attach(stranger.target().instance()).unwrap();
    let mut pace = Pace::begin(bounds, prober.take(0).unwrap().unwrap());
    let mut taken = Vec::new();
    while pace.interval() < bounds.slowest {
        taken.push(turn(&prober, &mut pace));
        assert!(taken.len() < 2000, "it does not come to rest");
    }
    std::fs::write(&gate, "").unwrap();
    while pace.interval() > bounds.fastest || taken.last().unwrap().sample.is_none() {
        taken.push(turn(&prober, &mut pace));
        assert!(taken.len() < 3000, "the step was not answered");
    }
    let step = eventually("the step is written down", || {
        let text = std::fs::read_to_string(&written).ok()?;
        text.trim().parse().ok().map(Monotonic::from_nanos)
    });
    judge(&taken, step, bounds.fastest);
    stranger.kill(Signal::KILL);
}

/// The step is answered in time but for what this test and the process were kept waiting.
fn judge(taken: &[Taken], step: Monotonic, fastest: Duration) {
    let answer = taken.last().unwrap();
    assert_eq!(answer.sample, Some(fastest));
    let since: Vec<_> = taken
        .iter()
        .filter(|taken| taken.probe.at >= step)
        .collect();
    let late: Duration = since.iter().map(|taken| taken.late).sum();
    let work = |index: usize| {
        let (before, after) = (taken[index - 1].probe, taken[index].probe);
        let used = after.cpu_time.saturating_sub(before.cpu_time);
        used.as_secs_f64() / after.at.since(before.at).as_secs_f64()
    };
    let first = taken.len() - since.len();
    let starved = (first..taken.len())
        .filter(|index| work(*index) < 0.06)
        .count();
    let window = fastest / 2;
    let allowed = fastest + late + window * u32::try_from(starved).unwrap();
    let delay = answer.probe.at.since(step);
    println!("answered after {delay:?}, {late:?} late, {starved} windows without work");
    assert!(delay <= allowed, "{delay:?} of {allowed:?}");
}

fn turn(prober: &Prober, pace: &mut Pace) -> Taken {
    let due = pace.due();
    std::thread::sleep(due.since(platform::monotonic_now()));
    let probe = prober.take(0).unwrap().unwrap();
    let sample = pace.probe(probe).sample;
    let late = probe.at.since(due);
    Taken {
        probe,
        late,
        sample,
    }
}

#[test]
fn a_process_that_is_gone_cannot_be_probed() {
    let stranger = Stranger::run("sleep 60");
    let target = stranger.target();
    let prober = Prober::attach(target.instance()).unwrap();
    assert!(
        prober
            .take(3)
            .unwrap()
            .is_some_and(|probe| probe.errors == 3)
    );
    let mut other = target.instance();
    other.start_ticks += 1;
    assert!(Prober::attach(other).is_err());
    stranger.kill(Signal::KILL);
    eventually("it is gone", || {
        prober.take(0).unwrap().is_none().then_some(())
    });
    assert!(Prober::attach(target.instance()).is_err());
}
