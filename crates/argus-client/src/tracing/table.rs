//! Open spans by the id that a registry gave them.
//!
//! The registry would keep a value with a span, at the price of an allocation each. Instead, buckets of
//! eight ids and their spans, a cache line each: finding one is a look at the ids. A full bucket leads to
//! a larger table behind, so that any number of spans can be open. Only open spans are looked up, by those
//! who have a handle to them; so an id that is found stays where it is.
//!
//! The registry of `tracing-subscriber` puts the place of a span on its thread into the low bits of the
//! id, and the thread above bit 38. That is used to keep threads apart, and to find the same bucket
//! again and again while it is in the cache; with ids made in another way all this works, more slowly.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::spans::OpenSpan;

const WIDTH: usize = 8;
/// Buckets of the first table, 37 kB.
const FIRST: usize = 64;
/// How much larger each table is than the one before.
const GROWTH: usize = 8;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// Zero where nothing stands.
    ids: [AtomicU64; WIDTH],
    spans: [OpenSpan; WIDTH],
}

/// The open spans of one registry.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    behind: OnceLock<Box<Table>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self::of(FIRST)
    }

    fn of(buckets: usize) -> Self {
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            behind: OnceLock::new(),
        }
    }

    #[inline]
    fn bucket(&self, id: u64) -> &Bucket {
        let thread = (id >> 38) & 0x1fff;
        let place = id.wrapping_sub(1) ^ thread.wrapping_mul(11);
        &self.buckets[place as usize & (self.buckets.len() - 1)]
    }

    /// A place for a span that has just been given this id.
    #[inline]
    pub(super) fn insert(&self, id: u64) -> &OpenSpan {
        let mut table = self;
        loop {
            let bucket = table.bucket(id);
            for (slot, span) in bucket.ids.iter().zip(&bucket.spans) {
                let is_free = slot.load(Ordering::Relaxed) == 0;
                if is_free
                    && slot
                        .compare_exchange(0, id, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return span;
                }
            }
            table = table.behind();
        }
    }

    #[cold]
    fn behind(&self) -> &Self {
        let larger = self.buckets.len() * GROWTH;
        self.behind.get_or_init(|| Box::new(Self::of(larger)))
    }

    /// The open span with this id.
    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<&OpenSpan> {
        self.find(id).map(|(_, span)| span)
    }

    #[inline]
    fn find(&self, id: u64) -> Option<(&AtomicU64, &OpenSpan)> {
        let mut table = Some(self);
        while let Some(here) = table {
            let bucket = here.bucket(id);
            for (slot, span) in bucket.ids.iter().zip(&bucket.spans) {
                if slot.load(Ordering::Relaxed) == id {
                    return Some((slot, span));
                }
            }
            table = here.behind.get().map(|behind| &**behind);
        }
        None
    }

    /// Ends a span by `last` and frees its place.
    #[inline]
    pub(super) fn remove(&self, id: u64, last: impl FnOnce(&OpenSpan)) {
        if let Some((slot, span)) = self.find(id) {
            last(span);
            slot.store(0, Ordering::Release);
        }
    }

    /// Every open span with its id.
    pub(super) fn all(&self) -> Vec<(u64, &OpenSpan)> {
        let mut all = Vec::new();
        let mut table = Some(self);
        while let Some(here) = table {
            for bucket in &here.buckets {
                let ids = bucket.ids.iter().map(|id| id.load(Ordering::Acquire));
                all.extend(ids.zip(&bucket.spans).filter(|(id, _)| *id != 0));
            }
            table = here.behind.get().map(|behind| &**behind);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_spans_is_found_again() {
        let table = Table::new();
        let ids = || (1..5_000_u64).map(|id| id << 38 | id);
        for id in ids() {
            table.insert(id);
        }
        let all: Vec<_> = ids()
            .map(|id| table.get(id).map(std::ptr::from_ref))
            .collect();
        assert!(all.iter().all(Option::is_some));
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!((different.len(), table.all().len()), (4_999, 4_999));
        for id in ids() {
            table.remove(id, |_| ());
        }
        assert!(table.all().is_empty() && table.get(7).is_none());
    }

    #[test]
    fn threads_do_not_take_each_others_places() {
        let table = Table::new();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..2_000 {
                        // All of one bucket.
                        let id = ((round * 4 + thread) << 51) | 1;
                        let span = table.insert(id);
                        span.handles.store(thread as u32 + 1, Ordering::Relaxed);
                        let found = table.get(id).unwrap();
                        assert!(std::ptr::eq(span, found));
                        assert_eq!(found.handles.load(Ordering::Relaxed), thread as u32 + 1);
                        table.remove(id, |_| ());
                    }
                });
            }
        });
        assert!(table.all().is_empty());
    }
}
