//! A damaged byte costs at most its record, and never makes a wrong one.

use std::collections::HashSet;
use std::path::Path;

use super::roles::{Home, rounds, run};
use super::spool::{all_producers, metric_values, read_all};
use argus_model::{ProducerId, Record};
use argus_spool::read::chunks;

fn values(id: ProducerId, directory: &Path) -> (Vec<u64>, u64) {
    let mut found = Vec::new();
    let damaged = read_all(id, directory, &mut |_, record| {
        if let Record::Metric { value, .. } = record {
            found.push(value as u64);
        }
    });
    (found, damaged)
}

#[test]
fn a_flipped_bit_costs_at_most_one_record_and_is_counted() {
    let home = Home::new("damage");
    run("emit:3000", &home.0);
    let (id, directory) = all_producers(&home.0).remove(0);
    let files = chunks(&directory).unwrap();
    let whole: HashSet<u64> = (0..3000).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut lost_in_all, mut counted_in_all) = (0, 0);
    let rounds = rounds(400);
    for round in 0..rounds {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (_, path) = &files[(random >> 33) as usize % files.len()];
        let original = std::fs::read(path).unwrap();
        let mut flipped = original.clone();
        // Every other time somewhere before the records; the rest at random over what is written.
        let at = if round % 2 == 0 {
            round as usize * 11 % 512
        } else {
            512 + (random >> 20) as usize % 60_000
        };
        flipped[at] ^= 1 << (random >> 61);
        std::fs::write(path, &flipped).unwrap();
        let (found, damaged) = values(id, &directory);
        std::fs::write(path, &original).unwrap();
        let set: HashSet<u64> = found.iter().copied().collect();
        assert_eq!(set.len(), found.len(), "none is doubled (byte {at})");
        assert!(set.is_subset(&whole), "none is wrong (byte {at})");
        assert!(found.is_sorted(), "none is out of order (byte {at})");
        let lost = (whole.len() - set.len()) as u64;
        assert!(lost <= 1, "byte {at} cost {lost} records");
        assert!(damaged >= lost, "byte {at}: {lost} lost, {damaged} counted");
        assert!(damaged <= 16, "byte {at}: {lost} lost, {damaged} counted");
        lost_in_all += lost;
        counted_in_all += damaged;
    }
    println!(
        "bitflip, {rounds} flips: accepted 3000 each, lost {lost_in_all} in all, counted \
         {counted_in_all}; doubled 0, wrong 0, out of order 0"
    );
    assert_eq!(metric_values(&home.0)[0].1.len(), 3000);
}

/// The tally has no sum of its own, and most of the time it is zero.
#[test]
fn a_flipped_bit_in_the_tally_makes_up_no_losses() {
    let home = Home::new("tally");
    run("emit:100", &home.0);
    let (id, directory) = all_producers(&home.0).remove(0);
    let (_, path) = chunks(&directory).unwrap().remove(0);
    let original = std::fs::read(&path).unwrap();
    let gap = || {
        let reader = argus_spool::read::ChunkReader::open(&path, id).unwrap();
        reader.unwrap().running_gap().unwrap()
    };
    let tally = 280..320;
    for bit in 0..tally.len() * 8 {
        let mut flipped = original.clone();
        flipped[tally.start + bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(gap(), None, "bit {bit}");
    }
    // A loss that was: 5 records within 3 ns, in gap 1.
    let word = |number: u64| number.to_le_bytes();
    let told = [1 | 1 << 32, 5, 0, 7_000, 7_003].map(word).concat();
    let mut lossy = original;
    lossy[tally.clone()].copy_from_slice(&told);
    for bit in 20..64 {
        let mut flipped = lossy.clone();
        flipped[tally.start + 8 + bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(gap(), None, "bit {bit} of the count");
    }
    std::fs::write(&path, &lossy).unwrap();
    assert_eq!(gap().map(|gap| gap.normal), Some(5));
}

#[test]
fn foreign_files_in_a_spool_are_passed_over() {
    let home = Home::new("foreign");
    run("emit:10", &home.0);
    let (_, directory) = all_producers(&home.0).remove(0);
    std::fs::write(directory.join("00000002.chunk"), b"short").unwrap();
    std::fs::write(directory.join("00000003.chunk"), vec![0xff; 70_000]).unwrap();
    std::fs::write(directory.join("notes.txt"), b"hello").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.join("00000004.chunk")).unwrap();
    std::fs::create_dir(directory.parent().unwrap().join("not-a-producer")).unwrap();
    let path = directory.join("00000004.chunk");
    assert!(argus_spool::read::ChunkReader::open(&path, ProducerId::default()).is_err());
    std::fs::remove_file(path).unwrap();
    assert_eq!(metric_values(&home.0)[0].1.len(), 10);
}

/// A long record is announced, falsely, between any two true ones: looking for the next true one
/// would checksum the whole rest of the chunk each time.
#[test]
fn a_chunk_that_announces_falsely_everywhere_is_given_up_in_time() {
    let home = Home::new("announced");
    run("emit:30000", &home.0);
    let (id, directory) = all_producers(&home.0).remove(0);
    let (_, path) = chunks(&directory).unwrap().pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let size = bytes.len();
    let state = |length: usize, bytes: &[u8]| {
        let word = u64::from_le_bytes(*bytes.first_chunk().unwrap());
        (word & !0xff_ffff | length as u64).to_le_bytes()
    };
    // Every other record becomes a lie about its length.
    let (mut at, mut lies) = (512, 0_usize);
    while at + 16 <= size {
        let word = u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        let length = (12 + (word & 0xff_ffff) as usize).next_multiple_of(8);
        if word == 0 || at + length > size {
            break;
        }
        if (at / length).is_multiple_of(2) {
            let lie = state(size - at - 16, &bytes[at..]);
            bytes[at..at + 8].copy_from_slice(&lie);
            lies += 1;
        }
        at += length;
    }
    assert!(lies > 1_000, "{lies} lies");
    std::fs::write(&path, &bytes).unwrap();
    let (found, damaged) = values(id, &directory);
    assert!(damaged >= lies as u64, "all that is missing is counted");
    assert!(found.len() < 30_000 - lies, "its rest was given up");
    assert_eq!(found.len() as u64 + damaged, 30_000);
}
