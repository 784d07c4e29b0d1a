//! Threads that live for a moment: each needs a chunk, and gives it back to the next ones.

use std::time::Duration;

use super::bed::{Bed, Guarded};
use super::host::{OWN_CODE, SAID};
use super::ledger::{Ledger, Said};
use super::rounds;

const EACH: u32 = 30;
/// More than this the spool must never take, however many threads there were.
const MOST_BYTES: u64 = 128 << 20;

#[test]
fn many_short_lived_threads_take_turns_with_few_chunks() {
    let (bed, threads) = (Bed::new(), rounds(4_000));
    let collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let said = bed.path("said");
    let mut host = bed.host(&format!("threads:{threads}:{EACH}"));
    let mut host = host.env(SAID, &said).spawn().unwrap();
    let mut most_bytes = 0;
    let status = loop {
        most_bytes = most_bytes.max(bed.control().usage().0);
        if let Some(status) = host.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(OWN_CODE));
    drop(collector);
    bed.drain();
    let name = format!(
        "threads, {threads}, at most {} MiB of spool",
        most_bytes >> 20
    );
    let ledger = Ledger::of_lanes(&bed, Said::read(&said));
    ledger.settle(&name);
    assert_eq!(ledger.stored, u64::from(threads) * u64::from(EACH));
    assert!(most_bytes < MOST_BYTES, "{name}");
    bed.assert_spools_are_gone();
}
