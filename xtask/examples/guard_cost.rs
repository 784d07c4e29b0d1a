//! What the Rust guard adds to a stretch of code: `guard_cost RUNS`. Prints medians as JSON.
//!
//! Needs a running collector. Sustained: after each run of 1,000 spans it waits until they are committed
//! and sleeps 5 µs a span, so that chunks come back as fast as they are filled. Burst: runs of 100,000
//! spans without a pause, which outrun the chunks that come back.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use argus_client::{flush, span};

const CALLS: u64 = 1_000;
const BURST_CALLS: u64 = 100_000;
const BURSTS: usize = 9;
const PAUSE_PER_CALL: Duration = Duration::from_micros(5);
/// The collector gives chunks back once a second.
const WARM_UP: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(30);

/// Per call, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    wall_ns: f64,
    cpu_ns: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runs = std::env::args().nth(1).ok_or("usage: guard_cost RUNS")?;
    let runs = runs.parse()?;
    let (mut guarded, mut bare, mut burst) = (Vec::new(), Vec::new(), Vec::new());
    let began = Instant::now();
    while guarded.len() < runs {
        let (with, without) = (timed(CALLS, with_guard), timed(CALLS, without_guard));
        flush(PATIENCE);
        std::thread::sleep(PAUSE_PER_CALL * u32::try_from(CALLS)?);
        if began.elapsed() >= WARM_UP {
            guarded.push(with);
            bare.push(without);
        }
    }
    for _ in 0..BURSTS {
        burst.push(timed(BURST_CALLS, with_guard));
        flush(PATIENCE);
    }
    let wall = |costs: &[Cost]| median(costs.iter().map(|cost| cost.wall_ns).collect());
    let cpu = |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu_ns).collect());
    let stats = argus_client::stats();
    eprintln!("    {stats:?}");
    println!(
        r#"{{"sustained_ns": {}, "sustained_cpu_ns": {}, "burst_ns": {}}}"#,
        wall(&guarded) - wall(&bare),
        cpu(&guarded) - cpu(&bare),
        wall(&burst) - wall(&bare),
    );
    Ok(())
}

fn with_guard(number: u64) {
    let _span = span!("bench.guarded", number = number, twice = 2 * number);
    black_box(number);
}

fn without_guard(number: u64) {
    black_box(number);
}

fn timed(calls: u64, function: fn(u64)) -> Cost {
    let (cpu, wall) = (cpu_nanos(), Instant::now());
    for number in 0..calls {
        black_box(function)(number);
    }
    let wall = wall.elapsed();
    Cost {
        wall_ns: wall.as_nanos() as f64 / calls as f64,
        cpu_ns: (cpu_nanos() - cpu) / calls as f64,
    }
}

/// CPU time of this thread so far.
fn cpu_nanos() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
