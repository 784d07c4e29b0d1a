//! What an instrumented call costs its program.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Scale;
use super::figures::{Findings, Target};
use super::programs::{Programs, measured};
use crate::python::{Environment, Purpose};
use crate::step;
use crate::workspace::Profile;

const SCRIPT: &str = "bench/peers/compare.py";

/// How Argus compares with a peer of the same kind: (peer, Argus, times cheaper as the design has it).
const RATIOS: [(&str, &str, Option<Target>); 5] = [
    (
        "plain decorator",
        "argus, args + result",
        Some(Target::AtLeast(50.0)),
    ),
    (
        "OpenTelemetry, batch + attributes",
        "argus, args + result",
        Some(Target::AtLeast(150.0)),
    ),
    (
        "OpenTelemetry, batch, no attributes",
        "argus, no capture",
        None,
    ),
    (
        "logfire",
        "argus, args + result",
        Some(Target::AtLeast(500.0)),
    ),
    ("viztracer", "argus, no capture", Some(Target::AtLeast(1.0))),
];

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    let environment = Environment::prepare(programs.workspace, Purpose::Bench)?;
    environment.install_package(Profile::Release)?;
    let mut findings = Findings::default();
    findings.explain(
        "A Python function that adds two integers is called 1,000 times a run, undecorated and decorated by \
         each peer, in turns; the figures are medians over the runs less the median of the undecorated \
         function. *CPU of the thread* is that of the calling thread; *CPU of the process* also counts the \
         peer's own threads until everything is handed over. After every run each peer may settle, so that \
         no one pays for another: *sustained*. Argus waits until the collector has committed, and sleeps 5 \
         µs a call, so that chunks come back as fast as they are filled; *burst* does not wait, and meets \
         fresh pages. What the collector spends stands in the drain bench. \
         Ratios are held against CPU time of the thread: on a busy machine a long call loses its core more often \
         than a short one, which would flatter the short one.",
    );
    findings.explain(
        "The plain decorator is bench/peers/plain_decorator.py, the monitor decorator's specification in \
         Python. OpenTelemetry and logfire export to nowhere, through a batch processor. viztracer traces \
         with its defaults. The Rust guard is `span!` with two integer arguments, opened and closed in a loop.",
    );
    let runs = scale.pick(3, 100, 400);
    step::note("Python, sustained");
    let sustained = compare(programs, &environment, runs, &[])?;
    report(&sustained, &mut findings)?;
    step::note("Python, burst");
    let burst = compare(programs, &environment, runs, &["--burst"])?;
    let what = "argus, args + result, burst: added";
    findings.note(
        what,
        added(&burst, "argus, args + result", "wall_ns")?,
        "ns",
    );
    guard(programs, scale, &mut findings)?;
    Ok(findings)
}

/// Runs the comparison on a database of its own.
fn compare(
    programs: &Programs<'_>,
    environment: &Environment<'_>,
    runs: u32,
    options: &[&str],
) -> Result<Value> {
    let folder = programs.folder("instrument")?;
    let _collector = match options {
        [] => Some(programs.collector(&folder)?),
        _ => None,
    };
    let mut script = environment.command("python");
    script
        .args([SCRIPT, "--runs", &runs.to_string()])
        .args(options);
    programs.record_into(&folder, &mut script);
    measured(&mut script)?.answer()
}

fn report(answer: &Value, findings: &mut Findings) -> Result<()> {
    let limits = [
        ("argus, args + result", Target::AtMost(100.0)),
        ("argus, async, args + result", Target::AtMost(150.0)),
    ];
    let subjects = answer["added"].as_object().context("no `added`")?;
    for (name, costs) in subjects {
        let nanos = |key: &str| {
            costs[key]
                .as_f64()
                .with_context(|| format!("{name}: no {key}"))
        };
        let what = format!("{name}: added, sustained");
        match limits.iter().find(|(limited, _)| limited == name) {
            Some(&(_, limit)) => findings.judge(what, nanos("wall_ns")?, "ns", limit),
            None => findings.note(what, nanos("wall_ns")?, "ns"),
        }
        findings.note(
            format!("{name}: CPU of the thread"),
            nanos("thread_cpu_ns")?,
            "ns",
        );
        findings.note(
            format!("{name}: CPU of the process"),
            nanos("process_cpu_ns")?,
            "ns",
        );
    }
    for (peer, ours, target) in RATIOS {
        let ratio = |key: &str| {
            Ok::<_, anyhow::Error>(added(answer, peer, key)? / added(answer, ours, key)?)
        };
        let what = format!("{peer} against {ours}");
        match target {
            Some(target) => findings.judge(&*what, ratio("thread_cpu_ns")?, "×", target),
            None => findings.note(&*what, ratio("thread_cpu_ns")?, "×"),
        }
        findings.note(format!("{what}, wall time"), ratio("wall_ns")?, "×");
    }
    Ok(())
}

fn added(answer: &Value, name: &str, key: &str) -> Result<f64> {
    let nanos = answer["added"][name][key].as_f64();
    nanos.with_context(|| format!("{SCRIPT} did not measure `{name}`"))
}

/// The guard of the Rust client.
fn guard(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    step::note("Rust");
    let folder = programs.folder("guard")?;
    let _collector = programs.collector(&folder)?;
    let runs: u32 = scale.pick(10, 400, 1_000);
    let mut command = programs.example(&folder, "guard_cost");
    let answer = measured(command.arg(runs.to_string()))?.answer()?;
    let nanos = |key: &str| {
        answer[key]
            .as_f64()
            .with_context(|| format!("guard_cost: no {key}"))
    };
    let limit = Target::AtMost(30.0);
    findings.judge(
        "Rust guard: added, sustained",
        nanos("sustained_ns")?,
        "ns",
        limit,
    );
    findings.note(
        "Rust guard: CPU of the thread",
        nanos("sustained_cpu_ns")?,
        "ns",
    );
    findings.note("Rust guard: added, burst", nanos("burst_ns")?, "ns");
    Ok(())
}
