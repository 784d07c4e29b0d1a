//! How busy a process is, and what it costs the machine.
//!
//! A [`Sampler`] keeps descriptors under `/proc/PID` open. They belong to the process that was meant,
//! not to its id: once it has ended they fail, whoever gets the id next. Whatever is asked by id (the
//! CPU clock) is asked before the last of them is seen to answer.
//!
//! A reading has a fast part and, if [`Details`] were asked for, a dearer one:
//!
//! | what | from | cost of asking | how fresh |
//! |---|---|---|---|
//! | CPU | the process's CPU clock | 1 | every reading |
//! | number of threads | link count of `task` | 1 | every reading |
//! | resident memory | `statm` | 3 | every reading |
//! | faults | `stat` | 9 | every detail |
//! | disk | `io` | 5 | every detail |
//! | descriptors | size of `fd`, since Linux 6.2 | 1 | every detail |
//! | children | `children` of each thread | 1 | every detail; of n threads every 5n-th |
//! | run-queue wait | `schedstat` of each thread | 2 | every detail; of n threads every 5n-th |
//! | switches, CPUs allowed | `status` of each thread | 13 to 25 | every fifth detail; of n threads every 5n-th |
//! | PSS | `smaps_rollup` | 80, to 1,000 in large ones | every detail, if asked for |
//!
//! The unit is the cheapest of these calls, a quarter of a microsecond where it was measured; opening
//! and closing a file each time would add six to each. So the fast part costs half of what formatting
//! `stat` would, and the details are taken once a second ([`Details::every`]), however often there is
//! a reading in between: a reading without them says nothing about them. What is known of one thread
//! only is added up over all threads, which takes opening three files a thread; that is why it is done
//! the more rarely the more there are, and not at all beyond a thousand.
//!
//! Most processes wait most of the time, and one that has not run since the reading before
//! (`standstill`) is as it was: then the CPU clock is all that is asked, and the rest is told again.
//! What changes without it (memory that the kernel reclaims, children that it collects) is seen within
//! [`READ_ANYWAY`].
//!
//! CPU is the share of one core since the reading before, so a process with three busy threads
//! shows 300 %. The first reading covers the time since attaching; [`FIRST_READING`] is how long a
//! caller waits for it, because a share over no time at all would be invented.

mod detail;
mod per_thread;
mod standstill;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use argus_model::Monotonic;
use argus_model::measure::{Measure, Measures};
use rustix::fs::{Mode, OFlags};

pub(crate) use detail::kernel_counts_descriptors;
pub use detail::{Details, Pss};
pub use standstill::READ_ANYWAY;

use crate::platform;
use crate::process::{AttachError, Target, explain};
use crate::stat::{self, Stat};
use crate::threads;
use detail::Detailed;
use standstill::Standstill;

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
    /// What else was measured this time; without [`Details`], nothing.
    pub measures: Measures,
}

/// Measures one process, again and again.
#[derive(Debug)]
pub struct Sampler {
    pid: u32,
    stat: File,
    statm: File,
    task: File,
    clock: CpuClock,
    threads: ThreadCount,
    last: CpuUse,
    before: Option<Size>,
    details: Option<Detailed>,
}

/// How large a process was when it last ran.
#[derive(Debug, Clone, Copy)]
struct Size {
    rss_bytes: u64,
    threads: u32,
    since: Standstill,
}

impl Sampler {
    /// Begins to measure `target`. CPU time is counted from here on. Takes three descriptors.
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
        let open =
            |name: &str| open(pid, name, OFlags::RDONLY).map_err(|error| explain(pid, error));
        let (stat_file, statm, task) = (open("stat")?, open("statm")?, open("task")?);
        let stat = read_stat(&stat_file).map_err(|error| explain(pid, error))?;
        let stat = stat.filter(|stat| stat.start_ticks == start_ticks && !stat.has_ended());
        let stat = stat.ok_or(AttachError::EndedMeanwhile(pid))?;
        let clock = if platform::process_cpu_time(pid).is_ok() {
            CpuClock::Scheduler
        } else {
            CpuClock::Ticks
        };
        let threads = match ThreadCount::Links.read(&task, None) {
            Ok(Some(_)) => ThreadCount::Links,
            _ => ThreadCount::Stat,
        };
        let last = match clock {
            CpuClock::Scheduler => CpuUse::by_clock(pid),
            CpuClock::Ticks => Some(CpuUse::by_ticks(&stat)),
        };
        let last = last.ok_or(AttachError::EndedMeanwhile(pid))?;
        Ok(Self {
            pid,
            stat: stat_file,
            statm,
            task,
            clock,
            threads,
            last,
            before: None,
            details: None,
        })
    }

    /// Measures `details` as well, as far as this user may. Takes up to five more descriptors.
    ///
    /// # Errors
    /// When it has ended meanwhile, or no descriptor is left. What is not permitted is no error.
    pub fn with_details(mut self, details: Details) -> Result<Self, AttachError> {
        let attached = Detailed::attach(self.pid, details);
        let attached = attached.map_err(|error| explain(self.pid, error))?;
        if !matches!(read_stat(&self.stat), Ok(Some(_))) {
            return Err(AttachError::EndedMeanwhile(self.pid));
        }
        self.details = Some(attached);
        Ok(self)
    }

    /// Measures now. `None` once the process has ended: a dead process has no memory and no threads
    /// to speak of.
    ///
    /// # Errors
    /// When the kernel refuses to read what it let us open.
    pub fn sample(&mut self) -> io::Result<Option<Reading>> {
        let by_clock = match self.clock {
            CpuClock::Scheduler => match CpuUse::by_clock(self.pid) {
                None => return Ok(None),
                by_clock => by_clock,
            },
            CpuClock::Ticks => None,
        };
        let reading = match by_clock.and_then(|now| self.tell_again(now)) {
            Some(reading) => reading,
            None => match self.measure(by_clock)? {
                Some(reading) => reading,
                None => return Ok(None),
            },
        };
        Ok(Some(Reading {
            measures: self.measure_details(&reading)?,
            ..reading
        }))
    }

    /// The fast part of a process that has not run since it was measured: that it has not ended is
    /// shown by the clock, too, which an end moves.
    fn tell_again(&mut self, now: CpuUse) -> Option<Reading> {
        let size = self.before.filter(|size| size.since.lasts(now))?;
        self.last = now;
        Some(Reading {
            at: now.at,
            cpu_percent: 0.0,
            rss_bytes: size.rss_bytes,
            threads: size.threads,
            measures: Measures::NONE,
        })
    }

    /// The fast part. The clock has been read by id, the descriptors that prove that the process lives
    /// are asked last: a reading counts only if it lived through it.
    fn measure(&mut self, by_clock: Option<CpuUse>) -> io::Result<Option<Reading>> {
        let Some(mut pages) = self.resident_pages()? else {
            return Ok(None);
        };
        let stat = if by_clock.is_none() || self.threads == ThreadCount::Stat || pages == 0 {
            let Some(stat) = read_stat(&self.stat)?.filter(|stat| !stat.has_ended()) else {
                return Ok(None);
            };
            if stat.first_thread_has_ended() {
                pages = self.ask_another_thread()?;
            }
            Some(stat)
        } else {
            None
        };
        let Some(now) = by_clock.or_else(|| stat.as_ref().map(CpuUse::by_ticks)) else {
            return Ok(None);
        };
        let Some(threads) = self.threads.read(&self.task, stat.as_ref())? else {
            return Ok(None);
        };
        let rss_bytes = pages * platform::page_size();
        let cpu_percent = now.percent_since(self.last);
        self.last = now;
        self.before = by_clock.map(|now| Size {
            rss_bytes,
            threads,
            since: Standstill::since(now),
        });
        Ok(Some(Reading {
            at: now.at,
            cpu_percent,
            rss_bytes,
            threads,
            measures: Measures::NONE,
        }))
    }

    fn measure_details(&mut self, reading: &Reading) -> io::Result<Measures> {
        let Some(details) = &mut self.details else {
            return Ok(Measures::NONE);
        };
        let mut measures = Measures::NONE;
        if details.is_due(reading.at) {
            let sources = detail::Sources {
                stat: &self.stat,
                task: &self.task,
                threads: reading.threads,
                now: self.last,
                clock: self.clock,
            };
            details.measure(&sources, &mut measures)?;
        }
        if let Some(cpus) = details.cpus() {
            measures.set(Measure::CpuNormalized, reading.cpu_percent / cpus);
        }
        Ok(measures)
    }

    /// From `statm`, not `stat`: since Linux 6.16 only the former adds up what other CPUs hold.
    fn resident_pages(&self) -> io::Result<Option<u64>> {
        let mut space = [0; 256];
        Ok(read_at_start(&self.statm, &mut space)?.and_then(stat::parse_resident_pages))
    }

    /// The first thread may end before the others, and takes its view of the memory along; any other
    /// thread shows the same memory.
    fn ask_another_thread(&mut self) -> io::Result<u64> {
        for tid in threads::ids(&self.task)? {
            let path = format!("{tid}/statm");
            let Ok(statm) = rustix::fs::openat(
                &self.task,
                path.as_str(),
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            ) else {
                continue;
            };
            let before = std::mem::replace(&mut self.statm, statm.into());
            match self.resident_pages() {
                Ok(Some(pages)) if pages > 0 => return Ok(pages),
                _ => self.statm = before,
            }
        }
        Ok(0)
    }
}

/// Where the number of threads is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ThreadCount {
    /// The links of `/proc/PID/task`: itself, its parent, and one a thread.
    Links,
    /// `stat`, where something imitates `/proc` and does not count links.
    Stat,
}

impl ThreadCount {
    /// `None` when there is none left.
    fn read(self, task: &File, stat: Option<&Stat>) -> io::Result<Option<u32>> {
        const OWN_LINKS: u64 = 2;
        let threads = match self {
            Self::Links => match rustix::fs::fstat(task) {
                Ok(told) => told.st_nlink.saturating_sub(OWN_LINKS),
                Err(rustix::io::Errno::SRCH | rustix::io::Errno::NOENT) => 0,
                Err(error) => return Err(error.into()),
            },
            Self::Stat => stat.map_or(0, |stat| stat.threads.into()),
        };
        Ok(u32::try_from(threads).ok().filter(|threads| *threads > 0))
    }
}

/// Opens `/proc/PID/name`.
fn open(pid: u32, name: &str, how: OFlags) -> io::Result<File> {
    let path = format!("/proc/{pid}/{name}");
    let file = rustix::fs::open(path, how | OFlags::CLOEXEC, Mode::empty())?;
    Ok(file.into())
}

/// Where CPU time is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CpuClock {
    /// The scheduler's own account.
    Scheduler,
    /// Ticks in `stat`, where a sandbox forbids the former: steps of 10 ms.
    Ticks,
}

/// CPU time used up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CpuUse {
    at: Monotonic,
    used: Duration,
}

impl CpuUse {
    /// By the scheduler's clock, which is read by id: the caller must see the process alive through a
    /// kept descriptor afterwards. An id is not given away before its process is gone.
    fn by_clock(pid: u32) -> Option<Self> {
        Some(Self {
            used: platform::process_cpu_time(pid).ok()?,
            at: platform::monotonic_now(),
        })
    }

    fn by_ticks(stat: &Stat) -> Self {
        let millis = stat.cpu_ticks.saturating_mul(1000) / platform::ticks_per_second();
        Self {
            used: Duration::from_millis(millis),
            at: platform::monotonic_now(),
        }
    }

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
        let me = crate::process::oneself().unwrap();
        assert!(Sampler::attach(&me).is_ok());
        let other = Sampler::attach_to(me.pid, me.start_ticks + 1);
        assert!(matches!(other, Err(AttachError::EndedMeanwhile(_))));
    }

    #[test]
    fn the_links_of_task_and_stat_agree_on_the_number_of_threads() {
        let task = File::open("/proc/self/task").unwrap();
        let stat = stat::parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        let by_links = ThreadCount::Links.read(&task, None).unwrap();
        // The harness of the tests may start and end threads meanwhile.
        let by_stat = ThreadCount::Stat.read(&task, Some(&stat)).unwrap();
        assert!(by_links.unwrap().abs_diff(by_stat.unwrap()) <= 2);
    }

    #[test]
    fn ticks_serve_where_the_scheduler_clock_cannot_be_read() {
        let stat = stat::parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        let used = CpuUse::by_ticks(&stat);
        let better = CpuUse::by_clock(std::process::id()).unwrap();
        assert!(used.used <= better.used + Duration::from_millis(20));
    }
}
