//! Flipped bits in the spool of a dead program, drained by a real collector: each costs at most its
//! record, and none makes a wrong one. (`argus-spool` tests the reader flip by flip.)

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use argus_drain::failpoint;
use argus_spool::format::{FIRST_RECORD, HEADS};
use argus_spool::read::{chunks, producers};

use super::bed::{Bed, Chance};
use super::host::{OWN_CODE, SAID};
use super::ledger::{Ledger, Said};
use super::rounds;

const RECORDS: u32 = 30_000;

/// Flips a bit of a file.
fn flip(path: &Path, at: u64, bit: u64) {
    let mut options = File::options();
    let file = options.read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << bit;
    file.write_all_at(&byte, at).unwrap();
}

#[test]
fn flipped_bits_cost_at_most_their_records_and_are_counted() {
    let flips_at_once = 100;
    let mut chance = Chance(0x0bad_5eed_0bad_5eed);
    for round in 0..rounds(2) {
        let (bed, said) = (Bed::new(), "said");
        let mut host = bed.host(&format!("lanes:1:{RECORDS}"));
        let status = host.env(SAID, bed.path(said)).status().unwrap();
        assert_eq!(status.code(), Some(OWN_CODE));
        let (_, directory) = producers(&bed.data().spool()).unwrap().remove(0);
        let files = chunks(&directory).unwrap();
        for _ in 0..flips_at_once {
            let (_, path) = &files[chance.below(files.len() as u64) as usize];
            let first = u64::from(FIRST_RECORD);
            let at = first + chance.below(path.metadata().unwrap().len() - first);
            flip(path, at, chance.below(8));
        }
        bed.drain();
        let ledger = Ledger::of_lanes(&bed, Said::read(&bed.path(said)));
        let wrong = bed.number(
            "SELECT count(*) FROM metrics
             WHERE value < 0 OR value >= 30000 OR value <> CAST(value AS INTEGER)",
        );
        assert_eq!(wrong, 0, "none is wrong");
        assert!(ledger.damaged <= flips_at_once, "{ledger:?}");
        ledger.settle(&format!("bitflip, round {round}, {flips_at_once} flips"));
        bed.assert_spools_are_gone();
    }
}

#[test]
fn damage_is_counted_once_wherever_the_collector_dies() {
    for name in failpoint::ALL {
        let (bed, said) = (Bed::new(), "said");
        let mut host = bed.host("lanes:1:3000");
        let status = host.env(SAID, bed.path(said)).status().unwrap();
        assert_eq!(status.code(), Some(OWN_CODE));
        let (_, directory) = producers(&bed.data().spool()).unwrap().remove(0);
        let files = chunks(&directory).unwrap();
        let [(_, first), .., (_, last)] = &files[..] else {
            panic!("3,000 records fill more than one chunk: {files:?}");
        };
        flip(first, u64::from(FIRST_RECORD) + 20_000, 3);
        // Nobody can tell what a chunk without a head held.
        for head in HEADS {
            flip(last, u64::from(head), 0);
        }
        let point = format!("{name}:1");
        let mut collector = bed.collector();
        let died = collector.env("ARGUS_FAILPOINT", &point).status().unwrap();
        assert_eq!(died.signal(), Some(9), "{point}: {died}");
        bed.drain();
        assert_eq!(bed.ledger()[0].damaged, 2, "{point}");
        bed.assert_spools_are_gone();
    }
}
