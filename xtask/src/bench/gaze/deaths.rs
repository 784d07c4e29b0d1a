//! How soon the end of somebody else's child is noticed, and whether its exit code is right.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::gaze;
use crate::bench::Scale;
use crate::bench::figures::{Findings, Target, percentile};
use crate::bench::programs::{Folder, Partner, Programs, counted, measured, until};
use crate::step;

/// One that has ended, as its parent tells it: id, exit code (−N for signal N), the wall clock in
/// nanoseconds that it read last.
type End = (u32, i32, u64);

/// How many end under one gaze.
const CROWD: usize = 50;

pub(super) fn run(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    let rounds = scale.pick(1, 20, 20);
    let all = rounds * CROWD;
    findings.explain(format!(
        "Then {all} processes that are no children of gaze end, {CROWD} under one gaze after the other, with \
         exit codes of all values and by seven signals (`gaze_deaths`). The last thing each does is to \
         read the clock. From there to the time that the event `terminated` carries in the store is how long \
         its end took to be noticed: the kernel's taking the process down, gaze's waking, and its learning \
         of the exit code are in it."
    ));
    let (mut latencies, mut wrong) = (Vec::new(), 0);
    for round in 1..=rounds {
        step::note(&format!("deaths, round {round} of {rounds}"));
        let folder = programs.folder("deaths")?;
        let (ends, seen) = watched(programs, &folder)?;
        for (pid, code, ended) in ends {
            let (seen_code, seen_at) = seen.get(&pid).copied().unwrap_or_default();
            wrong += u32::from(seen_code != Some(code.into()));
            latencies.extend(seen_at.map(|at| (at as f64 - ended as f64) / 1e6));
        }
    }
    if latencies.len() != all {
        bail!("{} of {all} ends were recorded", latencies.len());
    }
    let none = Target::AtMost(0.0);
    let what = format!("wrong or unknown exit codes of {all} that are no children");
    findings.judge(what, f64::from(wrong), "", none);
    let noticed = |share| percentile(&latencies, share);
    findings.note("end noticed, p50", noticed(0.5), "ms");
    let limit = Target::AtMost(5.0);
    findings.judge("end noticed, p95", noticed(0.95), "ms", limit);
    findings.note("end noticed, p99", noticed(0.99), "ms");
    findings.note("end noticed, the latest", noticed(1.0), "ms");
    Ok(())
}

/// What the store says of an end: exit code, and when.
type Noticed = (Option<i64>, Option<u64>);

/// Lets some die while they are watched: what became of them, and what was seen of it.
fn watched(programs: &Programs<'_>, folder: &Folder) -> Result<(Vec<End>, HashMap<u32, Noticed>)> {
    let _collector = programs.collector(folder)?;
    let mut parent = programs.example(folder, "gaze_deaths");
    let mut parent = Partner::start(parent.arg(CROWD.to_string()))?;
    let pids: Vec<u32> = parent.hear()?;
    let mut gaze = gaze(programs, folder, &pids, 1)?;
    until("gaze watches all", || {
        let begun = "SELECT count(*) AS n FROM process_events
                     WHERE event_type = 'monitoring_started'";
        counted(programs, folder, begun) == Some(pids.len() as u64)
    })?;
    parent.nod()?;
    let ends = parent.hear()?;
    gaze.finish()?;
    let ended = "SELECT process_id, exit_code, at_ns FROM process_events
                 WHERE event_type = 'terminated'";
    let mut query = programs.argus(folder, &["query", "--json", "--limit", "1000", ended]);
    let answer = measured(&mut query)?.answer()?;
    let rows = answer.as_array().context("no list of events")?;
    let seen: HashMap<u32, Noticed> = rows.iter().filter_map(event).collect();
    if rows.len() != pids.len() {
        bail!("{} ends are stored of {}", rows.len(), pids.len());
    }
    Ok((ends, seen))
}

fn event(row: &Value) -> Option<(u32, Noticed)> {
    let pid = u32::try_from(row["process_id"].as_u64()?).ok()?;
    Some((pid, (row["exit_code"].as_i64(), row["at_ns"].as_u64())))
}
