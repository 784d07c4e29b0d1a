//! The way of a record whose payload is at hand: a span of most calls.
//!
//! The general way lends the chunk to an encoder and reads back what it wrote, for the checksum. Here
//! the payload's words go from registers into both, one look at the room serves for all of them, and
//! whatever is not as usual (a full chunk, a name not defined yet, a clock that wants care, a processor
//! without the instruction) is left to the general way.

use std::sync::atomic::{AtomicU64, Ordering};

use argus_model::codec::Small;
use argus_model::record::Head;
use argus_model::{Kind, Monotonic};

use super::Writer;
use crate::checksum;
use crate::clock::Tick;
use crate::definition::Definition;
use crate::emit::{Appended, Weight};
use crate::format::{self, RECORD_HEAD};

impl Writer {
    /// Appends an ordinary record that refers to `definition`, if to any. `head` is told the time.
    #[inline(always)]
    pub(crate) fn append_small<const WORDS: usize>(
        &mut self,
        kind: Kind,
        definition: Option<&'static Definition>,
        rest: &Small,
        head: impl Fn(Monotonic) -> Head<WORDS>,
    ) -> Appended {
        let (now, tick) = self.clock.now();
        let head = head(now);
        if tick == Tick::Within
            && definition.is_none_or(|definition| self.has_defined(definition))
            && self.write_small(kind, head, rest)
        {
            self.count_accepted();
            self.nudge();
            return Appended::Accepted;
        }
        self.append_large((now, tick), kind, definition, head, rest)
    }

    /// Writes the record if it fits.
    #[inline(always)]
    fn write_small<const WORDS: usize>(
        &mut self,
        kind: Kind,
        head: Head<WORDS>,
        rest: &Small,
    ) -> bool {
        let length = (4 + 8 * WORDS + rest.length()) as u32;
        let total = format::padded(RECORD_HEAD + length);
        let position = self.position;
        if self.normal_end < position + total || !checksum::has_instruction() {
            return false;
        }
        // SAFETY: `start` is the mapping of the chunk that this thread owns, `position` a multiple of
        // 8, and the record ends inside it; the space is unpublished. The instruction exists.
        unsafe {
            let place = self.start.add(position as usize).cast::<u64>();
            let state = format::state_word(self.prefix, kind as u8, length);
            let mut sum = u64::from(self.seed);
            sum = checksum::feed_word(sum, position.into());
            sum = checksum::feed_word(sum, state);
            sum = checksum::feed_word(sum, u64::from(head.first) << 32);
            let mut next = place.add(2);
            // Atomic, as the protocol's model has it, and because the compiler would call `memcpy` for
            // what is nearly always one word.
            let mut put = |word: u64| {
                sum = checksum::feed_word(sum, word);
                AtomicU64::from_ptr(next).store(word.to_le(), Ordering::Relaxed);
                next = next.add(1);
            };
            head.words.into_iter().for_each(&mut put);
            rest.words().for_each(put);
            let second = u64::from(head.first) << 32 | u64::from(sum as u32);
            place.add(1).write(second.to_le());
            AtomicU64::from_ptr(place).store(state.to_le(), Ordering::Release);
        }
        self.advance(position + total);
        true
    }

    #[cold]
    fn append_large<const WORDS: usize>(
        &mut self,
        reading: (Monotonic, Tick),
        kind: Kind,
        definition: Option<&'static Definition>,
        head: Head<WORDS>,
        rest: &Small,
    ) -> Appended {
        let definitions = definition.as_slice();
        self.append_at(reading, kind, Weight::Normal, definitions, |out, _| {
            head.encode(out)?;
            out.bytes(rest.bytes())
        })
    }
}
