//! What this test binary does when it is started as a program under observation.

use std::time::{Duration, Instant};

use argus_client::{Flushed, flush, span};

pub(crate) const ROLE: &str = "ARGUS_TEST_ROLE";

/// The test that is no test but a host program.
#[test]
fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (role, argument) = role.split_once(':').unwrap_or((&role, ""));
    match role {
        "spans" => spans(argument.parse().unwrap()),
        "blink" => blink(argument.parse().unwrap()),
        other => panic!("no role {other}"),
    }
}

/// Opens a span now and then and keeps it open for a moment, its number telling the wall time.
fn blink(count: u32) {
    drop(span!("begin"));
    assert_eq!(flush(Duration::from_secs(20)), Flushed::Committed);
    for _ in 0..count {
        std::thread::sleep(Duration::from_millis(137));
        let open = span!("blink");
        std::thread::sleep(Duration::from_millis(60));
        drop(open);
    }
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn spans(count: u64) {
    for number in 0..count {
        drop(span!("inner", number = number));
    }
}
