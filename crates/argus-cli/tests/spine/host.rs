//! What this test binary does when it is started as a program under observation.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
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
        "spans-until-killed" => spans_until_killed(Path::new(argument)),
        "spans" => spans(argument.parse().unwrap()),
        "blink" => blink(argument.parse().unwrap()),
        other => panic!("no role {other}"),
    }
}

/// Opens an outer span and ends inner ones in it, saying after each how many were emitted, in a
/// file that survives as the spool does.
fn spans_until_killed(progress: &Path) {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(progress)
        .unwrap();
    let _outer = span!("outer");
    for ended in 1_u64.. {
        drop(span!("inner", number = ended));
        file.write_all_at(&ended.to_le_bytes(), 0).unwrap();
    }
}

fn spans(count: u64) {
    for number in 0..count {
        drop(span!("inner", number = number));
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
