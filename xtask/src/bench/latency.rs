//! From an emit to the screen state of another process.

use anyhow::{Context, Result};

use super::Scale;
use super::figures::{Findings, Target};
use super::programs::{Programs, guarded, measured};
use crate::step;

/// How the program behaves, and how the table says it.
const BEHAVIOURS: [(&str, &str); 2] = [
    ("sporadic", "sporadic"),
    ("50000", "while 50,000 spans/s are emitted"),
];

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    let (seen, rounds) = scale.pick((20, 1), (60, 3), (200, 5));
    let mut findings = Findings::default();
    findings.explain(format!(
        "Three processes: one opens a span every 0.2 s and keeps it open for 60 ms, the collector stores \
         it, and the third follows the store as `argus watch` does, with its live state. The latency \
         reaches from the start that the span carries to the moment when the live state of the third \
         process holds it. {seen} spans a round; rounds of each kind in turns: {rounds}; the figures are \
         medians of the rounds' percentiles. Under load another thread of the first process emits 50,000 \
         spans a second with two arguments each."
    ));
    let mut percentiles = [const { [const { Vec::new() }; 2] }; 2];
    let mut rates = Vec::new();
    for round in 1..=rounds {
        step::note(&format!("round {round} of {rounds}"));
        for ((behaviour, _), [p50, p95]) in BEHAVIOURS.iter().zip(&mut percentiles) {
            let seen = watched(programs, behaviour, seen)?;
            p50.push(seen.p50_ms);
            p95.push(seen.p95_ms);
            if *behaviour != "sporadic" {
                rates.push(seen.stored_per_second);
            }
        }
    }
    for ((_, name), [p50, p95]) in BEHAVIOURS.iter().zip(&percentiles) {
        for (percentile, values, limit) in [("p50", p50, 10.0), ("p95", p95, 40.0)] {
            let what = format!("emit to screen, {name}, {percentile}");
            let value = findings.median_of(what.clone(), values);
            findings.judge(what, value, "ms", Target::AtMost(limit));
        }
    }
    let rate = findings.median_of("stored under load: spans/s", &rates);
    findings.note("stored meanwhile under load", rate, "spans/s");
    Ok(findings)
}

struct Seen {
    p50_ms: f64,
    p95_ms: f64,
    stored_per_second: f64,
}

fn watched(programs: &Programs<'_>, behaviour: &str, count: u32) -> Result<Seen> {
    let folder = programs.folder("latency")?;
    let _collector = programs.collector(&folder)?;
    let _program = guarded(
        programs
            .example(&folder, "screen_latency")
            .args(["program", behaviour]),
    )?;
    let mut screen = programs.example(&folder, "screen_latency");
    let answer = measured(screen.args(["screen", &count.to_string()]))?.answer()?;
    let number = |key: &str| {
        let value = answer[key].as_f64();
        value.with_context(|| format!("no `{key}` in {answer}"))
    };
    Ok(Seen {
        p50_ms: number("p50_ms")?,
        p95_ms: number("p95_ms")?,
        stored_per_second: number("stored_per_second")?,
    })
}
