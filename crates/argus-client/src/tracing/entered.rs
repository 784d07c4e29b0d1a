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
struct Entered {
    /// The recorder that was told.
    recorder: u32,
    /// The span, as `tracing` names it.
    id: u64,
    step: Step,
    how: How,
}

/// What is remembered of an entry until its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    pub(super) was_panicking: bool,
    pub(super) is_timed: bool,
}

/// The entries of a thread. Those beyond `depth` are over, and are written over by the next.
#[derive(Debug)]
struct Stack {
    entries: Vec<Entered>,
    depth: usize,
}

thread_local! {
    static STACK: RefCell<Stack> = const {
        RefCell::new(Stack {
            entries: Vec::new(),
            depth: 0,
        })
    };
}

/// Goes to the place of a span and notes that. Where it cannot be noted, because the thread is being
/// torn down, the thread stays where it is.
#[inline]
pub(super) fn enter(recorder: u32, id: u64, place: &KeptCurrent, how: How) {
    let _ = STACK.try_with(|stack| {
        if let Ok(mut stack) = stack.try_borrow_mut() {
            let entry = stack.next();
            entry.recorder = recorder;
            entry.id = id;
            entry.how = how;
            Thread::mine().go_to(place, &mut entry.step);
        }
    });
}

/// Takes the innermost entry into this span back, and the thread to where it was before.
#[inline]
pub(super) fn leave(recorder: u32, id: u64) -> Option<How> {
    let left = STACK.try_with(|stack| {
        let mut stack = stack.try_borrow_mut().ok()?;
        match stack.top() {
            Some(top) if top.id == id && top.recorder == recorder => {
                Thread::mine().take_back(&top.step);
                let how = top.how;
                stack.depth -= 1;
                Some(how)
            }
            _ => stack.leave_out_of_order(recorder, id),
        }
    });
    left.ok().flatten()
}

/// The innermost span of this recorder that the thread has entered.
#[inline]
pub(super) fn innermost(recorder: u32) -> Option<u64> {
    let found = STACK.try_with(|stack| {
        let stack = stack.try_borrow().ok()?;
        let mut inmost_first = stack.entries[..stack.depth].iter().rev();
        inmost_first
            .find(|entry| entry.recorder == recorder)
            .map(|entry| entry.id)
    });
    found.ok().flatten()
}

impl Stack {
    #[inline]
    fn top(&self) -> Option<&Entered> {
        self.entries.get(self.depth.checked_sub(1)?)
    }

    /// A place for another entry.
    #[inline]
    fn next(&mut self) -> &mut Entered {
        if self.depth == self.entries.len() {
            self.grow();
        }
        self.depth += 1;
        &mut self.entries[self.depth - 1]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.entries.push(Entered {
            recorder: 0,
            id: 0,
            step: Step::NONE,
            how: How::default(),
        });
    }

    #[cold]
    fn leave_out_of_order(&mut self, recorder: u32, id: u64) -> Option<How> {
        self.entries.truncate(self.depth);
        let of_this = |entry: &Entered| entry.id == id && entry.recorder == recorder;
        // A recorder that was put in the place of another hears of the ends of the other's entries.
        let index = self.entries.iter().rposition(of_this);
        let index = index.or_else(|| self.entries.iter().rposition(|entry| entry.id == id))?;
        let entry = self.entries.remove(index);
        self.depth = self.entries.len();
        match self.entries.get_mut(index) {
            Some(inside) => inside.step.inherit(&entry.step),
            None => Thread::mine().take_back(&entry.step),
        }
        Some(entry.how)
    }
}
