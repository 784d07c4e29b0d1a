//! A function that has begun is in another process's screen state soon after.

use std::time::{Duration, Instant};

use argus_model::Timestamp;
use argus_read::{Follower, LiveOptions, LiveState};

use super::bed::{Bed, Guarded};

fn now() -> Timestamp {
    argus_spool::boot_anchor().wall
}

#[test]
fn an_open_span_reaches_another_processs_screen_state_within_150_ms() {
    let bed = Bed::new();
    let _collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let mut follower = Follower::bind(&bed.data()).unwrap();
    let store = bed.store();
    let _host = Guarded(bed.host("blink:100").spawn().unwrap());
    let mut state = LiveState::new(LiveOptions::default());
    let mut seen = Vec::new();
    let mut latencies: Vec<Duration> = Vec::new();
    let deadline = Instant::now() + super::bed::PATIENCE;
    while latencies.len() < 20 {
        assert!(Instant::now() < deadline, "{} seen", latencies.len());
        follower
            .wait(Some(store.as_ref()), Duration::from_millis(200))
            .unwrap();
        state.refresh(store.as_ref(), now()).unwrap();
        let threads = state
            .processes()
            .iter()
            .flat_map(|process| &process.threads);
        for open in threads.flat_map(|thread| &thread.spans) {
            if open.span.process == "blink" && !seen.contains(&open.span.key) {
                seen.push(open.span.key);
                latencies.push(open.elapsed(now()));
            }
        }
    }
    latencies.sort_unstable();
    // One that had ended before it was seen took longer than it was open; at most as many as were
    // seen, or the median would be among them.
    let blinked = bed.number("SELECT count(*) FROM process_trace WHERE process = 'blink'");
    assert!(blinked <= 40, "20 of {blinked} were seen open");
    let (median, p95) = (latencies[10], latencies[18]);
    println!("emit to screen state: p50 {median:?}, p95 {p95:?}");
    assert!(
        median < Duration::from_millis(150),
        "p50 {median:?}, p95 {p95:?}"
    );
    assert!(state.open_spans() <= 1);
}
