//! A store far beyond its limit, and programs that go on recording: what is removed must not hold up
//! what comes.

use std::time::{Duration, Instant};

use argus_read::{Follower, Wake};

use super::bed::{Bed, Guarded};
use super::host::OWN_CODE;
use super::rounds;

/// The longest a commit may wait for what is removed between two of them, in 99 of 100 cases.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

#[test]
fn records_are_committed_while_old_ones_are_removed() {
    let (bed, old) = (Bed::new(), rounds(1) * 50_000);
    let mut host = bed.host(&format!("spans:{old}:0"));
    assert_eq!(host.status().unwrap().code(), Some(OWN_CODE));
    bed.drain();

    let mut follower = Follower::bind(&bed.data()).unwrap();
    let store = bed.store();
    let new = rounds(1) * 10_000;
    let mut host = bed.host(&format!("spans:{new}:1"));
    let mut host = Guarded(host.spawn().unwrap());
    let limited = ["collector", "--idle-exit", "never", "--retain-size", "1M"];
    let collector = Guarded(bed.argus(&limited).spawn().unwrap());
    let mut pauses = Vec::new();
    let mut last = None;
    let status = loop {
        if let Some(status) = host.0.try_wait().unwrap() {
            break status;
        }
        let news = follower.wait(Some(store.as_ref()), Duration::from_millis(500));
        if news.unwrap() == Wake::Committed {
            let now = Instant::now();
            pauses.extend(last.replace(now).map(|last| now.duration_since(last)));
        }
    };
    assert_eq!(status.code(), Some(OWN_CODE));
    // A collector stays as long as somebody follows it.
    drop((collector, follower));
    bed.drain();
    let removed = i64::from(old + new) - bed.number("SELECT count(*) FROM spans");
    pauses.sort_unstable();
    let share = |share: usize| pauses[(pauses.len() - 1) * share / 100];
    println!(
        "retention: {removed} of {} spans removed; between {} commits meanwhile p50 {:?}, p99 {:?}, \
         longest {:?}",
        old + new,
        pauses.len(),
        share(50),
        share(99),
        share(100)
    );
    assert!(removed > i64::from(old) / 2, "{removed} of {old}");
    // The short form is no measurement: others have the machine meanwhile.
    assert!(rounds(0) == 0 || share(99) < LONGEST_PAUSE);
}
