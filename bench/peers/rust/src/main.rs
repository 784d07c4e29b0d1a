//! What one way of recording spans costs: `span-cost SUBJECT RUNS [THREADS]`. Prints medians as JSON.
//!
//! A run is 1,000 spans, opened and closed in a loop, or on each of several threads at the same time. After
//! each, what was recorded is handed over, so that no run pays for another; Argus also waits until the
//! collector has committed, and sleeps 5 µs a span, so that chunks come back as fast as they are filled.
//! What the subject adds is the difference to the subject `nothing`.

mod subjects;

use std::error::Error;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use subjects::Subject;

const CALLS: u64 = 1_000;
/// Runs go on uncounted for so long; the collector gives chunks back once a second.
const WARM_UP: Duration = Duration::from_secs(3);

/// Per span, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall_ns: f64,
    cpu_ns: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: span-cost SUBJECT RUNS [THREADS]";
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or(usage)?;
    let runs: usize = arguments.next().ok_or(usage)?.parse()?;
    let threads = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let subject = subjects::named(&name).ok_or("no such subject")?;
    let settle = (subject.install)();
    let mut costs = Vec::new();
    let process = nanos(ClockId::ProcessCPUTime);
    let (began, mut spans) = (Instant::now(), 0);
    while costs.len() < runs * threads {
        let run = run(subject, threads);
        spans += CALLS * threads as u64;
        settle(CALLS as u32);
        if began.elapsed() >= WARM_UP.min(subject.warm_up) {
            costs.extend(run);
        }
    }
    let process_ns = (nanos(ClockId::ProcessCPUTime) - process) / spans as f64;
    let median_of = |of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
    println!(
        r#"{{"wall_ns": {}, "cpu_ns": {}, "process_cpu_ns": {process_ns}}}"#,
        median_of(|cost| cost.wall_ns),
        median_of(|cost| cost.cpu_ns),
    );
    if let Some(lost) = lost() {
        return Err(lost.into());
    }
    Ok(())
}

/// A number taken while records were lost is no number.
fn lost() -> Option<String> {
    let stats = argus_client::stats();
    (stats.lost_normal + stats.lost_errors > 0).then(|| format!("{stats:?}"))
}

fn run(subject: &Subject, threads: usize) -> Vec<Cost> {
    let together = Barrier::new(threads);
    if threads == 1 {
        return vec![timed(subject, &together)];
    }
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| timed(subject, &together)))
            .collect();
        all.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}

fn timed(subject: &Subject, together: &Barrier) -> Cost {
    // A thread's first span makes its chunk.
    (subject.many)(1);
    together.wait();
    let (cpu, wall) = (nanos(ClockId::ThreadCPUTime), Instant::now());
    black_box(subject.many)(CALLS);
    let wall = wall.elapsed();
    Cost {
        wall_ns: wall.as_nanos() as f64 / CALLS as f64,
        cpu_ns: (nanos(ClockId::ThreadCPUTime) - cpu) / CALLS as f64,
    }
}

fn nanos(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
