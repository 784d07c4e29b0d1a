//! Limits of a real control group, where this user may make one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argus_model::measure::Measure;
use argus_observe::pressure::Cgroup;
use argus_observe::sample::{Details, Sampler};
use rustix::process::Signal;

use crate::stranger::{Stranger, eventually};

/// A group of our own, removed when it is empty again.
struct Group(PathBuf);

impl Group {
    fn make(root: &str) -> Option<Self> {
        let path = Path::new(root).join(format!("argus-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn write(&self, file: &str, text: &str) -> bool {
        let existing = fs::OpenOptions::new().write(true).open(self.0.join(file));
        existing.is_ok_and(|mut file| file.write_all(text.as_bytes()).is_ok())
    }

    fn limits_to_a_twentieth(&self) -> bool {
        self.write("cpu.max", "5000 100000")
            || self.write("cpu.cfs_period_us", "100000") && self.write("cpu.cfs_quota_us", "5000")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        eventually("the group is empty", || fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn a_twentieth_of_a_cpu_is_all_that_a_process_may_use() {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"];
    let groups = roots.into_iter().filter_map(Group::make);
    let Some(group) = groups.into_iter().find(Group::limits_to_a_twentieth) else {
        eprintln!("skipped: this user may not limit CPUs");
        return;
    };
    let stranger = Stranger::run("exec python3 -c 'while True: pass'");
    assert!(group.write("cgroup.procs", &stranger.pid.to_string()));
    assert_eq!(Cgroup::of(stranger.pid).unwrap().cpu_limit(), Some(0.05));
    let details = Details {
        every: Duration::ZERO,
        ..Details::default()
    };
    let sampler = Sampler::attach(&stranger.target()).unwrap();
    let mut sampler = sampler.with_details(details).unwrap();
    let reading = eventually("it has been throttled", || {
        let told = Cgroup::of(stranger.pid).unwrap().read();
        let throttled = told
            .iter()
            .find(|value| value.name == "cgroup.cpu.throttled")?;
        let reading = sampler.sample().unwrap().unwrap();
        (throttled.value > 0.1).then_some(reading)
    });
    let normalized = reading.measures.get(Measure::CpuNormalized).unwrap();
    assert!(
        (normalized - 20.0 * reading.cpu_percent).abs() < 1e-9,
        "{reading:?}"
    );
    stranger.kill(Signal::KILL);
}
