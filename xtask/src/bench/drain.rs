//! From spool to store: what the collector spends on a span, and what other schemas would.

use anyhow::{Result, bail};

use super::Scale;
use super::figures::{Findings, Target, median, quantity};
use super::programs::{Folder, Programs, measured};
use crate::step;

const DATABASE: &str = "argus_runtime.db";

/// A schema that `peer_store` writes, and how it is named in the table.
const PEERS: [Peer; 3] = [
    Peer {
        words: ["literal", "100"],
        name: "literal schema, batches of 100",
    },
    Peer {
        words: ["literal", "10000"],
        name: "literal schema, batches of 10,000",
    },
    Peer {
        words: ["bare", "10000"],
        name: "bare rows, batches of 10,000",
    },
];

struct Peer {
    words: [&'static str; 2],
    name: &'static str,
}

/// What one round cost.
struct Cost {
    spans_per_cpu_second: f64,
    bytes_per_span: f64,
}

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    let (spans, rounds) = scale.pick((100_000, 1), (1_000_000, 3), (1_000_000, 5));
    let mut findings = Findings::default();
    findings.explain(format!(
        "A program emits {} spans with two arguments each (`flood`) while no collector runs; then \
         `argus collector` drains its spool into an empty database and leaves. Counted is the CPU time of \
         the collector's whole process, user and system, over the spans in the store afterwards.",
        quantity(spans as f64, "")
    ));
    findings.explain(
        "Beside it, in turns: the two tables of the monitor decorator's specification with their primary \
         keys and indexes, one row a call and one an argument, and one narrow table of five integers \
         (*bare rows*), which no schema can beat. Both are written by Rust through the same SQLite with \
         WAL and synchronous=NORMAL from rows in memory: they read no spool, keep no names, statistics or \
         positions. Medians of the rounds.",
    );
    compare(programs, spans, rounds, &mut findings)?;
    let (step_spans, steps) = scale.pick((100_000, 3), (1_000_000, 6), (1_000_000, 30));
    grow(programs, step_spans, steps, &mut findings)?;
    Ok(findings)
}

fn compare(
    programs: &Programs<'_>,
    spans: u64,
    rounds: usize,
    findings: &mut Findings,
) -> Result<()> {
    let mut ours = Vec::new();
    let mut theirs: [Vec<Cost>; 3] = Default::default();
    for round in 1..=rounds {
        step::note(&format!("round {round} of {rounds}"));
        let folder = programs.folder("drain")?;
        ours.push(drained(programs, &folder, spans, spans)?);
        for (peer, costs) in PEERS.iter().zip(&mut theirs) {
            costs.push(written(programs, peer, spans)?);
        }
    }
    let (rate, bytes) = medians("argus", &ours, findings);
    let at_least = Target::AtLeast(250_000.0);
    findings.judge("drain, spool to committed", rate, "spans/CPU-s", at_least);
    findings.note("bytes a span", bytes, "B");
    for (peer, costs) in PEERS.iter().zip(&theirs) {
        let (their_rate, their_bytes) = medians(peer.name, costs, findings);
        let name = peer.name;
        findings.note(name, their_rate, "spans/CPU-s");
        findings.note(format!("{name}: bytes a span"), their_bytes, "B");
        let (times, share) = (rate / their_rate, bytes / their_bytes);
        match peer.words {
            ["literal", "10000"] => {
                let (faster, smaller) = (Target::AtLeast(5.0), Target::AtMost(0.25));
                findings.judge(format!("drain against the {name}"), times, "×", faster);
                findings.judge(format!("bytes against the {name}"), share, "×", smaller);
            }
            _ => findings.note(format!("drain against {name}"), times, "×"),
        }
    }
    Ok(())
}

/// Drains steps into one database that grows, and compares the last three with the first three.
fn grow(programs: &Programs<'_>, spans: u64, steps: u64, findings: &mut Findings) -> Result<()> {
    let folder = programs.folder("drain-growing")?;
    let mut costs = Vec::new();
    for step in 1..=steps {
        step::note(&format!("growing, step {step} of {steps}"));
        costs.push(drained(programs, &folder, spans, step * spans)?);
    }
    let rates: Vec<f64> = costs.iter().map(|cost| cost.spans_per_cpu_second).collect();
    findings.median_of("growing database: spans/CPU-s", &rates);
    let first = median(&rates[..3.min(rates.len())]);
    let last = median(&rates[rates.len().saturating_sub(3)..]);
    let slower = (1.0 - last / first) * 100.0;
    let millions = steps as f64 * spans as f64 / 1e6;
    let what = format!("drain slower at {millions} M rows than over its first three steps");
    // The target speaks of thirty million; less says less.
    if millions >= 30.0 {
        findings.judge(what, slower, "%", Target::AtMost(20.0));
    } else {
        findings.note(what, slower, "%");
    }
    Ok(())
}

/// Floods a spool and drains it; afterwards `stored` spans must be in the store.
fn drained(programs: &Programs<'_>, folder: &Folder, spans: u64, stored: u64) -> Result<Cost> {
    measured(programs.example(folder, "flood").arg(spans.to_string()))?;
    let collector = measured(&mut programs.argus(folder, &["collector", "--idle-exit", "0.1"]))?;
    let question = "SELECT COUNT(*) AS n FROM spans";
    let answer = measured(&mut programs.argus(folder, &["query", "--json", question]))?.answer()?;
    let count = answer.pointer("/0/n").or(answer.get("n"));
    let count = count.and_then(serde_json::Value::as_u64);
    if count != Some(stored) {
        bail!("{stored} spans should be stored, but the store says {answer}");
    }
    Ok(Cost {
        spans_per_cpu_second: spans as f64 / collector.cpu_seconds,
        bytes_per_span: folder.database_bytes(DATABASE) as f64 / stored as f64,
    })
}

/// Lets `peer_store` write the same calls.
fn written(programs: &Programs<'_>, peer: &Peer, spans: u64) -> Result<Cost> {
    let folder = programs.folder("drain-peer")?;
    let mut command = programs.example(&folder, "peer_store");
    command.args(peer.words).arg(spans.to_string());
    command.arg(folder.path("peer.db"));
    let ran = measured(&mut command)?;
    if ran.answer()?["rows"] != spans {
        bail!(
            "{}: {} rows instead of {spans}",
            peer.name,
            ran.stdout.trim()
        );
    }
    Ok(Cost {
        spans_per_cpu_second: spans as f64 / ran.cpu_seconds,
        bytes_per_span: folder.database_bytes("peer.db") as f64 / spans as f64,
    })
}

fn medians(name: &str, costs: &[Cost], findings: &mut Findings) -> (f64, f64) {
    let rates: Vec<f64> = costs.iter().map(|cost| cost.spans_per_cpu_second).collect();
    let bytes: Vec<f64> = costs.iter().map(|cost| cost.bytes_per_span).collect();
    (
        findings.median_of(format!("{name}: spans/CPU-s"), &rates),
        median(&bytes),
    )
}
