//! A large log, read from its beginning: what gaze needs of memory does not depend on it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::slice;
use std::time::Duration;

use super::follow::Following;
use crate::bed::{Bed, until};
use crate::rounds;

/// Long lines and short ones, so that the store is not what this test is about: 100 MB a round.
const LONG_LINES: u32 = 3_500;
const LONG_BYTES: usize = 29_000;
const SHORT_LINES_EACH: u32 = 5;

/// What gaze may keep for itself. The pages of its spool are the kernel's, and count elsewhere.
const MOST_BYTES: u64 = 8 << 20;

/// How much more it may be when all is read than when a tenth is.
const MOST_GROWTH: u64 = 1 << 20;

#[test]
fn a_large_log_needs_no_more_memory_than_a_small_one() {
    let bed = Bed::new();
    let log = bed.path("large.log");
    let (lines, bytes) = write(&log, rounds(1));
    let pid = std::process::id();
    let following = Following::start(bed, pid, slice::from_ref(&log), slice::from_ref(&log));
    let (mut early, mut most) = (0, 0);
    until("all of it is stored", || {
        // Whoever asks all the time keeps the others from working.
        std::thread::sleep(Duration::from_millis(20));
        let (place, kept) = (following.furthest(), following.anonymous_bytes());
        most = most.max(kept);
        if place <= bytes / 10 {
            early = early.max(kept);
        }
        place >= bytes
    });
    assert_eq!(following.stored(), lines);
    println!(
        "real logs, large: {lines} lines, {bytes} bytes; {early} bytes of memory at first, {most} at most"
    );
    assert!(most <= MOST_BYTES, "{most}");
    assert!(most <= early + MOST_GROWTH, "from {early} to {most}");
}

/// Writes so many rounds; how many lines and bytes.
fn write(log: &Path, rounds: u32) -> (u64, u64) {
    let mut out = BufWriter::new(File::create(log).unwrap());
    let long = "x".repeat(LONG_BYTES);
    let mut lines = 0;
    for number in 0..rounds * LONG_LINES {
        writeln!(out, "2026-01-27 14:23:45 INFO shop: {number} {long}").unwrap();
        lines += 1;
        for order in 0..SHORT_LINES_EACH {
            writeln!(
                out,
                "2026-01-27 14:23:45 INFO shop: order {number}-{order} is paid"
            )
            .unwrap();
            lines += 1;
        }
    }
    out.flush().unwrap();
    (lines, std::fs::metadata(log).unwrap().len())
}
