//! Chunks are re-used in place once they are released, and only then.

use argus_spool::read::{ChunkReader, Producer, Progress, chunks, producers};
use argus_spool::{Appended, place};

use super::roles::{Home, emit, metric, run};

/// Emits far more than its chunks hold while playing the collector itself.
pub(crate) fn host() {
    let name = metric();
    let place = place::from_environment().unwrap();
    let mut seen = 0_u64;
    let mut readers: Vec<ChunkReader> = Vec::new();
    for value in 0..200_000_u32 {
        assert_eq!(emit(name, value.into()), Appended::Accepted);
        if value % 500 == 0 {
            seen += drain(&place.spool(), &mut readers);
        }
    }
    seen += drain(&place.spool(), &mut readers);
    assert_eq!(
        seen, 200_000,
        "every record is seen once, whatever its generation"
    );
    let files = chunks(&producers(&place.spool()).unwrap()[0].1)
        .unwrap()
        .len();
    assert!(files <= 4, "{files} files for 200,000 records");
    assert!(readers.iter().any(|reader| reader.head().generation > 10));
}

fn drain(spool: &std::path::Path, readers: &mut Vec<ChunkReader>) -> u64 {
    let mut seen = 0;
    for (id, directory) in producers(spool).unwrap() {
        for (number, path) in chunks(&directory).unwrap() {
            if !readers.iter().any(|reader| reader.head().chunk == number) {
                readers.extend(ChunkReader::open(&path, id).unwrap());
            }
        }
    }
    for reader in readers {
        while !reader.has_ended() || reader.look_for_next_generation().unwrap() {
            let mut count = 0;
            let take = |raw: argus_spool::read::RawRecord<'_>| {
                count += u64::from(raw.kind == argus_model::Kind::Metric as u8);
            };
            let progress = reader.read(Producer::Living, u32::MAX, take).unwrap();
            seen += count;
            match progress {
                Progress::Ended => reader.write_released().unwrap(),
                Progress::CaughtUp => break,
                Progress::More | Progress::Retaken => {}
            }
        }
    }
    seen
}

#[test]
fn released_chunks_are_used_again() {
    let home = Home::new("reuse");
    run("reuse", &home.0);
}
