//! Rotation at random: by the clock beside a reader, and step by step with seeds.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Scene;

/// How a storm rotates.
#[derive(Debug, Clone, Copy)]
enum Rotation {
    Rename,
    /// The writer notices some lines later.
    RenameUnderTheWriter,
    Copy,
    Remove,
    Mixed,
}

const TIME: Duration = Duration::from_secs(3);

/// Two thousand lines a second, and a rotation after every two hundred; how many lines.
fn write_and_rotate(scene: &mut Scene, rotation: Rotation) -> usize {
    let begun = Instant::now();
    let mut number: usize = 0;
    while begun.elapsed() < TIME {
        for _ in 0..200 {
            scene.write(&format!("{number} {}\n", "x".repeat(number % 60)));
            number += 1;
            let due = begun + Duration::from_micros(500) * u32::try_from(number).unwrap();
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let turn = number / 200;
        let rotation = match rotation {
            Rotation::Mixed => [
                Rotation::Rename,
                Rotation::Copy,
                Rotation::RenameUnderTheWriter,
            ][turn % 3],
            other => other,
        };
        match rotation {
            Rotation::Copy => scene.copy_and_empty(),
            Rotation::Remove => {
                fs::remove_file(scene.path()).unwrap();
                scene.reopen();
            }
            Rotation::RenameUnderTheWriter => {
                scene.rename_away();
                for _ in 0..5 {
                    scene.write(&format!("{number}\n"));
                    number += 1;
                }
                scene.reopen();
            }
            Rotation::Rename | Rotation::Mixed => scene.rotate(),
        }
    }
    number
}

/// Two thousand lines a second, ten rotations a second, and a reader that dies now and then.
fn storm(rotation: Rotation) {
    let mut scene = Scene::new();
    let path = scene.path();
    let mut reader = scene.follow();
    let is_over = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let number = write_and_rotate(&mut scene, rotation);
            is_over.store(true, Ordering::Release);
            number
        });
        let mut deaths = 0;
        let mut next_death = Instant::now() + Duration::from_millis(170);
        while !is_over.load(Ordering::Acquire) {
            reader.read();
            // What is removed while nobody looks is gone for good.
            if Instant::now() > next_death && !matches!(rotation, Rotation::Remove) {
                reader.die(&path);
                deaths += 1;
                next_death += Duration::from_millis(170);
            }
        }
        // On a busy machine a successor may take as long as several would.
        assert!(deaths > 0 || matches!(rotation, Rotation::Remove));
        writer.join().unwrap()
    });
    let patience = Instant::now() + Duration::from_secs(10);
    while reader.lines.len() < written && Instant::now() < patience {
        reader.read();
    }
    reader.read();
    let number = |line: &String| {
        line.split(' ')
            .next()
            .and_then(|it| it.parse::<usize>().ok())
    };
    let numbers: Vec<_> = reader.lines.iter().map(number).collect();
    if matches!(rotation, Rotation::Remove) && !reader.gaps.is_empty() {
        // On a machine this busy files come and go unseen, and that is told.
        assert!(numbers.is_sorted() && !numbers.contains(&None));
        return;
    }
    let mut places = numbers.iter().enumerate();
    let first_wrong = places.find(|(place, number)| **number != Some(*place));
    let at = first_wrong.map(|(place, _)| &reader.lines[place]);
    assert_eq!(
        (first_wrong, at),
        (None, None),
        "of {written}, {:?}",
        reader.gaps
    );
    assert_eq!(reader.lines.len(), written);
    assert_eq!(reader.gaps, [""; 0]);
}

#[test]
fn a_storm_of_renames() {
    storm(Rotation::Rename);
}

#[test]
fn a_storm_of_renames_under_the_writer() {
    storm(Rotation::RenameUnderTheWriter);
}

#[test]
fn a_storm_of_copies() {
    storm(Rotation::Copy);
}

#[test]
fn a_storm_of_removals() {
    storm(Rotation::Remove);
}

#[test]
fn a_storm_of_everything() {
    storm(Rotation::Mixed);
}

/// Steps of every kind in random order, so that anything may happen between two looks.
fn random_steps(seed: u64, kinds: &[Rotation], dies: bool) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut scene = Scene::new();
    let mut reader = scene.follow();
    reader.read();
    let (mut number, mut history) = (0_usize, Vec::new());
    let mut write = |scene: &mut Scene, history: &mut Vec<String>, count: u64| {
        for _ in 0..count {
            scene.write(&format!("{number} {}\n", "x".repeat(number % 60)));
            number += 1;
        }
        history.push(format!("{number}"));
    };
    for _ in 0..60 {
        match random(8) {
            0..=2 => {
                let count = random(40);
                write(&mut scene, &mut history, count);
            }
            3 | 4 => {
                // Clocks of file systems tick every four milliseconds; no two rotations are closer.
                thread::sleep(Duration::from_millis(5));
                let kind = kinds[random(kinds.len() as u64) as usize];
                history.push(format!("{kind:?}"));
                match kind {
                    Rotation::Copy => scene.copy_and_empty(),
                    Rotation::RenameUnderTheWriter => {
                        scene.rename_away();
                        write(&mut scene, &mut history, 3);
                        scene.reopen();
                    }
                    _ => scene.rotate(),
                }
                thread::sleep(Duration::from_millis(5));
            }
            5 | 6 => {
                history.push("read".into());
                reader.read();
            }
            _ if dies => {
                history.push("die".into());
                let path = scene.path();
                reader.die(&path);
            }
            _ => {}
        }
    }
    let written = number;
    let patience = Instant::now() + Duration::from_secs(3);
    while reader.lines.len() < written && Instant::now() < patience {
        reader.read();
    }
    reader.read();
    let number = |line: &String| {
        line.split(' ')
            .next()
            .and_then(|it| it.parse::<usize>().ok())
    };
    let mut places = reader.lines.iter().map(number).enumerate();
    let first_wrong = places.find(|(place, number)| *number != Some(*place));
    assert_eq!(
        (first_wrong, reader.lines.len()),
        (None, written),
        "seed {seed}: {:?} {}",
        reader.gaps,
        history.join(" ")
    );
    assert_eq!(reader.gaps, [""; 0], "seed {seed}");
}

/// The seeds of a run: thirty, or those that `ARGUS_STORM_SEEDS` names, as `FIRST..BEHIND`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(wanted) = std::env::var("ARGUS_STORM_SEEDS") else {
        return 1..30;
    };
    let (first, behind) = wanted.split_once("..").expect("FIRST..BEHIND");
    first.parse().unwrap()..behind.parse().unwrap()
}

#[test]
fn renames_in_random_order() {
    for seed in seeds() {
        random_steps(
            seed,
            &[Rotation::Rename, Rotation::RenameUnderTheWriter],
            true,
        );
    }
}

#[test]
fn copies_in_random_order() {
    for seed in seeds() {
        random_steps(seed, &[Rotation::Copy], true);
    }
}

#[test]
fn everything_in_random_order() {
    let all = [
        Rotation::Rename,
        Rotation::RenameUnderTheWriter,
        Rotation::Copy,
    ];
    for seed in seeds() {
        random_steps(seed, &all, false);
        random_steps(seed, &all, true);
    }
}
