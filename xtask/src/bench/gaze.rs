//! What it costs to watch fifty processes, and how soon an end is noticed.

mod deaths;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Scale;
use super::figures::{Findings, Target};
use super::meter::{Meter, Resident};
use super::programs::{Folder, Guarded, Partner, Programs, counted, guarded, until};
use crate::python::{Environment, Purpose};
use crate::step;

const SCRIPT: &str = "bench/peers/psutil_loop.py";
/// How many are watched at once.
const CROWD: usize = 50;
const CORE: &str = "% of a core";

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watcher {
    /// Argus, so many times a second.
    Gaze(u32),
    Peer(Peer),
}

/// Once a second, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Pidstat,
    Psutil,
    Glances,
}

/// In the order in which they take turns.
const WATCHERS: [(Watcher, &str); 5] = [
    (Watcher::Gaze(1), "gaze, 50 processes at 1 Hz"),
    (
        Watcher::Peer(Peer::Pidstat),
        "pidstat, 50 processes at 1 Hz",
    ),
    (Watcher::Gaze(10), "gaze, 50 processes at 10 Hz"),
    (
        Watcher::Peer(Peer::Psutil),
        "psutil loop, 50 processes at 1 Hz",
    ),
    (
        Watcher::Peer(Peer::Glances),
        "glances, all processes at 1 Hz",
    ),
];

/// What watching took.
#[derive(Debug, Default)]
struct Costs {
    /// Per cent of a core, in every round.
    cpu: Vec<f64>,
    /// Of the collector meanwhile, in the rounds of gaze.
    collector: Vec<f64>,
    resident: Vec<f64>,
    highest: Vec<f64>,
}

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    let environment = Environment::prepare(programs.workspace, Purpose::Bench)?;
    require_pidstat()?;
    let (seconds, rounds) = scale.pick((3, 1), (10, 3), (30, 5));
    let mut findings = Findings::default();
    explain(seconds, rounds, &mut findings);
    let mut costs: [Costs; WATCHERS.len()] = Default::default();
    let folder = programs.folder("crowd")?;
    let mut crowd = programs.example(&folder, "gaze_crowd");
    let mut crowd = Partner::start(crowd.arg(CROWD.to_string()))?;
    let pids: Vec<u32> = crowd.hear()?;
    let bench = Bench {
        programs,
        environment: &environment,
        pids: &pids,
        window: Duration::from_secs(seconds),
    };
    for round in 1..=rounds {
        step::note(&format!("round {round} of {rounds}"));
        for ((watcher, name), costs) in WATCHERS.iter().zip(&mut costs) {
            bench
                .watched_by(*watcher, costs)
                .with_context(|| (*name).to_owned())?;
        }
    }
    drop(crowd);
    report(&costs, &mut findings);
    deaths::run(programs, scale, &mut findings)?;
    Ok(findings)
}

fn require_pidstat() -> Result<()> {
    let found = Command::new("pidstat").arg("-V").output();
    found.context("pidstat is needed (on Debian and Ubuntu: apt install sysstat)")?;
    Ok(())
}

fn explain(seconds: u64, rounds: usize, findings: &mut Findings) {
    findings.explain(format!(
        "{CROWD} processes are watched (`gaze_crowd`), by one gaze: 36 wait, 8 use one per cent of a core, 6 have ten \
         threads. Watchers take turns, each alone, {rounds} rounds. When a watcher has started and measured, \
         its CPU time, user and system, of all its threads, is taken over {seconds} s, in nanoseconds as \
         the scheduler counts them; the figures are medians, in per cent of one core. The collector \
         that stores what gaze records is a process for all of Argus, and stands apart. Afterwards the \
         store must hold nine in ten of the readings that the interval promises."
    ));
    findings.explain(
        "pidstat (`-u -r`, CPU and memory) and gaze print to /dev/null. The psutil loop \
         (bench/peers/psutil_loop.py: CPU, memory, threads) prints nothing. Neither stores anything. glances \
         (`--stdout processlist`) looks at every process of the machine, and cannot be told otherwise. MB are \
         a million bytes, of resident memory with all that is shared; the highest of all rounds.",
    );
}

/// What all watchers share.
struct Bench<'a> {
    programs: &'a Programs<'a>,
    environment: &'a Environment<'a>,
    pids: &'a [u32],
    window: Duration,
}

impl Bench<'_> {
    fn watched_by(&self, watcher: Watcher, costs: &mut Costs) -> Result<()> {
        let peer = match watcher {
            Watcher::Gaze(rate) => return self.gazed_at(rate, costs),
            Watcher::Peer(peer) => guarded(&mut self.peer(peer))?,
        };
        let meter = Meter::of(peer.pid());
        meter.until_it_waits(Duration::from_millis(400))?;
        let before = meter.cpu_seconds()?;
        std::thread::sleep(self.window);
        costs.cpu.push(self.percent(meter.cpu_seconds()? - before));
        costs.remember(meter.resident()?);
        Ok(())
    }

    fn peer(&self, peer: Peer) -> Command {
        let pids = |separator: &str| {
            let pids: Vec<String> = self.pids.iter().map(u32::to_string).collect();
            pids.join(separator)
        };
        match peer {
            Peer::Pidstat => {
                let mut command = self.programs.workspace.command("pidstat");
                command.args(["-u", "-r", "-p", &pids(","), "1"]);
                command
            }
            Peer::Psutil => {
                let mut command = self.environment.command("python");
                command.args([SCRIPT, "1"]).args(pids(" ").split(' '));
                command
            }
            Peer::Glances => {
                let mut command = self.environment.command("glances");
                command.args(["--stdout", "processlist", "--time", "1"]);
                command.args(["--disable-check-update", "--disable-plugin", "all"]);
                command.args(["--enable-plugin", "processlist,processcount"]);
                command
            }
        }
    }

    fn gazed_at(&self, rate: u32, costs: &mut Costs) -> Result<()> {
        let folder = self.programs.folder("gaze")?;
        let collector = self.programs.collector(&folder)?;
        let gaze = gaze(self.programs, &folder, self.pids, rate)?;
        until("gaze has measured all", || {
            let measured = "SELECT count(DISTINCT process_id) AS n FROM performance_metrics";
            counted(self.programs, &folder, measured) == Some(self.pids.len() as u64)
        })?;
        let (gaze, collector) = (Meter::of(gaze.pid()), Meter::of(collector.pid()));
        let before = (gaze.cpu_seconds()?, collector.cpu_seconds()?);
        std::thread::sleep(self.window);
        let after = (gaze.cpu_seconds()?, collector.cpu_seconds()?);
        costs.cpu.push(self.percent(after.0 - before.0));
        costs.collector.push(self.percent(after.1 - before.1));
        costs.remember(gaze.resident()?);
        self.require_readings(&folder, rate)
    }

    /// Cheap because it did not look would be too cheap.
    fn require_readings(&self, folder: &Folder, rate: u32) -> Result<()> {
        let promised = self.window.as_secs() * u64::from(rate) * self.pids.len() as u64;
        let readings = "SELECT count(*) AS n FROM performance_metrics";
        let stored = counted(self.programs, folder, readings).unwrap_or(0);
        if stored < promised * 9 / 10 {
            bail!("{stored} readings are stored, {promised} were promised");
        }
        Ok(())
    }

    fn percent(&self, cpu_seconds: f64) -> f64 {
        100.0 * cpu_seconds / self.window.as_secs_f64()
    }
}

impl Costs {
    fn remember(&mut self, resident: Resident) {
        self.resident.push(resident.now_mb);
        self.highest.push(resident.highest_mb);
    }

    /// In any round.
    fn highest(&self) -> f64 {
        self.highest.iter().copied().fold(0.0, f64::max)
    }
}

/// Watches these processes so many times a second.
fn gaze(programs: &Programs<'_>, folder: &Folder, pids: &[u32], rate: u32) -> Result<Guarded> {
    let mut command = programs.argus(folder, &["gaze", "--interval"]);
    command.arg((1.0 / f64::from(rate)).to_string());
    for pid in pids {
        command.args(["--pid", &pid.to_string()]);
    }
    guarded(&mut command)
}

fn report(costs: &[Costs; WATCHERS.len()], findings: &mut Findings) {
    let mut at_one_hertz = f64::NAN;
    for ((watcher, name), costs) in WATCHERS.iter().zip(costs) {
        let cpu = findings.median_of(format!("{name}: % of a core"), &costs.cpu);
        match watcher {
            Watcher::Gaze(rate) => {
                report_gaze(*rate, name, cpu, costs, findings);
                if *rate == 1 {
                    at_one_hertz = cpu;
                }
            }
            Watcher::Peer(peer) => {
                findings.note(format!("{name}: CPU"), cpu, CORE);
                findings.note(format!("{name}: memory, highest"), costs.highest(), "MB");
                let (what, times) = (format!("{name}, against gaze"), cpu / at_one_hertz);
                match peer {
                    // It looks at more than it was asked for.
                    Peer::Glances => findings.note(what, times, "×"),
                    _ => findings.judge(what, times, "×", Target::AtLeast(4.0)),
                }
            }
        }
    }
}

fn report_gaze(rate: u32, name: &str, cpu: f64, costs: &Costs, findings: &mut Findings) {
    let limit = if rate == 1 { 0.1 } else { 0.6 };
    findings.judge(format!("{name}: CPU"), cpu, CORE, Target::AtMost(limit));
    let what = format!("{name}: the collector's CPU beside it");
    let collector = findings.median_of(what.clone(), &costs.collector);
    findings.note(what, collector, CORE);
    let limit = Target::AtMost(12.0);
    let what = format!("{name}: memory, highest");
    findings.judge(what, costs.highest(), "MB", limit);
    let resident = findings.median_of(format!("{name}: MB"), &costs.resident);
    findings.note(format!("{name}: memory"), resident, "MB");
}
