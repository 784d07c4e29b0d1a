//! What a running process has used so far, told by the kernel.

use std::fs::read_to_string;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`), fixed on every architecture Argus is built for.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// How much more `stat` may tell than `schedstat` before a thread must have ended: user and system
/// time are each cut to whole ticks.
const TICKS_OF_ROUNDING: f64 = 3.0 / TICKS_PER_SECOND;

/// How long a program may take until it does nothing but wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A living process that is measured.
#[derive(Debug)]
pub(super) struct Meter {
    folder: PathBuf,
}

/// Memory of a process, in MB of a million bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Resident {
    pub(super) now_mb: f64,
    pub(super) highest_mb: f64,
}

impl Meter {
    pub(super) fn of(pid: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        Self { folder }
    }

    /// Seconds of CPU, user and system, of all its threads since it began.
    ///
    /// `schedstat` counts nanoseconds, but only of threads that live; `stat` counts all, in ticks that
    /// are longer than what a tenth of a per cent of a core is in a window of ten seconds.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let threads = std::fs::read_dir(self.folder.join("task"));
        let mut nanos = 0.0;
        for thread in threads.with_context(|| self.gone())?.flatten() {
            let text = read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split_whitespace().next();
            nanos += first.and_then(|text| text.parse().ok()).unwrap_or(0.0);
        }
        let stat = self.read("stat")?;
        let ticks = used(&stat).context("/proc/PID/stat is not as proc(5) has it")?;
        let (living, all) = (nanos / 1e9, ticks / TICKS_PER_SECOND);
        let is_whole = all < living + TICKS_OF_ROUNDING;
        Ok(if is_whole { living } else { all })
    }

    /// Seconds of CPU of it and of all children that it has waited for, in ticks.
    pub(super) fn family_seconds(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        let both = used(&stat).zip(ticks(&stat, 13));
        let (own, children) = both.context("/proc/PID/stat is not as proc(5) has it")?;
        Ok((own + children) / TICKS_PER_SECOND)
    }

    pub(super) fn resident(&self) -> Result<Resident> {
        let status = self.read("status")?;
        let of = |key| kibibytes(&status, key).with_context(|| format!("no {key}"));
        let megabytes = |kibibytes: f64| kibibytes * 1024.0 / 1e6;
        Ok(Resident {
            now_mb: megabytes(of("VmRSS:")?),
            highest_mb: megabytes(of("VmHWM:")?),
        })
    }

    /// Waits until it has used no CPU for `stretch`: it has started and waits for its next turn.
    pub(super) fn until_it_waits(&self, stretch: Duration) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.cpu_seconds()?;
        while Instant::now() < deadline {
            std::thread::sleep(stretch);
            let now = self.cpu_seconds()?;
            if now > 0.0 && now <= before {
                return Ok(());
            }
            before = now;
        }
        bail!("{} is always busy", self.folder.display());
    }

    fn read(&self, name: &str) -> Result<String> {
        read_to_string(self.folder.join(name)).with_context(|| self.gone())
    }

    fn gone(&self) -> String {
        format!(
            "{} is gone: a program has ended early",
            self.folder.display()
        )
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`; the name, field 2, may hold spaces and parentheses.
fn used(stat: &str) -> Option<f64> {
    ticks(stat, 11)
}

/// The sum of two neighbouring fields of `/proc/PID/stat`; field 3 has place 0.
pub(super) fn ticks(stat: &str, place: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(place);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kibibytes(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 5 6 7 8 11 12 130 14 20 0 1 0 99";
        assert_eq!(used(stat), Some(23.0));
        assert_eq!(used("7 (x) S 1"), None);
    }

    #[test]
    fn this_process_is_measured_while_it_works() {
        let meter = Meter::of(std::process::id());
        let before = meter.cpu_seconds().unwrap();
        let began = Instant::now();
        while meter.cpu_seconds().unwrap() < before + 0.05 {
            assert!(began.elapsed() < PATIENCE);
        }
        let resident = meter.resident().unwrap();
        assert!(resident.now_mb > 0.1 && resident.highest_mb >= resident.now_mb);
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let error = Meter::of(u32::MAX).cpu_seconds().unwrap_err().to_string();
        assert!(error.contains("gone: a program has ended early"), "{error}");
    }
}
