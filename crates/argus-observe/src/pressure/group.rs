//! A process's control group, and where the kernel shows it.

use std::fs;
use std::io;
use std::path::Path;

use super::{CGROUP, Value, read_pressures, system};
use crate::cgroup::{Place, group_of, mount_of};

/// The control groups that a process belongs to. It may be moved: what is looked up once is worth
/// looking up again now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    unified: Option<Place>,
    memory: Option<Place>,
    cpu: Option<Place>,
}

/// Version 1 says "no limit" as the largest number of whole pages.
const UNLIMITED_V1: u64 = 1 << 62;

impl Cgroup {
    /// The groups of the process with this id. Whether the id still means the same process is for
    /// the caller to know.
    ///
    /// # Errors
    /// When it is gone or hidden.
    pub fn of(pid: u32) -> io::Result<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::place(&groups, &mounts))
    }

    fn place(groups: &str, mounts: &str) -> Self {
        Self {
            unified: group_of(groups, "").and_then(|group| mount_of(mounts, None, group)),
            memory: group_of(groups, "memory")
                .and_then(|group| mount_of(mounts, Some("memory"), group)),
            cpu: group_of(groups, "cpu").and_then(|group| mount_of(mounts, Some("cpu"), group)),
        }
    }

    /// All that is known now. Where the group keeps no account of pressure, the machine's.
    pub fn read(&self) -> Vec<Value> {
        let mut values = Vec::new();
        let mut tell = |name, unit, value: Option<f64>| {
            values.extend(value.map(|value| Value { name, unit, value }));
        };
        tell("cgroup.memory.usage", "By", self.memory_usage().map(float));
        tell("cgroup.memory.limit", "By", self.memory_limit().map(float));
        tell("cgroup.cpu.limit", "{cpu}", self.cpu_limit());
        let events = self.memory_events();
        tell(
            "cgroup.memory.limit_hits",
            "{event}",
            events.limit_hits.map(float),
        );
        tell(
            "cgroup.memory.oom_kills",
            "{kill}",
            events.oom_kills.map(float),
        );
        tell("cgroup.cpu.throttled", "s", self.throttled_seconds());
        let path = |file: &str| Some(self.unified.as_ref()?.folder.join(file));
        let pressures = read_pressures(&CGROUP, path);
        if pressures.is_empty() {
            values.extend(system());
        } else {
            values.extend(pressures);
        }
        values
    }

    /// How many CPUs' worth of time the group may use; `None` without a limit.
    pub fn cpu_limit(&self) -> Option<f64> {
        let unified = tightest(self.unified.as_ref(), |folder| {
            parse_cpu_max(&read(folder, "cpu.max")?)
        });
        let old = || {
            tightest(self.cpu.as_ref(), |folder| {
                let quota = number(&read(folder, "cpu.cfs_quota_us")?)?;
                let period = number(&read(folder, "cpu.cfs_period_us")?)?;
                (period > 0).then(|| float(quota) / float(period))
            })
        };
        unified.or_else(old)
    }

    /// How many bytes the group may use; `None` without a limit.
    pub fn memory_limit(&self) -> Option<u64> {
        let bytes = |place: Option<&Place>, file| {
            tightest(place, |folder| Some(float(number(&read(folder, file)?)?)))
        };
        let unified = bytes(self.unified.as_ref(), "memory.max");
        let old = || bytes(self.memory.as_ref(), "memory.limit_in_bytes");
        let limit = unified.or_else(old)? as u64;
        (limit < UNLIMITED_V1).then_some(limit)
    }

    /// How often the kernel killed a process of the group for want of memory, since the group exists.
    pub fn oom_kills(&self) -> Option<u64> {
        self.memory_events().oom_kills
    }

    fn memory_usage(&self) -> Option<u64> {
        self.unified("memory.current")
            .or_else(|| self.read_memory("memory.usage_in_bytes"))
            .and_then(|text| number(&text))
    }

    fn memory_events(&self) -> MemoryEvents {
        if let Some(text) = self.unified("memory.events") {
            return MemoryEvents {
                limit_hits: field(&text, "max"),
                oom_kills: field(&text, "oom_kill"),
            };
        }
        let control = self.read_memory("memory.oom_control").unwrap_or_default();
        let hits = self.read_memory("memory.failcnt");
        MemoryEvents {
            limit_hits: hits.and_then(|text| number(&text)),
            oom_kills: field(&control, "oom_kill"),
        }
    }

    fn throttled_seconds(&self) -> Option<f64> {
        let micros = self
            .unified("cpu.stat")
            .and_then(|text| field(&text, "throttled_usec"));
        let nanos = || {
            let text = read(&self.cpu.as_ref()?.folder, "cpu.stat")?;
            field(&text, "throttled_time")
        };
        micros
            .map(|micros| float(micros) / 1e6)
            .or_else(|| Some(float(nanos()?) / 1e9))
    }

    fn unified(&self, file: &str) -> Option<String> {
        read(&self.unified.as_ref()?.folder, file)
    }

    fn read_memory(&self, file: &str) -> Option<String> {
        read(&self.memory.as_ref()?.folder, file)
    }
}

struct MemoryEvents {
    limit_hits: Option<u64>,
    oom_kills: Option<u64>,
}

fn read(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok()
}

/// The smallest of what a group and those above it say.
fn tightest(place: Option<&Place>, ask: impl Fn(&Path) -> Option<f64>) -> Option<f64> {
    let place = place?;
    let within = |folder: &&Path| folder.starts_with(&place.root);
    place
        .folder
        .ancestors()
        .take_while(within)
        .filter_map(ask)
        .min_by(f64::total_cmp)
}

/// `150000 100000`, or `max 100000` where there is no limit.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (number(quota)?, number(period)?);
    (period > 0).then(|| float(quota) / float(period))
}

/// The value behind a name, in lines of `name value`.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    number(lines.find(|(key, _)| *key == name)?.1)
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        25 1 0:23 / /proc rw - proc proc rw\n\
        30 1 0:26 /pods/a /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        31 1 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn a_group_is_found_where_it_is_mounted() {
        let groups = "4:memory:/pods/a/web\n2:cpuacct,cpu:/b:c\n0::/user.slice/x.service\n";
        let place = |root: &str, folder: &str| {
            Some(Place {
                root: root.into(),
                folder: folder.into(),
            })
        };
        let expected = Cgroup {
            unified: place(
                "/sys/fs/cgroup/unified",
                "/sys/fs/cgroup/unified/user.slice/x.service",
            ),
            memory: place("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/web"),
            cpu: place("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu/b:c"),
        };
        assert_eq!(Cgroup::place(groups, MOUNTS), expected);
    }

    #[test]
    fn a_group_outside_of_what_is_mounted_is_not_found() {
        let nowhere = Cgroup::place("4:memory:/pods/b\n0::/../x\n", MOUNTS);
        let expected = Cgroup {
            unified: None,
            memory: None,
            cpu: None,
        };
        assert_eq!(nowhere, expected);
    }

    #[test]
    fn this_process_is_told_what_surrounds_it() {
        let group = Cgroup::of(std::process::id()).unwrap();
        let told = group.read();
        for value in &told {
            assert!(value.value.is_finite() && value.value >= 0.0, "{value:?}");
            let same = told.iter().filter(|other| other.name == value.name);
            assert_eq!(same.count(), 1, "{value:?}");
        }
        if let Some(usage) = group.memory_usage() {
            assert!(usage > 0);
        }
        assert!(group.cpu_limit().is_none_or(|cpus| cpus > 0.0));
    }

    #[test]
    fn the_tightest_limit_holds_and_max_is_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| fs::write(root.path().join(file), text).unwrap();
        write("a/cpu.max", "50000 100000\n");
        write("a/b/cpu.max", "150000 100000\n");
        write("a/memory.max", "max\n");
        write("a/b/memory.max", "1048576\n");
        write(
            "a/b/memory.events",
            "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n",
        );
        write("a/b/cpu.stat", "usage_usec 5\nthrottled_usec 2500000\n");
        let group = Cgroup {
            unified: Some(Place {
                root: root.path().to_owned(),
                folder,
            }),
            memory: None,
            cpu: None,
        };
        assert_eq!(group.cpu_limit(), Some(0.5));
        assert_eq!(group.memory_limit(), Some(1 << 20));
        assert_eq!(group.oom_kills(), Some(1));
        let told = group.read();
        let value = |name: &str| Some(told.iter().find(|value| value.name == name)?.value);
        assert_eq!(value("cgroup.memory.limit_hits"), Some(7.0));
        assert_eq!(value("cgroup.cpu.throttled"), Some(2.5));
        assert_eq!(value("cgroup.memory.usage"), None);
        assert_eq!(parse_cpu_max("max 100000\n"), None);
    }
}
