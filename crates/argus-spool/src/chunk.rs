//! A chunk as its producer sees it.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use argus_model::Monotonic;

use crate::fork::Tally;
use crate::format::{self, Head};
use crate::map::{Create, Mapping};
use crate::{boot_anchor, host};

/// The largest part of a new chunk whose pages are made present at once: more would hold the host up.
const POPULATE: usize = 256 * 1024;

/// A chunk's mapping and where it stands. Copies are handles to the same chunk; the pool sees to it
/// that one thread owns it at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    pub(crate) mapping: Mapping,
    pub(crate) number: u32,
    pub(crate) generation: u64,
    /// When its last generation was sealed.
    pub(crate) retired_at: Monotonic,
    /// Where its last generation ended.
    pub(crate) end: u32,
}

impl Chunk {
    /// Allocates a new chunk file.
    pub(crate) fn create(directory: &Path, number: u32, capacity: u32) -> io::Result<Self> {
        let path = directory.join(format::chunk_file_name(number));
        let mapping = Mapping::create(&path, capacity as usize, Create::Exclusively)?;
        mapping.populate(POPULATE);
        Ok(Self {
            mapping,
            number,
            generation: 0,
            retired_at: Monotonic::default(),
            end: format::FIRST_RECORD,
        })
    }

    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.mapping.length()).expect("a chunk has at most 4 MiB")
    }

    /// Begins the next generation, owned by the calling thread.
    pub(crate) fn begin(&mut self, nonce: u64) -> Head {
        self.generation += 1;
        let head = Head {
            chunk: self.number,
            capacity: self.capacity(),
            tid: host::thread_id(),
            generation: self.generation,
            nonce,
            anchor: boot_anchor(),
            thread: host::thread_name(),
        };
        self.mapping
            .word(format::RECORDS)
            .store(0, Ordering::Relaxed);
        let bytes = head.encode();
        for copy in format::HEADS {
            // SAFETY: heads are written by the chunk's owner only; a reader checks their CRC.
            unsafe { self.mapping.write(copy, &bytes) };
            // The second copy is begun when the first is whole, so one of them is always valid.
            std::sync::atomic::fence(Ordering::Release);
        }
        head
    }

    /// Declares the generation over at `end`.
    pub(crate) fn seal(&mut self, end: u32, now: Monotonic) {
        self.end = end;
        self.retired_at = now;
        let mark = format::mark(self.generation, end);
        self.mapping
            .word(format::SEAL)
            .store(mark, Ordering::Release);
        self.mapping
            .word(format::SEAL + 8)
            .store(!mark, Ordering::Release);
    }

    /// How far the collector has committed this generation; nothing yet when it has not begun.
    pub(crate) fn committed(&self) -> Option<u32> {
        self.collector_word(format::COMMITTED)
            .and_then(|mark| format::offset_in_mark(mark, self.generation))
    }

    /// Whether the collector has released the current generation.
    pub(crate) fn is_released(&self) -> bool {
        self.collector_word(format::RELEASED)
            .is_some_and(|released| released == self.generation)
    }

    /// Whether the collector has released this handle's generation, even if the chunk has been taken
    /// again since.
    pub(crate) fn is_released_since(&self) -> bool {
        self.collector_word(format::RELEASED)
            .is_some_and(|released| released >= self.generation)
    }

    fn collector_word(&self, offset: u32) -> Option<u64> {
        let word = self.mapping.word(offset).load(Ordering::Acquire);
        let complement = self.mapping.word(offset + 8).load(Ordering::Acquire);
        (word == !complement).then_some(word)
    }

    /// How many of the process's records the collector has committed; meaningful in chunk 1.
    pub(crate) fn drained(&self) -> u64 {
        self.mapping.word(format::DRAINED).load(Ordering::Acquire)
    }

    /// The loss tally; meaningful in chunk 1.
    pub(crate) fn tally(&self) -> &'static Tally {
        // SAFETY: aligned, inside the head area, never unmapped for chunk 1, all fields atomic.
        unsafe { &*self.mapping.at(format::TALLY).cast::<Tally>() }
    }
}
