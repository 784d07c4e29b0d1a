//! What it costs to follow log files, how soon a line is there, and whether rotation loses any.
//!
//! - latency and speed stand here: [`run`] asks for one after the other.
//! - [`storm`]: rotation ten times a second, for gaze and its peers.

mod readers;
mod storm;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Scale;
use super::figures::{Findings, Target};
use super::meter::Meter;
use super::programs::{Folder, Guarded, Programs, counted, guarded, measured, until};
use crate::step;

/// Files that nobody writes to.
const RESTING: usize = 100;
/// Looking into the store takes a process; more often would slow down what is measured.
const LOOK: Duration = Duration::from_millis(200);
/// How long it may take until everything of a file is stored.
const PATIENCE: Duration = Duration::from_secs(600);
const FOLLOWED: &str =
    "SELECT count(*) AS n FROM process_events WHERE event_type = 'monitoring_started'";
/// Not a count: that would look at every row.
const NEWEST: &str = "SELECT coalesce(max(id), 0) AS n FROM log_entries";

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    let mut findings = Findings::default();
    latency(programs, scale, &mut findings)?;
    speed(programs, scale, &mut findings)?;
    sustained(programs, scale, &mut findings)?;
    idle(programs, scale, &mut findings)?;
    storm::run(programs, scale, &mut findings)?;
    Ok(findings)
}

fn number(answer: &Value, key: &str) -> Result<f64> {
    let value = answer[key].as_f64();
    value.with_context(|| format!("no `{key}` in {answer}"))
}

/// A gaze that follows a file. It watches this process, which is there for as long as the bench is.
fn gaze(programs: &Programs<'_>, folder: &Folder, from: &str, files: &[&Path]) -> Result<Guarded> {
    let mut command = programs.argus(folder, &["gaze", "--from", from, "--interval", "60"]);
    command.args(["--pid", &std::process::id().to_string()]);
    for file in files {
        command.arg("--logfile").arg(file);
    }
    guarded(&mut command)
}

fn latency(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    let (lines, rounds) = scale.pick((30, 1), (300, 3), (500, 5));
    findings.explain(format!(
        "Latency: {lines} lines a round, 37 ms apart, in {rounds} rounds; medians of the rounds' \
         percentiles. `to parsed` reaches from before the write to the moment when the library's follower \
         has handed the line over in another thread and its parser has read it; `to the store` from \
         before the write to the moment when another process finds the row, which gaze has recorded and the \
         collector committed (`tail_latency`)."
    ));
    let kinds = [
        ("parsed", "write to parsed", 10.0),
        ("stored", "write to the store", 60.0),
    ];
    let mut percentiles = [const { [const { Vec::new() }; 2] }; 2];
    for round in 1..=rounds {
        step::note(&format!("latency, round {round} of {rounds}"));
        for ((kind, _, _), [p50, p95]) in kinds.iter().zip(&mut percentiles) {
            let folder = programs.folder("tail-latency")?;
            let _collector = programs.collector(&folder)?;
            let log = folder.path("app.log");
            File::create(&log)?;
            let _gaze = gaze(programs, &folder, "end", &[&log])?;
            let mut example = programs.example(&folder, "tail_latency");
            example.args([kind, &*lines.to_string()]).arg(&log);
            let answer = measured(&mut example)?.answer()?;
            p50.push(number(&answer, "p50_ms")?);
            p95.push(number(&answer, "p95_ms")?);
        }
    }
    for ((_, name, limit), [p50, p95]) in kinds.iter().zip(&percentiles) {
        let what = format!("{name}, p50");
        let value = findings.median_of(what.clone(), p50);
        findings.note(what, value, "ms");
        let what = format!("{name}, p95");
        let value = findings.median_of(what.clone(), p95);
        findings.judge(what, value, "ms", Target::AtMost(*limit));
    }
    Ok(())
}

fn speed(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    let (megabytes, rounds) = scale.pick((20, 1), (100, 3), (100, 5));
    findings.explain(format!(
        "Speed of the library: a file of {megabytes} MB in lines of some 100 bytes appears, and the follower \
         hands every line to a receiver that counts (`tail_burst`); {rounds} rounds. The parser reads 20,000 \
         generated lines of each format, nine times, the best of which counts (`parse_cost`); the table has the \
         slowest format and a few that are common."
    ));
    let folder = programs.folder("tail-burst")?;
    let mut rates = Vec::new();
    for round in 1..=rounds {
        step::note(&format!("burst, round {round} of {rounds}"));
        let mut example = programs.example(&folder, "tail_burst");
        example.arg(megabytes.to_string()).arg(folder.path(""));
        let answer = measured(&mut example)?.answer()?;
        rates.push(number(&answer, "megabytes_per_second")?);
    }
    let what = "a burst, split into lines";
    let rate = findings.median_of(what, &rates);
    findings.judge(what, rate, "MB/s", Target::AtLeast(300.0));
    let answer = measured(&mut programs.example(&folder, "parse_cost"))?.answer()?;
    let parsed = answer["parsed_lines_per_second"].as_object();
    let parsed = parsed.context("no speeds of the parser")?;
    let of = |format: &str| parsed.get(format).and_then(Value::as_f64);
    for format in ["json", "logfmt", "python", "access", "plain"] {
        let rate = of(format).with_context(|| format!("no speed for {format}"))?;
        findings.note(format!("parsed, {format}"), rate, "lines/s");
    }
    let rates = parsed.values().filter_map(Value::as_f64);
    let slowest = rates.fold(f64::INFINITY, f64::min);
    let enough = Target::AtLeast(500_000.0);
    findings.judge("parsed, the slowest format", slowest, "lines/s", enough);
    Ok(())
}

fn sustained(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    let (lines, rounds) = scale.pick((100_000, 1), (2_000_000, 3), (2_000_000, 5));
    findings.explain(format!(
        "Into the store: a file of {lines} lines of 100 bytes is there when gaze begins to follow it with \
         `--from start`; the time from gaze's start until its last line is committed, {rounds} rounds. The CPU \
         seconds are those of gaze and of the collector meanwhile. The store is looked at five times a second."
    ));
    let (mut rates, mut by_gaze, mut by_collector) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        step::note(&format!("into the store, round {round} of {rounds}"));
        let folder = programs.folder("tail-sustained")?;
        let log = folder.path("app.log");
        write_lines(&log, lines)?;
        let collector = programs.collector(&folder)?;
        let collector = (Meter::of(collector.pid()), collector);
        let began = Instant::now();
        let gaze = gaze(programs, &folder, "start", &[&log])?;
        let gaze = (Meter::of(gaze.pid()), gaze);
        while counted(programs, &folder, NEWEST).unwrap_or(0) < lines {
            if began.elapsed() > PATIENCE {
                bail!("not everything was stored in time");
            }
            std::thread::sleep(LOOK);
        }
        rates.push(lines as f64 / began.elapsed().as_secs_f64());
        by_gaze.push(gaze.0.cpu_seconds()?);
        by_collector.push(collector.0.cpu_seconds()?);
    }
    let what = "from a file into the store";
    let rate = findings.median_of(what, &rates);
    findings.judge(what, rate, "lines/s", Target::AtLeast(150_000.0));
    for (who, seconds) in [("gaze", by_gaze), ("the collector", by_collector)] {
        let seconds = findings.median_of(format!("CPU of {who}: s"), &seconds);
        let a_million = seconds * 1e6 / lines as f64;
        findings.note(format!("CPU of {who} for a million lines"), a_million, "s");
    }
    Ok(())
}

fn write_lines(path: &Path, count: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..count {
        let user = number % 977;
        writeln!(
            file,
            "2026-01-27 14:23:45,123 - shop.cart - INFO - item {number:08} was added to the cart of user u{user:03}, ok"
        )?;
    }
    file.flush().context("cannot write a log")
}

fn idle(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    let seconds = scale.pick(3, 20, 60);
    findings.explain(format!(
        "At rest: gaze follows {RESTING} files that nobody writes to, for {seconds} s. It measures one process \
         once a minute meanwhile."
    ));
    let folder = programs.folder("tail-idle")?;
    let paths: Vec<_> = (0..RESTING)
        .map(|number| folder.path(&format!("{number}.log")))
        .collect();
    for path in &paths {
        std::fs::write(path, "what was there before\n")?;
    }
    let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
    let _collector = programs.collector(&folder)?;
    let gaze = gaze(programs, &folder, "end", &paths)?;
    until("gaze follows", || {
        counted(programs, &folder, FOLLOWED) == Some(1)
    })?;
    // Its first measurement comes soon after.
    std::thread::sleep(Duration::from_secs(1));
    let meter = Meter::of(gaze.pid());
    let (before, began) = (meter.cpu_seconds()?, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let used = 100.0 * (meter.cpu_seconds()? - before) / began.elapsed().as_secs_f64();
    let what = format!("gaze, {RESTING} files that rest: CPU");
    findings.judge(what, used, "% of a core", Target::Below(0.1));
    Ok(())
}

/// Whether a program can be started, told so if not.
fn is_there(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        step::note(&format!("{program} is left out (apt install {package})"));
    }
    found
}
