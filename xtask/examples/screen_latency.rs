//! From an emit to another process's screen state.
//!
//! `screen_latency program sporadic|RATE` opens a span now and then until it is killed, and emits RATE
//! spans a second in another thread. `screen_latency screen COUNT` follows the store until it has seen
//! that many of these spans open, and prints the percentiles of their latencies as JSON.

use std::collections::HashSet;
use std::error::Error;
use std::time::{Duration, Instant};

use argus_client::{Flushed, flush, span};
use argus_model::Timestamp;
use argus_read::{Follower, LiveOptions, LiveState};
use argus_store::Store;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);
/// Not a multiple of the collector's own periods.
const PAUSE: Duration = Duration::from_millis(137);
const OPEN: Duration = Duration::from_millis(60);
/// Load is emitted in slices of this length.
const SLICE: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["program", "sporadic"] => blink(),
        ["program", rate] => {
            let rate: u32 = rate.parse()?;
            std::thread::spawn(move || load(rate));
            blink()
        }
        ["screen", count] => screen(count.parse()?),
        _ => Err("usage: screen_latency program sporadic|RATE, or screen COUNT".into()),
    }
}

fn blink() -> Result<(), Box<dyn Error>> {
    drop(span!("begin"));
    if flush(PATIENCE) != Flushed::Committed {
        return Err("no collector has committed anything".into());
    }
    loop {
        std::thread::sleep(PAUSE);
        let open = span!("blink");
        std::thread::sleep(OPEN);
        drop(open);
    }
}

/// Keeps the pace also when it was not woken in time for a slice.
fn load(rate: u32) {
    let began = Instant::now();
    let mut emitted = 0;
    loop {
        let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        while emitted < due {
            drop(span!("load", number = emitted, twice = 2 * emitted));
            emitted += 1;
        }
        std::thread::sleep(SLICE);
    }
}

fn now() -> Timestamp {
    argus_spool::boot_anchor().wall
}

fn screen(count: usize) -> Result<(), Box<dyn Error>> {
    let place = argus_spool::place::from_environment()?;
    let mut follower = Follower::bind(&place)?;
    let deadline = Instant::now() + PATIENCE;
    let store = loop {
        match argus_store::open_reader(place.database()) {
            Ok(store) => break store,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(SLICE),
        }
    };
    let mut state = LiveState::new(LiveOptions::default());
    let mut seen = HashSet::new();
    let mut latencies = Vec::new();
    let mut first_seen = None;
    while latencies.len() < count {
        if Instant::now() > deadline {
            return Err(format!("only {} spans were seen in time", latencies.len()).into());
        }
        follower.wait(Some(store.as_ref()), Duration::from_millis(200))?;
        state.refresh(store.as_ref(), now())?;
        let at = now();
        let threads = state
            .processes()
            .iter()
            .flat_map(|process| &process.threads);
        for open in threads.flat_map(|thread| &thread.spans) {
            if open.span.process == "blink" && seen.insert(open.span.key) {
                latencies.push(open.elapsed(at).as_secs_f64() * 1_000.0);
            }
        }
        if first_seen.is_none() && !latencies.is_empty() {
            // It may have been open when this screen began.
            latencies.clear();
            first_seen = Some((Instant::now(), stored(store.as_ref())?));
        }
    }
    let (began, stored_before) = first_seen.ok_or("nothing was seen")?;
    let stored = stored(store.as_ref())? - stored_before;
    latencies.sort_by(f64::total_cmp);
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    let answer = json!({
        "p50_ms": at(50),
        "p95_ms": at(95),
        "stored_per_second": stored as f64 / began.elapsed().as_secs_f64(),
    });
    println!("{answer}");
    Ok(())
}

fn stored(store: &dyn Store) -> Result<u64, Box<dyn Error>> {
    Ok(store.counts()?.spans)
}
