//! Whether what is recorded reaches the database: collector, lock, waiting spools, disk budget.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use argus_drain::{Here, Life};
use argus_model::paths::DataDir;
use argus_spool::control::{ControlPage, HEARTBEAT_GOOD_FOR};
use argus_spool::format::MIN_CHUNK;
use argus_spool::read::producers;
use argus_tui::format;
use rustix::fs::{major, minor};

use super::finding::{Finding, Section};
use crate::moment::duration;
use crate::open::store_if_any;
use crate::output::grouped;

/// So many starts without an answer are no chance any more.
const MANY_STARTS: u32 = 3;

/// All checks of this section.
pub(super) fn check(data: &DataDir) -> Section {
    let control = data.control();
    let control = control
        .exists()
        .then(|| ControlPage::open(&control))
        .transpose();
    let findings = match control {
        Ok(Some(control)) => {
            let lives = await_heartbeat(control, data).is_some();
            vec![
                collector(control, data),
                waiting(&Waiting::count(data), lives),
                budget(control.usage()),
            ]
        }
        Ok(None) => vec![Finding::ok(
            "collector",
            "not running; the first recording starts it",
        )],
        Err(error) => vec![Finding::problem(
            "control page",
            format!("{}: {error}", data.control().display()),
            format!(
                "mv {0} {0}.damaged   (when no program records)",
                data.control().display()
            ),
        )],
    };
    Section::new("Collector", findings)
}

/// The living collector. One that holds the lock is given the time of a heartbeat: it may just
/// have begun.
fn await_heartbeat(control: ControlPage, data: &DataDir) -> Option<u32> {
    let deadline = Instant::now() + HEARTBEAT_GOOD_FOR;
    loop {
        let living = control.living_collector();
        if living.is_some() || lock_holder(&data.lock()).is_none() || Instant::now() > deadline {
            return living;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn collector(control: ControlPage, data: &DataDir) -> Finding {
    let holder = lock_holder(&data.lock());
    let starts = control.unanswered_starts();
    match (control.living_collector(), holder) {
        (Some(pid), _) => Finding::ok("collector", at_work(control, data, pid)),
        (None, Some(pid)) => Finding::problem(
            "collector",
            format!("process {pid} holds the lock and gives no sign of life"),
            format!("kill -CONT {pid}, else kill -KILL {pid}   (nothing is lost)"),
        ),
        (None, None) if starts >= MANY_STARTS => Finding::problem(
            "collector",
            format!("started {starts} times, and none has answered"),
            "argus collector   (says why it does not stay)",
        ),
        (None, None) => Finding::ok("collector", "not running; the next recording starts it"),
    }
}

fn at_work(control: ControlPage, data: &DataDir, pid: u32) -> String {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let age = control.heartbeat_age().map_or(0, nanos);
    let mut text = format!(
        "process {pid} at work, last heartbeat {} ago",
        duration(age)
    );
    let state = store_if_any(data).ok().flatten();
    if let Some(Ok(Some(state))) = state.map(|store| store.collector()) {
        let behind = format::bytes(state.backlog_bytes);
        let lag = duration(state.write_lag_ns);
        text.push_str(&format!(", {behind} behind, write lag {lag}"));
    }
    text
}

/// Who holds the collector's lock, as the kernel lists it. Taking it to find out could turn a
/// collector away that starts in that moment.
fn lock_holder(lock: &Path) -> Option<u32> {
    let metadata = fs::metadata(lock).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let device = (major(metadata.dev()), minor(metadata.dev()));
    holder_of(&locks, device, metadata.ino())
}

fn holder_of(locks: &str, device: (u32, u32), inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let [kind, _, _, pid, file] = std::array::from_fn(|_| fields.next().unwrap_or_default());
        let mut parts = file.split(':');
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
        let same_file = parts.next()?.parse() == Ok(inode);
        // Layered file systems tell programs another device than the one that is listed here.
        let same_device = (major, minor) == device || device.0 == 0;
        (kind == "FLOCK" && same_file && same_device).then(|| pid.parse().ok())?
    })
}

/// What lies in the spools.
#[derive(Debug, Default, PartialEq, Eq)]
struct Waiting {
    producers: u64,
    bytes: u64,
    dead: u64,
    unknown: u64,
}

impl Waiting {
    fn count(data: &DataDir) -> Self {
        let here = Here::read();
        let mut waiting = Self::default();
        for (producer, folder) in producers(&data.spool()).unwrap_or_default() {
            waiting.producers += 1;
            waiting.bytes += bytes_in(&folder);
            match here.judge(producer) {
                Life::Alive => {}
                Life::Dead => waiting.dead += 1,
                Life::Unknown => waiting.unknown += 1,
            }
        }
        waiting
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let files = folder.read_dir().into_iter().flatten().flatten();
    let lengths = files.filter_map(|file| file.metadata().ok());
    lengths.map(|metadata| metadata.blocks() * 512).sum()
}

fn waiting(waiting: &Waiting, collector_lives: bool) -> Finding {
    let Waiting {
        producers,
        bytes,
        dead,
        unknown,
    } = *waiting;
    if producers == 0 {
        return Finding::ok("spools", "none");
    }
    let mut found = format!(
        "of {} {}, {} on disk; {} ended",
        grouped(producers),
        if producers == 1 {
            "program"
        } else {
            "programs"
        },
        format::bytes(bytes),
        grouped(dead)
    );
    if unknown > 0 {
        found.push_str(&format!(
            ", {} in another container or on another machine",
            grouped(unknown)
        ));
    }
    if dead > 0 && !collector_lives {
        return Finding::off(
            "spools",
            found,
            "argus status   (stores what they recorded)",
        );
    }
    Finding::ok("spools", found)
}

/// Judges by the room for one more chunk: what finds none is lost.
fn budget((used, budget): (u64, u64)) -> Finding {
    let next = used.saturating_add(MIN_CHUNK.into());
    let found = format!(
        "{} of {} used by spools",
        format::bytes(used),
        format::bytes(budget)
    );
    let advice =
        "argus status   (stores what waits), or more room: argus collector --spool-budget 4G";
    if next > budget {
        Finding::problem(
            "disk budget",
            format!("{found}: every new record is lost"),
            advice,
        )
    } else if next > budget / 10 * 9 {
        let found = format!("{found}: all new records but errors are lost");
        Finding::problem("disk budget", found, advice)
    } else {
        Finding::ok("disk budget", found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_device_and_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 08:02:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 13 08:01:77 0 EOF\n\
                     4: -> FLOCK  ADVISORY  WRITE 14 08:01:78 0 EOF\n";
        assert_eq!(holder_of(locks, (8, 1), 77), Some(13));
        assert_eq!(holder_of(locks, (0, 40), 77), Some(12), "layered");
        assert_eq!(
            holder_of(locks, (8, 1), 78),
            None,
            "who waits holds nothing"
        );
        assert_eq!(holder_of("", (8, 1), 77), None);
    }

    #[test]
    fn spools_of_the_dead_wait_only_where_no_collector_lives() {
        let dead = Waiting {
            producers: 2,
            bytes: 131_072,
            dead: 1,
            unknown: 0,
        };
        assert_eq!(waiting(&dead, true).verdict, Verdict::Ok);
        assert_eq!(waiting(&dead, false).verdict, Verdict::Off);
        assert_eq!(waiting(&Waiting::default(), false).verdict, Verdict::Ok);
    }

    #[test]
    fn a_budget_that_loses_records_is_a_problem() {
        let check = |used, verdict| assert_eq!(budget((used, 10 << 20)).verdict, verdict);
        check(0, Verdict::Ok);
        check((9 << 20) - 65_536, Verdict::Ok);
        check(9 << 20, Verdict::Problem);
        check(10 << 20, Verdict::Problem);
    }
}
