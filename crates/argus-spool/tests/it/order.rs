//! Session events of a process have one order, whichever threads emit them.

use std::sync::atomic::{AtomicU64, Ordering};

use argus_model::{Kind, Record};
use argus_spool::read::{ChunkReader, Producer, RawRecord, chunks, producers};
use argus_spool::{Appended, Weight, append_in_order, place};

use super::roles::{Home, emit, metric, run};

const THREADS: usize = 4;
const EVENTS: usize = 5_000;

/// Each event carries the number that was next while it was written.
pub(crate) fn host() {
    let next = AtomicU64::new(0);
    let name = metric();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EVENTS {
                    assert_eq!(emit(name, 0.0), Appended::Accepted);
                    let written = append_in_order(Kind::SessionEvent, Weight::Normal, |out, at| {
                        let number = next.fetch_add(1, Ordering::Relaxed).to_string();
                        Record::SessionEvent {
                            at,
                            session: "s",
                            event_type: "numbered",
                            data: &number,
                        }
                        .encode(out)
                    });
                    assert_eq!(written, Appended::Accepted);
                }
            });
        }
    });
    assert_eq!(argus_spool::stats().emitted as usize, 2 * THREADS * EVENTS);
    let mut numbers = Vec::new();
    let spool = place::from_environment().unwrap().spool();
    let (id, directory) = producers(&spool).unwrap().remove(0);
    for (_, path) in chunks(&directory).unwrap() {
        let mut reader = ChunkReader::open(&path, id).unwrap().unwrap();
        let mut others = 0;
        let before = numbers.len();
        let take = |raw: RawRecord<'_>| {
            let kind = Kind::from_byte(raw.kind).unwrap();
            match Record::decode(kind, raw.payload).unwrap() {
                Record::SessionEvent { data, .. } => numbers.push(data.parse::<u64>().unwrap()),
                Record::Metric { .. } => others += 1,
                _ => {}
            }
        };
        reader.read(Producer::Dead, u32::MAX, take).unwrap();
        assert!(
            others == 0 || numbers.len() == before,
            "a chunk of their own"
        );
    }
    assert_eq!(numbers.len(), THREADS * EVENTS);
    // A full chunk has a record written again, under the next number.
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "in order over all chunks"
    );
}

#[test]
fn session_events_of_all_threads_are_in_one_order() {
    let home = Home::new("order");
    run("order", &home.0);
}
