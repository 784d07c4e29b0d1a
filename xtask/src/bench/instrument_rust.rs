//! What a span of a Rust program costs, beside its peers in the same run.

use anyhow::{Context, Result};

use super::Scale;
use super::figures::{Findings, Target};
use super::programs::{Programs, measured};
use crate::step;

/// The package that holds the peers, a workspace of its own.
const MANIFEST: &str = "bench/peers/rust/Cargo.toml";

/// How a subject is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recording {
    /// Into a spool, beside a collector.
    Spool,
    /// By others, or not at all.
    Elsewhere,
    /// Turned off.
    Off,
}

use Recording::{Elsewhere, Off, Spool};

/// Subjects of `span-cost`: (name, what it is in the table, how it is run). `#[monitor]` will be one.
const SUBJECTS: [(&str, &str, Recording); 14] = [
    ("nothing", "the loop alone", Elsewhere),
    (
        "deaf",
        "tracing alone, a subscriber that does nothing",
        Elsewhere,
    ),
    ("registry", "bare registry", Elsewhere),
    ("layer", "layer, with registry", Spool),
    ("subscriber", "subscriber", Spool),
    ("guard", "guard, no arguments", Spool),
    ("guard-fields", "guard, two arguments", Spool),
    ("layer-off", "layer, off", Off),
    ("subscriber-off", "subscriber, off", Off),
    ("guard-off", "guard, off", Off),
    (
        "opentelemetry",
        "tracing-opentelemetry, batch, with registry",
        Elsewhere,
    ),
    ("chrome", "tracing-chrome, with registry", Elsewhere),
    ("fastrace", "fastrace, no arguments", Elsewhere),
    ("fastrace-fields", "fastrace, two properties", Elsewhere),
];

/// Of these it is measured how two threads disturb each other.
const IN_PAIRS: [&str; 4] = ["registry", "layer", "subscriber", "guard"];

/// Nanoseconds of one round.
#[derive(Default)]
struct Round {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    process_cpu: Vec<f64>,
}

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    build(programs)?;
    let mut findings = Findings::default();
    findings.explain(
        "A span with two integers as fields is opened, entered, left and closed 1,000 times a run, by a process \
         for each subject; processes take turns for several rounds. The figures are medians over the rounds of \
         medians over the runs, less those of the loop alone, in CPU time of the thread: on a busy machine a long \
         run loses its core more often than a short one. *Process* is the CPU time of the whole process \
         a span, the peer's own threads and the handing over after each run included.",
    );
    findings.explain(
        "Argus records into a spool beside a collector, waits after each run until that has committed, and sleeps \
         5 µs a span, so that chunks come back as fast as they are filled; what the collector spends stands in the \
         drain bench. tracing-opentelemetry exports to nowhere through the batch processor, tracing-chrome writes \
         to nowhere, fastrace reports local spans of one trace to nowhere. *Beyond the registry* is the difference \
         to a registry without a layer. In pairs, two threads record at the same time.",
    );
    let rounds: u32 = scale.pick(1, 5, 9);
    let mut all: Vec<Round> = SUBJECTS.iter().map(|_| Round::default()).collect();
    let mut pairs = vec![Vec::new(); IN_PAIRS.len()];
    for round in 1..=rounds {
        step::note(&format!("round {round} of {rounds}"));
        for (subject, costs) in SUBJECTS.iter().zip(&mut all) {
            let answer = cost(programs, scale, subject.0, subject.2, 1)?;
            costs.wall.push(answer.wall);
            costs.cpu.push(answer.cpu);
            costs.process_cpu.push(answer.process_cpu);
        }
        for (name, ratios) in IN_PAIRS.iter().zip(&mut pairs) {
            let recording = recording(name);
            let alone = cost(programs, scale, name, recording, 1)?;
            let together = cost(programs, scale, name, recording, 2)?;
            ratios.push(together.cpu / alone.cpu);
        }
    }
    report(&all, &mut findings);
    for (name, ratios) in IN_PAIRS.iter().zip(&pairs) {
        let slowed = findings.median_of(format!("{name}, two threads against one"), ratios);
        let what = format!("{name}: two threads against one, CPU a span");
        match *name {
            "registry" => findings.note(what, slowed, "×"),
            _ => findings.judge(what, slowed, "×", Target::AtMost(1.2)),
        }
    }
    Ok(findings)
}

fn recording(name: &str) -> Recording {
    let subject = SUBJECTS.iter().find(|subject| subject.0 == name);
    subject.map_or(Elsewhere, |subject| subject.2)
}

fn build(programs: &Programs<'_>) -> Result<()> {
    let workspace = programs.workspace;
    let mut cargo = workspace.cargo(&["build", "--release", "--quiet", "--locked"]);
    cargo.args(["--manifest-path", MANIFEST, "--target-dir"]);
    cargo.arg(workspace.target("peers"));
    step::run("build the peers, in release", &mut cargo)
}

struct Cost {
    wall: f64,
    cpu: f64,
    process_cpu: f64,
}

fn cost(
    programs: &Programs<'_>,
    scale: Scale,
    name: &str,
    recording: Recording,
    threads: u32,
) -> Result<Cost> {
    let runs: u32 = scale.pick(20, 200, 400);
    let folder = programs.folder("instrument-rust")?;
    let _collector = match recording {
        Spool => Some(programs.collector(&folder)?),
        Elsewhere | Off => None,
    };
    let workspace = programs.workspace;
    let mut command = workspace.command(workspace.target("peers/release/span-cost"));
    programs.record_into(&folder, &mut command);
    if recording == Off {
        command.env("ARGUS_DISABLE", "1");
    }
    command.args([name, &runs.to_string(), &threads.to_string()]);
    let answer = measured(&mut command)?.answer()?;
    let nanos = |key: &str| {
        let nanos = answer[key].as_f64();
        nanos.with_context(|| format!("span-cost {name}: no {key}"))
    };
    Ok(Cost {
        wall: nanos("wall_ns")?,
        cpu: nanos("cpu_ns")?,
        process_cpu: nanos("process_cpu_ns")?,
    })
}

/// Medians of CPU time less those of the loop alone.
struct Added(Vec<f64>);

impl Added {
    fn of(&self, name: &str) -> f64 {
        let place = SUBJECTS.iter().position(|subject| subject.0 == name);
        place.map_or(f64::NAN, |place| self.0[place] - self.0[0])
    }

    fn beyond_the_registry(&self, name: &str) -> f64 {
        self.of(name) - self.of("registry")
    }
}

fn report(all: &[Round], findings: &mut Findings) {
    let medians = SUBJECTS.iter().zip(all);
    let medians = medians.map(|((name, ..), round)| {
        findings.median_of(format!("{name}, CPU of the thread"), &round.cpu)
    });
    let added = Added(medians.collect());
    for ((name, what, recording), round) in SUBJECTS.iter().zip(all).skip(1) {
        let limit = match (*name, recording) {
            (_, Off) => Some(Target::AtMost(2.0)),
            ("subscriber", _) => Some(Target::AtMost(50.0)),
            ("guard", _) => Some(Target::AtMost(30.0)),
            _ => None,
        };
        match limit {
            Some(limit) => findings.judge(format!("{what}: added"), added.of(name), "ns", limit),
            None => findings.note(format!("{what}: added"), added.of(name), "ns"),
        }
        let wall = findings.median_of(format!("{name}, wall"), &round.wall);
        findings.note(format!("{what}: wall time"), wall, "ns");
        let process = findings.median_of(format!("{name}, process"), &round.process_cpu);
        findings.note(format!("{what}: process"), process, "ns");
    }
    compare(&added, findings);
}

fn compare(added: &Added, findings: &mut Findings) {
    let layer = added.beyond_the_registry("layer");
    let limit = Target::AtMost(100.0);
    findings.judge("layer: beyond the registry", layer, "ns", limit);
    findings.judge(
        "tracing-opentelemetry against the layer, beyond the registry",
        added.beyond_the_registry("opentelemetry") / layer,
        "×",
        Target::AtLeast(8.0),
    );
    findings.note(
        "tracing-opentelemetry against the layer, with the registry",
        added.of("opentelemetry") / added.of("layer"),
        "×",
    );
    findings.note(
        "tracing-chrome against the layer, beyond the registry",
        added.beyond_the_registry("chrome") / layer,
        "×",
    );
    findings.judge(
        "fastrace against the guard, no arguments",
        added.of("fastrace") / added.of("guard"),
        "×",
        Target::AtLeast(2.0),
    );
    findings.note(
        "fastrace against the guard, two arguments",
        added.of("fastrace-fields") / added.of("guard-fields"),
        "×",
    );
}
