//! A place that several threads look at: that of a span which is opened on one thread, entered on
//! another and ended on a third.
//!
//! Three atomic words instead of a lock, because a span is looked up at every entry. Who keeps a place
//! must have told the others of it before they read (a span's handle is sent, which does). Read while
//! it is written, the place may be a mixture of two; each word is still one that a [`Current`] had, so
//! that a mixture names a wrong span and nothing worse.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use argus_model::SpanNumber;

use crate::thread::Current;

/// A [`Current`] in shared memory. Reading and writing cost three plain loads or stores.
#[derive(Debug, Default)]
pub struct KeptCurrent {
    number: AtomicU64,
    root: AtomicU64,
    life: AtomicUsize,
}

impl KeptCurrent {
    /// Keeps this place.
    #[inline]
    pub fn keep(&self, place: Current) {
        self.number.store(place.number.0, Ordering::Relaxed);
        self.root.store(place.root, Ordering::Relaxed);
        self.life.store(place.life, Ordering::Relaxed);
    }

    /// The place that was kept last; [`Current::NONE`] before.
    #[inline]
    pub fn current(&self) -> Current {
        Current {
            number: SpanNumber(self.number.load(Ordering::Relaxed)),
            root: self.root.load(Ordering::Relaxed),
            life: self.life.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_kept() {
        let kept = KeptCurrent::default();
        assert_eq!(kept.current(), Current::NONE);
        for place in [
            Current::NONE.child(SpanNumber(7)).child(SpanNumber(9)),
            Current::unsampled(),
        ] {
            kept.keep(place);
            assert_eq!(kept.current(), place);
        }
    }
}
