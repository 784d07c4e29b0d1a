//! Pages and percentiles in large stores.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Scale;
use super::figures::{Findings, Target};
use super::programs::{Programs, measured};
use crate::step;

/// The size of the store that the targets speak of.
const TARGET_SPANS: u64 = 10_000_000;

pub(super) fn run(programs: &Programs<'_>, scale: Scale) -> Result<Findings> {
    let sizes: &[u64] = scale.pick(
        &[100_000],
        &[1_000_000, TARGET_SPANS],
        &[1_000_000, TARGET_SPANS, 3 * TARGET_SPANS],
    );
    let mut findings = Findings::default();
    findings.explain(
        "A store is filled through the collector's own writer in batches of 10,000 and then asked through \
         the reader that every screen uses. The spans lie in 12 hours: 48 processes of which 6 run at a time and \
         one that does one call in 4,000 all the time; 200 functions called with a skewed frequency, one \
         called 20 times in all, and one (a call in 50) in the first three hours only; 1 % failed with a \
         traceback. Pages have 50 rows; the six hours begin by chance. Every question is asked up to 200 times, for at \
         most 10 s, with other parameters where it has any: each time in a new connection, with nothing \
         in the engine's cache and the file in the system's, and then again. Targets are held against \
         the first answers' 95th percentile of wall time. CPU time stands beside it: on a busy machine \
         the difference is what others took.",
    );
    for &spans in sizes {
        let folder = programs.folder("query")?;
        step::note(&format!("{spans} spans"));
        let mut command = programs.example(&folder, "query_pages");
        command.arg(folder.path("query.db")).arg(spans.to_string());
        let ran = measured(&mut command)?;
        report(&ran.answer()?, spans, &mut findings)?;
    }
    Ok(findings)
}

fn report(answer: &Value, spans: u64, findings: &mut Findings) -> Result<()> {
    let millions = spans as f64 / 1e6;
    let questions = answer["questions"].as_array().context("no questions")?;
    for question in questions {
        let number = |key: &str| {
            let value = question[key].as_f64();
            value.with_context(|| format!("no `{key}` in {question}"))
        };
        let name = question["name"]
            .as_str()
            .context("a question has no name")?;
        let what = format!("{name}, {millions} M spans");
        let (p50, p95) = (number("p50_ms")?, number("p95_ms")?);
        findings.note(format!("{what}, p50"), p50, "ms");
        match question["below_ms"].as_f64() {
            Some(limit) if spans == TARGET_SPANS => {
                findings.judge(format!("{what}, p95"), p95, "ms", Target::Below(limit));
            }
            _ => findings.note(format!("{what}, p95"), p95, "ms"),
        }
        findings.note(
            format!("{what}, p95 of CPU time"),
            number("cpu_p95_ms")?,
            "ms",
        );
        findings.note(
            format!("{what}, p95 when asked again"),
            number("again_p95_ms")?,
            "ms",
        );
    }
    let error = answer["percentile_error"].as_f64().context("no error")?;
    let what = format!("percentiles against exact ones, {millions} M spans");
    findings.judge(what, error * 100.0, "%", Target::AtMost(2.0));
    Ok(())
}
