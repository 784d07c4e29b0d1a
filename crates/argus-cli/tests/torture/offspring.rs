//! `argus gaze --follow-children` and a program with many short-lived children: whoever lived for
//! fifty milliseconds is seen, as a run of its own with its parent and the right exit code; and gaze
//! holds no more for the ten-thousandth than for the hundredth.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use argus_store::query::Cell;

use super::bed::{Bed, Guarded, until};
use super::rounds;

const PROGRAM: &str = include_str!("offspring.py");
/// Who lived for so many milliseconds must be seen.
const LONG_ENOUGH_MS: u32 = 50;
/// Processes that live at the same time, and some more for those whose death is still to be settled.
const AT_A_TIME: u64 = 100;
/// How much more memory the last three quarters of the children may take than the first quarter.
const GROWTH_KIB: u64 = 4 * 1024;

/// One child, as it describes itself before it lives.
#[derive(Debug)]
struct Child {
    pid: i64,
    parent: i64,
    /// Its exit code, or minus the number of its signal.
    way: i64,
    lives_ms: u32,
}

impl Child {
    fn read(line: &str) -> Self {
        let numbers: Vec<i64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
        Self {
            pid: numbers[0],
            parent: numbers[1],
            way: numbers[2],
            lives_ms: u32::try_from(numbers[3]).unwrap(),
        }
    }
}

/// One run, as the store has it.
#[derive(Debug)]
struct Run {
    parent: Option<i64>,
    exit_code: Option<i64>,
    /// Events that say that it ended.
    ends: i64,
}

impl Run {
    /// Whether everything is said of this child, and rightly. Of one that was gone before it could be
    /// attached to, the exit code may be unknown.
    fn is_of(&self, child: &Child) -> bool {
        let is_due = child.lives_ms >= LONG_ENOUGH_MS;
        let code = match self.exit_code {
            Some(code) => code == child.way,
            None => !is_due,
        };
        code && self.parent == Some(child.parent) && self.ends == 1
    }
}

/// What gaze held at a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    descriptors: u64,
    resident_kib: u64,
}

#[test]
fn no_child_that_lived_for_fifty_milliseconds_is_missed() {
    let (bed, count) = (Bed::new(), rounds(300));
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let ledger = bed.path("ledger");
    let mut program = Guarded(program(&bed, count, &ledger).spawn().unwrap());
    // An interpreter may be found by a script, which has children of its own.
    let mut said = BufReader::new(program.0.stdout.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let pid = program.0.id().to_string();
    let mut gaze = bed.argus(&["gaze", "--pid", &pid, "--follow-children"]);
    let mut gaze = Guarded(gaze.stdout(Stdio::null()).spawn().unwrap());
    let begun = "SELECT count(*) FROM process_events WHERE event_type = 'monitoring_started'";
    until("gaze watches the program", || bed.number(begun) >= 1);
    let over = AtomicBool::new(false);
    let held = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(gaze.0.id(), &ledger, count, &over));
        program.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert!(program.0.wait().unwrap().success());
        over.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    assert!(gaze.0.wait().unwrap().success());
    let children: Vec<Child> = std::fs::read_to_string(&ledger)
        .unwrap()
        .lines()
        .map(Child::read)
        .collect();
    held.report();
    settle(&children, runs(&bed, &pid));
}

fn program(bed: &Bed, count: u32, ledger: &Path) -> Command {
    let path = bed.path("offspring.py");
    std::fs::write(&path, PROGRAM).unwrap();
    let mut command = bed.command("python3", &[path.to_str().unwrap(), &count.to_string()]);
    command.arg(ledger);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What gaze held while the first quarter of the children lived, and the others.
#[derive(Debug, Default)]
struct Holdings {
    first: Held,
    others: Held,
}

impl Holdings {
    fn report(&self) {
        println!(
            "children: gaze held at most {} descriptors and {} KiB in the first quarter, {} and {} KiB in the others",
            self.first.descriptors,
            self.first.resident_kib,
            self.others.descriptors,
            self.others.resident_kib
        );
        // A process that is watched takes six descriptors or so.
        let most = self.first.descriptors.max(self.others.descriptors);
        assert!(most < 6 * AT_A_TIME, "{self:?}");
        let grown = self
            .others
            .resident_kib
            .saturating_sub(self.first.resident_kib);
        assert!(grown <= GROWTH_KIB, "{self:?}");
    }
}

fn watch(gaze: u32, ledger: &Path, count: u32, over: &AtomicBool) -> Holdings {
    let mut holdings = Holdings::default();
    while !over.load(Ordering::Relaxed) {
        let so_far = std::fs::read_to_string(ledger).unwrap_or_default();
        let is_early = so_far.lines().count() < count as usize / 4;
        let most = if is_early {
            &mut holdings.first
        } else {
            &mut holdings.others
        };
        let now = held(gaze);
        most.descriptors = most.descriptors.max(now.descriptors);
        most.resident_kib = most.resident_kib.max(now.resident_kib);
        std::thread::sleep(Duration::from_millis(20));
    }
    holdings
}

fn held(pid: u32) -> Held {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
    Held {
        descriptors: descriptors as u64,
        resident_kib: resident.unwrap_or(0),
    }
}

/// Compares what the children said with what is stored, and prints the account.
fn settle(children: &[Child], mut runs: HashMap<i64, Vec<Run>>) {
    let (mut seen, mut due, mut unknown) = (0, 0, 0);
    let (mut missed, mut wrong) = (Vec::new(), Vec::new());
    for child in children {
        let is_due = child.lives_ms >= LONG_ENOUGH_MS;
        due += u32::from(is_due);
        let of_pid = runs.entry(child.pid).or_default();
        let right = of_pid.iter().position(|run| run.is_of(child));
        match right.map(|place| of_pid.swap_remove(place)) {
            Some(run) => {
                seen += 1;
                unknown += u32::from(run.exit_code.is_none());
            }
            None if !of_pid.is_empty() => wrong.push(format!("{child:?} is not {of_pid:?}")),
            None if is_due => missed.push(child),
            None => {}
        }
    }
    println!(
        "children: {} ended, {due} of them lived {LONG_ENOUGH_MS} ms or more; {seen} seen, of the \
         short-lived {unknown} without exit code; {} missed, {} wrong",
        children.len(),
        missed.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let doubled: Vec<&Run> = runs.values().flatten().collect();
    assert!(doubled.is_empty(), "nobody's: {doubled:?}");
    assert!(missed.is_empty(), "missed: {missed:?}");
}

/// All runs but the program's own, by pid, which may pass from one to the next.
fn runs(bed: &Bed, program: &str) -> HashMap<i64, Vec<Run>> {
    let ends =
        "SELECT run_id, count(*) FROM process_events WHERE event_type = 'terminated' GROUP BY 1";
    let ends: HashMap<i64, i64> = rows(bed, ends)
        .map(|row| (row[0].unwrap(), row[1].unwrap()))
        .collect();
    let query = format!(
        "SELECT id, pid, parent_pid, exit_code FROM process_runs WHERE NOT observer AND pid != {program}"
    );
    let mut runs: HashMap<i64, Vec<Run>> = HashMap::new();
    for row in rows(bed, &query) {
        let run = Run {
            parent: row[2],
            exit_code: row[3],
            ends: ends.get(&row[0].unwrap()).copied().unwrap_or(0),
        };
        runs.entry(row[1].unwrap()).or_default().push(run);
    }
    runs
}

/// What a query of numbers answers.
fn rows(bed: &Bed, query: &str) -> impl Iterator<Item = Vec<Option<i64>>> {
    let number = |cell: &Cell| match cell {
        Cell::Int(number) => Some(*number),
        _ => None,
    };
    let rows = bed.store().query(query, 1_000_000).unwrap().rows;
    rows.into_iter()
        .map(move |row| row.iter().map(number).collect())
}
