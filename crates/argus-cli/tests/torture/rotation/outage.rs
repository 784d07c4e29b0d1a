//! Lines put out of reach while no gaze runs: each time the successor says so, and everything that is
//! there is stored.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::account::Losses;
use super::scene::{Rotation, Scene};
use super::watch::Watch;
use crate::rounds;

/// What happens to the log while nobody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// It is rotated more often than files are kept.
    TooManyRotations,
    /// It is emptied, and no copy was made.
    Emptied,
    /// It is removed, and made anew.
    Removed,
}

/// Files that rotation keeps.
const KEPT: u32 = 2;

fn outages(name: &str, outage: Outage) {
    let mut watch = Watch::start();
    let mut scene = Scene::new(watch.path(), 1);
    watch.until_it_follows();
    let mut unreachable = Vec::new();
    for round in 1..=rounds(2) {
        scene.write(40);
        apart();
        scene.rotate(Rotation::Rename);
        scene.keep(KEPT);
        scene.write(40);
        let before = watch.gaps().len();
        watch.until_stored(scene.written() - unreachable.len() as u64);
        watch.kill();
        let first = scene.written();
        let kept = happen(&mut scene, outage);
        unreachable.extend(first..kept);
        watch.begin();
        apart();
        scene.write(40);
        watch.until_stored(scene.written() - unreachable.len() as u64);
        let gaps = watch.gaps();
        assert!(gaps.len() > before, "{name}, round {round}: no gap is told");
        assert!(gaps.len() <= before + 2, "{name}, round {round}: {gaps:?}");
    }
    let account = watch.settle(scene.written(), unreachable.len() as u64);
    account.balance(&format!("rotation, {name}"), Losses::Exactly(&unreachable));
}

/// Makes lines unreachable; the number of the first line that is not.
fn happen(scene: &mut Scene, outage: Outage) -> u64 {
    match outage {
        Outage::TooManyRotations => {
            let mut begins = Vec::new();
            for _ in 0..2 + KEPT {
                scene.write(40);
                apart();
                scene.rotate(Rotation::Rename);
                begins.push(scene.written());
            }
            scene.keep(KEPT);
            // The last file kept began two rotations before the last.
            begins[begins.len() - 1 - KEPT as usize]
        }
        Outage::Emptied => {
            scene.write(40);
            scene.empty();
            let first = scene.written();
            scene.write(10);
            first
        }
        Outage::Removed => {
            scene.write(40);
            apart();
            scene.rotate(Rotation::Remove);
            let first = scene.written();
            scene.write(10);
            first
        }
    }
}

/// Clocks of file systems tick every four milliseconds; no two files are made closer.
fn apart() {
    thread::sleep(Duration::from_millis(10));
}

/// Nothing is out of reach here: the collector has not stored yet what the one that was killed had read,
/// and the successor must wait for that.
#[test]
fn a_successor_waits_for_a_collector_that_is_late() {
    let mut watch = Watch::start();
    let mut scene = Scene::new(watch.path(), 1);
    watch.until_it_follows();
    for _ in 0..rounds(2) {
        scene.write(40);
        watch.until_stored(scene.written());
        watch.signal_collector(Signal::STOP);
        scene.write(40);
        // Time for gaze to read them; if it was not enough, this shows nothing, and nothing wrong.
        thread::sleep(Duration::from_millis(200));
        watch.kill();
        watch.begin();
        thread::sleep(Duration::from_secs(1));
        watch.signal_collector(Signal::CONT);
        watch.until_stored(scene.written());
    }
    let account = watch.settle(scene.written(), 0);
    account.balance("rotation, a collector that is late", Losses::None);
}

#[test]
fn files_removed_while_nobody_looks_are_gaps() {
    outages("more rotations than are kept", Outage::TooManyRotations);
}

#[test]
fn a_file_emptied_while_nobody_looks_is_a_gap() {
    outages("emptied without a copy", Outage::Emptied);
}

#[test]
fn a_file_removed_while_nobody_looks_is_a_gap() {
    outages("removed without a trace", Outage::Removed);
}
