//! Places for the spans of our own subscriber; a place is a span's id.
//!
//! A thread keeps the places that it freed last for its next spans: they are in its cache, and nobody
//! else touches them. What it has too many of goes to a common list, from which others take; where that is
//! held by somebody (after a fork perhaps for ever) fresh places are taken instead. Places are never given
//! back to the system; there are as many as spans were ever open at once, and some for each thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, TryLockError};

use super::spans::OpenSpan;

/// Places of the first page; each further one has twice as many as the one before.
const FIRST_PAGE: u32 = 64;
const PAGES: usize = 26;
/// Places that a thread takes at once.
const BLOCK: u32 = 16;
/// Places that a thread keeps.
const KEPT: usize = 64;

#[derive(Debug)]
struct Slab {
    pages: [OnceLock<Box<[OpenSpan]>>; PAGES],
    /// The first place that nobody has had.
    fresh: AtomicU32,
    free: Mutex<Vec<u32>>,
}

static SLAB: Slab = Slab {
    pages: [const { OnceLock::new() }; PAGES],
    fresh: AtomicU32::new(0),
    free: Mutex::new(Vec::new()),
};

/// What a thread keeps; it leaves it to others when it ends.
struct Own(Vec<u32>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(mut free) = SLAB.free() {
            free.append(&mut self.0);
        }
    }
}

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own(Vec::new())) };
}

/// A place for a new span, and its id, which is never zero; nothing when there are as many open spans
/// as can be numbered.
#[inline]
pub(super) fn take() -> Option<(u64, &'static OpenSpan)> {
    let place = OWN.try_with(|own| {
        let mut own = own.try_borrow_mut().ok()?;
        own.0.pop().or_else(|| refill(&mut own.0))
    });
    let place = place.ok().flatten().or_else(|| SLAB.fresh(1))?;
    let id = u64::from(place) + 1;
    get(id).map(|span| (id, span))
}

/// The span at a place that was taken.
#[inline]
pub(super) fn get(id: u64) -> Option<&'static OpenSpan> {
    let place = u32::try_from(id.checked_sub(1)?).ok()?;
    // Pages of 64, 128, 256, …: the highest bit of the place behind the first 64 is the page.
    let shifted = place.checked_add(FIRST_PAGE)?;
    let highest = shifted.ilog2();
    let page = (highest - FIRST_PAGE.ilog2()) as usize;
    SLAB.pages
        .get(page)?
        .get()?
        .get((shifted - (1 << highest)) as usize)
}

/// Frees a place.
#[inline]
pub(super) fn free(id: u64) {
    let Some(place) = id
        .checked_sub(1)
        .and_then(|place| u32::try_from(place).ok())
    else {
        return;
    };
    let kept = OWN.try_with(|own| {
        let Ok(mut own) = own.try_borrow_mut() else {
            return false;
        };
        own.0.push(place);
        if own.0.len() > KEPT {
            spill(&mut own.0);
        }
        true
    });
    if kept != Ok(true)
        && let Some(mut free) = SLAB.free()
    {
        free.push(place);
    }
}

#[cold]
fn refill(own: &mut Vec<u32>) -> Option<u32> {
    if let Some(mut free) = SLAB.free() {
        let most = free.len().saturating_sub(BLOCK as usize);
        own.extend(free.drain(most..));
    }
    if own.is_empty() {
        let first = SLAB.fresh(BLOCK)?;
        own.extend((first..first + BLOCK).rev());
    }
    own.pop()
}

/// Gives away half.
#[cold]
fn spill(own: &mut Vec<u32>) {
    if let Some(mut free) = SLAB.free() {
        free.extend(own.drain(..KEPT / 2));
    }
}

impl Slab {
    fn free(&self) -> Option<MutexGuard<'_, Vec<u32>>> {
        match self.free.try_lock() {
            Ok(free) => Some(free),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The first of so many places that nobody has had.
    fn fresh(&self, count: u32) -> Option<u32> {
        let most = FIRST_PAGE * ((1 << PAGES) - 1);
        let first = self
            .fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |first| {
                first.checked_add(count).filter(|end| *end <= most)
            })
            .ok()?;
        for place in first..first + count {
            let page = ((place + FIRST_PAGE) / FIRST_PAGE).ilog2() as usize;
            self.pages[page].get_or_init(|| {
                let length = FIRST_PAGE << page;
                (0..length).map(|_| OpenSpan::default()).collect()
            });
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_place_is_had_once_and_again_when_it_is_free() {
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.extend((0..1_000).map(|_| take().unwrap()));
            let ids: HashSet<_> = taken.iter().map(|(id, _)| *id).collect();
            let spans: HashSet<_> = taken.iter().map(|(_, s)| std::ptr::from_ref(*s)).collect();
            assert_eq!((ids.len(), spans.len()), (taken.len(), taken.len()));
            for (id, span) in &taken {
                assert!(std::ptr::eq(get(*id).unwrap(), *span));
            }
            for (id, _) in taken.drain(500..) {
                free(id);
            }
        }
        assert!(
            SLAB.fresh.load(Ordering::Relaxed) < 3_000,
            "places are used again"
        );
        assert!(get(0).is_none() && get(u64::MAX).is_none());
    }

    #[test]
    fn places_wander_between_threads() {
        let (giver, taker) = std::sync::mpsc::channel::<u64>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..20_000 {
                    giver.send(take().unwrap().0).unwrap();
                }
            });
            scope.spawn(move || taker.iter().for_each(free));
        });
        let next = SLAB.fresh.load(Ordering::Relaxed);
        assert!(next < 40_000, "{next}");
    }
}
