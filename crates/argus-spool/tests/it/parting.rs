//! What a thread emits while it is being torn down.

use std::cell::Cell;

use argus_spool::read::{ChunkReader, Producer, Progress, chunks, producers};
use argus_spool::{Appended, place};

use super::roles::{Home, emit, metric, run};

const THREADS: u64 = 50;

struct Late;

impl Drop for Late {
    fn drop(&mut self) {
        assert_eq!(emit(metric(), 2.0), Appended::Accepted);
    }
}

thread_local! {
    static LATE: Cell<Option<Late>> = const { Cell::new(None) };
}

/// Thread-locals end in the reverse order of their first use: this one after the recorder's own.
pub(crate) fn host() {
    for _ in 0..THREADS {
        let thread = std::thread::spawn(|| {
            LATE.set(Some(Late));
            assert_eq!(emit(metric(), 1.0), Appended::Accepted);
        });
        thread.join().unwrap();
    }
    assert_eq!(argus_spool::stats().emitted, 2 * THREADS);
    let mut seen = 0;
    let spool = place::from_environment().unwrap().spool();
    let (id, directory) = producers(&spool).unwrap().remove(0);
    for (number, path) in chunks(&directory).unwrap() {
        let mut reader = ChunkReader::open(&path, id).unwrap().unwrap();
        let take = |raw: argus_spool::read::RawRecord<'_>| {
            seen += u64::from(raw.kind == argus_model::Kind::Metric as u8);
        };
        let progress = reader.read(Producer::Living, u32::MAX, take).unwrap();
        assert_eq!(
            progress,
            Progress::Ended,
            "chunk {number} has no owner left"
        );
    }
    assert_eq!(seen, 2 * THREADS);
}

#[test]
fn a_thread_that_emits_to_its_very_end_leaves_no_chunk_open() {
    let home = Home::new("parting");
    run("parting", &home.0);
}
