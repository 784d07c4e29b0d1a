//! What is measured less often, because it costs more.
//!
//! Every file is opened once, as far as this user may; what may not be opened, or is refused later
//! (a process can change its user), is absent from the measures.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::OnceLock;
use std::time::Duration;

use argus_model::Monotonic;
use argus_model::measure::{Measure, Measures};
use rustix::fs::{Dir, OFlags};

use super::per_thread::{self, PerThread};
use super::standstill::Standstill;
use super::{CpuClock, CpuUse, open, read_at_start, read_stat};
use crate::pressure::Cgroup;
use crate::stat::Stat;

/// What a [`Sampler`](super::Sampler) measures beyond the fast part, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// The shortest time between two.
    pub every: Duration,
    /// Whether proportional memory is measured.
    pub pss: Pss,
}

/// Whether proportional memory is measured: the kernel then walks all pages of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pss {
    /// It is not.
    #[default]
    Left,
    /// With every detail.
    Measured,
}

impl Default for Details {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            pss: Pss::Left,
        }
    }
}

/// What is dearest is measured with every so manieth detail, and as many times more rarely as there
/// are threads.
const DETAILS_WITHOUT_THE_DEAREST: u32 = 5;

/// With more threads than this, what is known of single threads is not added up.
const THREADS_ADDED_UP: u32 = 1_000;

/// A limit to the CPUs is looked up again with every so manieth detail.
const DETAILS_OF_A_LIMIT: u32 = 60;

/// What a [`Sampler`](super::Sampler) has open anyway, and has learnt already.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) stat: &'a File,
    pub(super) task: &'a File,
    pub(super) threads: u32,
    /// The CPU clock, read before anything else.
    pub(super) now: CpuUse,
    pub(super) clock: CpuClock,
}

impl Sources<'_> {
    fn has_one_thread(&self) -> bool {
        self.threads <= 1
    }

    /// Whether the process has not run since that was read.
    fn still_as(&self, known: &Known) -> bool {
        self.clock == CpuClock::Scheduler && known.since.lasts(self.now)
    }
}

/// What was read once.
#[derive(Debug, Clone, Copy)]
struct Known {
    measures: Measures,
    since: Standstill,
}

impl Known {
    fn now(measures: Measures, sources: &Sources<'_>) -> Self {
        Self {
            measures,
            since: Standstill::since(sources.now),
        }
    }
}

/// The open files, and what the rates are counted from.
#[derive(Debug)]
pub(super) struct Detailed {
    wanted: Details,
    pid: u32,
    io: Option<File>,
    descriptors: DescriptorCount,
    first_thread: per_thread::Files,
    taken: Option<Monotonic>,
    disk: Option<(Monotonic, Disk)>,
    /// What was read with the last detail, and when the dearest were measured.
    cheap: Option<Known>,
    dearest: Option<Known>,
    /// Details to be taken until the dearest are measured again, and the limit is looked up.
    dearest_after: u32,
    limit_after: u32,
    allowed: Option<f64>,
    limit: Option<f64>,
}

impl Detailed {
    pub(super) fn attach(pid: u32, wanted: Details) -> io::Result<Self> {
        Ok(Self {
            wanted,
            pid,
            io: permitted(open(pid, "io", OFlags::RDONLY))?,
            descriptors: DescriptorCount::open(pid)?,
            first_thread: per_thread::Files::open(pid)?,
            taken: None,
            disk: None,
            cheap: None,
            dearest: None,
            dearest_after: 0,
            limit_after: 0,
            allowed: None,
            limit: None,
        })
    }

    /// Whether it is time. A caller's clock is never exactly on time, so nearly is enough.
    pub(super) fn is_due(&self, at: Monotonic) -> bool {
        let nearly = self.wanted.every / 10 * 9;
        self.taken.is_none_or(|taken| at.since(taken) >= nearly)
    }

    /// Measures everything that can be, into `measures`. What was read before the process last stood
    /// still is not read again.
    pub(super) fn measure(
        &mut self,
        sources: &Sources<'_>,
        measures: &mut Measures,
    ) -> io::Result<()> {
        self.taken = Some(sources.now.at);
        match self.cheap.filter(|known| sources.still_as(known)) {
            Some(known) => {
                measures.update(&known.measures);
                self.rest_disk(sources.now.at, measures);
            }
            None => {
                let Some(stat) = read_stat(sources.stat)? else {
                    return Ok(());
                };
                let read = self.measure_cheap(&stat, sources);
                self.cheap = Some(Known::now(read, sources));
                measures.update(&read);
            }
        }
        if self.is_turn_of_the_dearest(sources.threads) {
            let known = self.dearest.filter(|known| sources.still_as(known));
            let known = known.unwrap_or_else(|| {
                let read = self.measure_dearest(sources);
                Known::now(read, sources)
            });
            self.dearest = Some(known);
            measures.update(&known.measures);
        }
        self.look_up_limit();
        if self.wanted.pss == Pss::Measured
            && let Some(mib) = read_pss(self.pid)
        {
            measures.set(Measure::Pss, mib);
        }
        Ok(())
    }

    fn measure_cheap(&mut self, stat: &Stat, sources: &Sources<'_>) -> Measures {
        let mut measures = Measures::NONE;
        measures.set_count(Measure::MinorFaults, stat.minor_faults);
        measures.set_count(Measure::MajorFaults, stat.major_faults);
        self.measure_disk(sources.now.at, &mut measures);
        // A first thread that has ended has closed its view of them; the others' do not count them.
        if !stat.first_thread_has_ended()
            && let Some(count) = self.descriptors.read()
        {
            measures.set_count(Measure::Descriptors, count);
        }
        if sources.has_one_thread() {
            self.first_thread.read_cheap().tell(&mut measures);
        }
        measures
    }

    fn measure_dearest(&mut self, sources: &Sources<'_>) -> Measures {
        let mut measures = Measures::NONE;
        let sum = if sources.has_one_thread() {
            self.first_thread.read_dear()
        } else {
            PerThread::over_all(sources.task)
        };
        sum.tell(&mut measures);
        self.allowed = sum.cpus_allowed.map(f64::from).or(self.allowed);
        measures
    }

    /// Whether what is dearest is measured this time.
    fn is_turn_of_the_dearest(&mut self, threads: u32) -> bool {
        let is_turn = self.dearest_after == 0;
        if is_turn {
            self.dearest_after = DETAILS_WITHOUT_THE_DEAREST * threads.clamp(1, THREADS_ADDED_UP);
        }
        self.dearest_after -= 1;
        is_turn && threads <= THREADS_ADDED_UP
    }

    /// How many CPUs the process may use, as last looked up.
    pub(super) fn cpus(&self) -> Option<f64> {
        match (self.allowed, self.limit) {
            (Some(allowed), Some(limit)) => Some(allowed.min(limit)),
            (allowed, limit) => allowed.or(limit),
        }
    }

    fn measure_disk(&mut self, at: Monotonic, measures: &mut Measures) {
        let Some(now) = self.io.as_ref().and_then(Disk::read) else {
            self.disk = None;
            return;
        };
        measures.set_count(Measure::DiskRead, now.read);
        measures.set_count(Measure::DiskWritten, now.written);
        if let Some((before_at, before)) = self.disk.replace((at, now)) {
            let seconds = at.since(before_at).as_secs_f64();
            let mut rate = |measure, bytes: u64| measures.set(measure, bytes as f64 / seconds);
            rate(Measure::DiskReadRate, now.read.saturating_sub(before.read));
            rate(
                Measure::DiskWriteRate,
                now.written.saturating_sub(before.written),
            );
        }
    }

    /// It has not run, so it has moved nothing.
    fn rest_disk(&mut self, at: Monotonic, measures: &mut Measures) {
        if let Some((before_at, _)) = &mut self.disk {
            *before_at = at;
            measures.set(Measure::DiskReadRate, 0.0);
            measures.set(Measure::DiskWriteRate, 0.0);
        }
    }

    /// It is a file or more for each group between the process's and the root.
    fn look_up_limit(&mut self) {
        if self.limit_after == 0 {
            self.limit_after = DETAILS_OF_A_LIMIT;
            let group = Cgroup::of(self.pid).ok();
            self.limit = group.and_then(|group| group.cpu_limit());
        }
        self.limit_after -= 1;
    }
}

/// What storage had to do for a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Disk {
    read: u64,
    written: u64,
}

impl Disk {
    fn read(io: &File) -> Option<Self> {
        let mut space = [0; 512];
        Self::parse(read_at_start(io, &mut space).ok()??)
    }

    /// From `io`, whose lines are `name: number`. Not `rchar` and `wchar`, which count terminals and
    /// pipes too.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        Some(Self {
            read: number("read_bytes:")?,
            written: number("write_bytes:")?,
        })
    }
}

/// How open descriptors are counted.
#[derive(Debug)]
enum DescriptorCount {
    /// Since Linux 6.2 the directory's size is their number, told to anybody.
    Size(File),
    /// Its entries, for those who may list them.
    Entries(Option<File>),
}

impl DescriptorCount {
    fn open(pid: u32) -> io::Result<Self> {
        if kernel_counts_descriptors() {
            // A path descriptor needs no permission to list.
            let folder = open(pid, "fd", OFlags::PATH | OFlags::DIRECTORY)?;
            return Ok(Self::Size(folder));
        }
        let folder = permitted(open(pid, "fd", OFlags::RDONLY | OFlags::DIRECTORY))?;
        Ok(Self::Entries(folder))
    }

    fn read(&self) -> Option<u64> {
        match self {
            Self::Size(folder) => u64::try_from(rustix::fs::fstat(folder).ok()?.st_size).ok(),
            Self::Entries(folder) => {
                let entries = Dir::read_from(folder.as_ref()?).ok()?;
                const SELF_AND_PARENT: u64 = 2;
                let count = entries.filter(Result::is_ok).count() as u64;
                Some(count.saturating_sub(SELF_AND_PARENT))
            }
        }
    }
}

/// Asked of this process, which has a descriptor open for sure.
pub(crate) fn kernel_counts_descriptors() -> bool {
    static COUNTS: OnceLock<bool> = OnceLock::new();
    *COUNTS.get_or_init(|| {
        let own = File::open("/proc/self/fd").and_then(|folder| folder.metadata());
        own.is_ok_and(|told| told.len() > 0)
    })
}

/// Opened each time: a kept descriptor would stay with the memory of the program before an `exec`.
fn read_pss(pid: u32) -> Option<f64> {
    let file = open(pid, "smaps_rollup", OFlags::RDONLY).ok()?;
    let mut space = [0; 2048];
    parse_pss(read_at_start(&file, &mut space).ok()??)
}

fn parse_pss(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib as f64 / 1024.0)
}

/// What may not be opened, or does not exist in this kernel, is no error here: it is unknown.
pub(super) fn permitted(opened: io::Result<File>) -> io::Result<Option<File>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::NotFound
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_storage_did_is_told_from_what_was_only_copied() {
        let text = "rchar: 7\nwchar: 8\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 8192\n\
            cancelled_write_bytes: 4096\n";
        let disk = Disk {
            read: 4096,
            written: 8192,
        };
        assert_eq!(Disk::parse(text.as_bytes()), Some(disk));
        assert_eq!(Disk::parse(b"rchar: 7\n"), None);
    }

    #[test]
    fn proportional_memory_is_in_mebibytes() {
        let text = b"55a0-7ffe ---p 00000000 00:00 0  [rollup]\nRss:  3000 kB\nPss:  2560 kB\n\
            Pss_Dirty: 8 kB\n";
        assert_eq!(parse_pss(text), Some(2.5));
    }

    #[test]
    fn a_detail_is_due_when_it_nearly_is() {
        let mut detailed = Detailed::attach(std::process::id(), Details::default()).unwrap();
        let at = |ms: u64| Monotonic::from_nanos(ms * 1_000_000);
        assert!(detailed.is_due(at(0)), "the first at once");
        detailed.taken = Some(at(5_000));
        assert!(!detailed.is_due(at(5_500)));
        assert!(!detailed.is_due(at(5_899)));
        assert!(detailed.is_due(at(5_999)), "a timer that came early");
    }

    #[test]
    fn both_ways_to_count_descriptors_agree() {
        let pid = std::process::id();
        let entries = open(pid, "fd", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        let by_entries = DescriptorCount::Entries(Some(entries)).read().unwrap();
        let by_size = DescriptorCount::open(pid).unwrap().read().unwrap();
        // Tests run beside this one and open files, too.
        assert!(by_entries.abs_diff(by_size) <= 8);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            Disk::parse(&bytes);
            parse_pss(&bytes);
        }
    }
}
