//! Which spans the calling thread has entered, and where it was before each.
//!
//! Spans are left in any order. The thread's
//! place is that of the innermost span; when an outer
//! one is left first, the one inside it inherits where that one was entered from, so that leaving it
//! later does not lead back into a span that is over.
//!
//! A `span!` guard that is opened inside and outlives the span it was opened in keeps the thread where it
//! is until it is dropped, and then takes it back into that span.

use std::cell::RefCell;

use argus_spool::{KeptCurrent, Step, Thread};

/// One entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    /// The recorder that was told.
    pub(super) recorder: u32,
    /// The span, as `tracing` names it.
    pub(super) id: u64,
    pub(super) step: Step,
    pub(super) was_panicking: bool,
    pub(super) is_timed: bool,
}

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

/// Goes to a place and notes it as `entry` says. An entry that cannot be noted, because the thread is
/// being torn down, changes nothing else.
#[inline]
pub(super) fn enter(place: &KeptCurrent, entry: impl FnOnce(Step) -> Entered) {
    let _ = ENTERED.try_with(|stack| {
        if let Ok(mut stack) = stack.try_borrow_mut() {
            stack.push(entry(Thread::mine().go_to(place)));
        }
    });
}

/// Takes the innermost entry into this span back, and the thread to where it was before.
#[inline]
pub(super) fn leave(recorder: u32, id: u64) -> Option<Entered> {
    let left = ENTERED.try_with(|stack| {
        let mut stack = stack.try_borrow_mut().ok()?;
        match stack.last() {
            Some(top) if top.id == id && top.recorder == recorder => {
                let entry = stack.pop()?;
                Thread::mine().take_back(&entry.step);
                Some(entry)
            }
            _ => leave_out_of_order(&mut stack, recorder, id),
        }
    });
    left.ok().flatten()
}

#[cold]
fn leave_out_of_order(stack: &mut Vec<Entered>, recorder: u32, id: u64) -> Option<Entered> {
    let of_this = |entry: &Entered| entry.id == id && entry.recorder == recorder;
    // A recorder that was put in the place of another hears of the ends of the other's entries.
    let index = stack.iter().rposition(of_this);
    let index = index.or_else(|| stack.iter().rposition(|entry| entry.id == id))?;
    let entry = stack.remove(index);
    match stack.get_mut(index) {
        Some(inside) => inside.step.inherit(&entry.step),
        None => Thread::mine().take_back(&entry.step),
    }
    Some(entry)
}

/// The innermost span of this recorder that the thread has entered.
#[inline]
pub(super) fn innermost(recorder: u32) -> Option<u64> {
    let found = ENTERED.try_with(|stack| {
        let stack = stack.try_borrow().ok()?;
        let mut inmost_first = stack.iter().rev();
        inmost_first
            .find(|entry| entry.recorder == recorder)
            .map(|entry| entry.id)
    });
    found.ok().flatten()
}
