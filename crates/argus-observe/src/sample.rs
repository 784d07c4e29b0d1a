//! How busy a process is: CPU, memory, threads.
//!
//! A [`Sampler`] keeps two descriptors under `/proc/PID` open. They belong to the process that was
//! meant, not to its id: once it has ended they fail, whoever gets the id next. A reading is three
//! system calls.
//!
//! CPU is the share of one core since the reading before, so a process with three busy threads
//! shows 300 %. The first reading covers the time since attaching; [`FIRST_READING`] is how long a
//! caller waits for it, because a share over no time at all would be invented.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use argus_model::{Measures, Monotonic};

use crate::platform;
use crate::process::{AttachError, Target, explain};
use crate::stat::{self, Stat};

/// How long after attaching the first reading is taken.
pub const FIRST_READING: Duration = Duration::from_millis(100);

/// What was measured at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When.
    pub at: Monotonic,
    /// Percent of one core since the reading before.
    pub cpu_percent: f64,
    /// Resident set size in bytes.
    pub rss_bytes: u64,
    /// Number of threads.
    pub threads: u32,
    /// What else is known of it.
    pub measures: Measures,
}

/// Measures one process, again and again.
#[derive(Debug)]
pub struct Sampler {
    pid: u32,
    stat: File,
    statm: File,
    clock: CpuClock,
    last: CpuUse,
}

impl Sampler {
    /// Begins to measure `target`. CPU time is counted from here on.
    ///
    /// # Errors
    /// When it has ended meanwhile, even if another process has its id now, or may not be read.
    pub fn attach(target: &Target) -> Result<Self, AttachError> {
        Self::attach_to(target.pid, target.start_ticks)
    }

    /// Begins to measure the process with this id and start time.
    ///
    /// # Errors
    /// As [`Sampler::attach`].
    pub fn attach_to(pid: u32, start_ticks: u64) -> Result<Self, AttachError> {
        let open = |name: &str| {
            File::open(format!("/proc/{pid}/{name}")).map_err(|error| explain(pid, error))
        };
        let (stat_file, statm) = (open("stat")?, open("statm")?);
        let stat = read_stat(&stat_file).map_err(|error| explain(pid, error))?;
        let stat = stat.filter(|stat| stat.start_ticks == start_ticks && !stat.has_ended());
        let stat = stat.ok_or(AttachError::NoSuchProcess(pid))?;
        let clock = if platform::process_cpu_time(pid).is_ok() {
            CpuClock::Scheduler
        } else {
            CpuClock::Ticks
        };
        let last = clock
            .read(pid, &stat)
            .ok_or(AttachError::NoSuchProcess(pid))?;
        Ok(Self {
            pid,
            stat: stat_file,
            statm,
            clock,
            last,
        })
    }

    /// Measures now. `None` once the process has ended: a dead process has no memory and no threads
    /// to speak of.
    ///
    /// # Errors
    /// When the kernel refuses to read what it let us open.
    pub fn sample(&mut self) -> io::Result<Option<Reading>> {
        // Memory first, the state last: a reading counts only if the process lived through it.
        let Some(pages) = self.resident_pages()? else {
            return Ok(None);
        };
        let Some(stat) = read_stat(&self.stat)?.filter(|stat| !stat.has_ended()) else {
            return Ok(None);
        };
        let Some(now) = self.clock.read(self.pid, &stat) else {
            return Ok(None);
        };
        let reading = Reading {
            at: now.at,
            cpu_percent: now.percent_since(self.last),
            rss_bytes: pages * platform::page_size(),
            threads: stat.threads,
            measures: Measures::NONE,
        };
        self.last = now;
        Ok(Some(reading))
    }

    /// From `statm`, not `stat`: since Linux 6.16 only the former adds up what other CPUs hold.
    fn resident_pages(&self) -> io::Result<Option<u64>> {
        let mut space = [0; 256];
        Ok(read_at_start(&self.statm, &mut space)?.and_then(stat::parse_resident_pages))
    }
}

/// Where CPU time is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CpuClock {
    /// The scheduler's own account.
    Scheduler,
    /// Ticks in `stat`, where a sandbox forbids the former: steps of 10 ms.
    Ticks,
}

impl CpuClock {
    /// The scheduler's clock is read by id, so the caller must have seen the process alive through
    /// its kept descriptor; an id taken over in between shows as a clock that runs backwards.
    fn read(self, pid: u32, stat: &Stat) -> Option<CpuUse> {
        let used = match self {
            Self::Scheduler => platform::process_cpu_time(pid).ok()?,
            Self::Ticks => {
                let millis = stat.cpu_ticks.saturating_mul(1000) / platform::ticks_per_second();
                Duration::from_millis(millis)
            }
        };
        Some(CpuUse {
            at: platform::monotonic_now(),
            used,
        })
    }
}

/// CPU time used up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CpuUse {
    at: Monotonic,
    used: Duration,
}

impl CpuUse {
    fn percent_since(self, before: Self) -> f64 {
        let elapsed = self.at.since(before.at).as_secs_f64();
        let used = self.used.saturating_sub(before.used).as_secs_f64();
        if elapsed > 0.0 {
            100.0 * used / elapsed
        } else {
            0.0
        }
    }
}

fn read_stat(file: &File) -> io::Result<Option<Stat>> {
    let mut space = [0; stat::MAX_BYTES];
    Ok(read_at_start(file, &mut space)?.and_then(stat::parse))
}

/// Reads a `/proc` file from its start; `None` when its process is gone.
fn read_at_start<'a>(file: &File, space: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    match file.read_at(space, 0) {
        Ok(length) => Ok(Some(&space[..length])),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(elapsed_ms: u64, used_ms: u64, percent: f64) {
        let at = |ms: u64| Monotonic::from_nanos(ms * 1_000_000);
        let before = CpuUse {
            at: at(50),
            used: Duration::from_millis(1000),
        };
        let now = CpuUse {
            at: at(50 + elapsed_ms),
            used: Duration::from_millis(1000 + used_ms),
        };
        assert!((now.percent_since(before) - percent).abs() < 1e-9);
    }

    #[test]
    fn cpu_is_percent_of_one_core_and_may_exceed_it() {
        check(100, 0, 0.0);
        check(100, 45, 45.0);
        check(5000, 5000, 100.0);
        check(1000, 3500, 350.0);
    }

    #[test]
    fn no_time_and_a_clock_run_backwards_are_not_a_share() {
        check(0, 10, 0.0);
        let early = CpuUse {
            at: Monotonic::from_nanos(1),
            used: Duration::from_secs(9),
        };
        let late = CpuUse {
            at: Monotonic::from_nanos(2),
            used: Duration::from_secs(8),
        };
        assert!(late.percent_since(early).abs() < f64::EPSILON);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let me = crate::process::find_by_pid(std::process::id()).unwrap();
        assert!(Sampler::attach(&me).is_ok());
        let other = Sampler::attach_to(me.pid, me.start_ticks + 1);
        assert!(matches!(other, Err(AttachError::NoSuchProcess(_))));
    }

    #[test]
    fn ticks_serve_where_the_scheduler_clock_cannot_be_read() {
        let stat = stat::parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        let used = CpuClock::Ticks.read(std::process::id(), &stat).unwrap();
        let better = CpuClock::Scheduler.read(std::process::id(), &stat).unwrap();
        assert!(used.used <= better.used + Duration::from_millis(20));
    }
}
