//! The protocols between producer and collector, under every interleaving and reordering that the
//! memory model allows (checked by loom).
//!
//! The words stand for the mapped ones: each model takes the same steps, with the same orderings,
//! as the function that its comments name. `membarrier(2)` is modelled by what it does: a full fence
//! in the collector and one in the producer between its store and its load.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// A chunk with room for one record.
#[derive(Default)]
struct Chunk {
    payload: [AtomicU64; 2],
    /// `Writer::write` publishes by this word; its value is the generation.
    state: AtomicU64,
    /// `ChunkReader::write_released`.
    released: AtomicU64,
}

#[test]
fn a_published_record_is_read_whole() {
    loom::model(|| {
        let chunk = Arc::new(Chunk::default());
        let shared = Arc::clone(&chunk);
        let writer = thread::spawn(move || {
            // `Writer::write`: payload first, the state word last.
            shared.payload[0].store(7, Ordering::Relaxed);
            shared.payload[1].store(8, Ordering::Relaxed);
            shared.state.store(1, Ordering::Release);
        });
        // `ChunkReader::record_at`.
        if chunk.state.load(Ordering::Acquire) == 1 {
            let read = chunk
                .payload
                .each_ref()
                .map(|word| word.load(Ordering::Relaxed));
            assert_eq!(read, [7, 8]);
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_chunk_is_written_again_only_after_it_was_read() {
    loom::model(|| {
        let chunk = Arc::new(Chunk::default());
        chunk.payload[0].store(7, Ordering::Relaxed);
        chunk.state.store(1, Ordering::Release);
        let shared = Arc::clone(&chunk);
        let writer = thread::spawn(move || {
            // `Chunk::is_released`, then `Chunk::begin` and a record of the next generation.
            if shared.released.load(Ordering::Acquire) == 1 {
                shared.payload[0].store(9, Ordering::Relaxed);
                shared.state.store(2, Ordering::Release);
            }
        });
        // The collector reads generation 1 to its end and only then releases it.
        assert_eq!(chunk.state.load(Ordering::Acquire), 1);
        assert_eq!(chunk.payload[0].load(Ordering::Relaxed), 7);
        chunk.released.store(1, Ordering::Release);
        writer.join().unwrap();
    });
}

#[test]
fn no_record_is_published_to_a_collector_that_sleeps_unwoken() {
    loom::model(|| {
        let published = Arc::new(AtomicBool::new(false));
        let sleeping = Arc::new(AtomicBool::new(false));
        let (record, flag) = (Arc::clone(&published), Arc::clone(&sleeping));
        let producer = thread::spawn(move || {
            // `Writer::write`, then `ControlPage::nudge`.
            record.store(true, Ordering::Release);
            fence(Ordering::SeqCst);
            if flag.load(Ordering::Relaxed) {
                // `ControlPage::wake_collector`: the futex word is no longer 1.
                flag.swap(false, Ordering::AcqRel);
            }
        });
        // `ControlPage::announce_sleep`, one more look, `ControlPage::sleep`.
        sleeping.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let seen = published.load(Ordering::Acquire);
        producer.join().unwrap();
        // FUTEX_WAIT goes to sleep only while the word is still 1.
        let sleeps = !seen && sleeping.load(Ordering::Acquire);
        assert!(!sleeps, "a record waits and nobody wakes the collector");
    });
}

/// The model above without its fences must fail, or it would show nothing.
#[test]
#[should_panic(expected = "nobody wakes the collector")]
fn without_the_fences_a_wake_up_can_be_lost() {
    loom::model(|| {
        let published = Arc::new(AtomicBool::new(false));
        let sleeping = Arc::new(AtomicBool::new(false));
        let (record, flag) = (Arc::clone(&published), Arc::clone(&sleeping));
        let producer = thread::spawn(move || {
            record.store(true, Ordering::Release);
            if flag.load(Ordering::Relaxed) {
                flag.swap(false, Ordering::AcqRel);
            }
        });
        sleeping.store(true, Ordering::Release);
        let seen = published.load(Ordering::Acquire);
        producer.join().unwrap();
        let sleeps = !seen && sleeping.load(Ordering::Acquire);
        assert!(!sleeps, "a record waits and nobody wakes the collector");
    });
}
