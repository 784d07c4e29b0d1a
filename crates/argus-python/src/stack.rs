//! How much C stack is left.
//!
//! Up to Python 3.11, Python code that calls Python code needs no C stack, but a native decorator
//! between them does. A recursion that the interpreter allows (the program raised its limit) could
//! therefore run off the stack. Counting with `Py_EnterRecursiveCall` would halve the depth that
//! undecorated code has; looking at the stack itself takes nothing away.

use std::cell::Cell;

use argus_client::current::Thread;

/// A call is refused when less than this is left.
const RESERVE: usize = 256 * 1024;

#[derive(Clone, Copy)]
struct Bounds {
    lowest: usize,
    highest: usize,
}

thread_local! {
    static BOUNDS: Cell<Option<Bounds>> = const { Cell::new(None) };
}

/// Whether the calling thread is about to run out of stack.
#[inline]
pub(crate) fn is_low(thread: Thread) -> bool {
    let marker = 0_u8;
    let here = (&raw const marker).addr();
    // Until the bounds are known everything looks low.
    here < thread.stack_floor() && is_really_low(thread, here)
}

#[cold]
fn is_really_low(thread: Thread, here: usize) -> bool {
    let bounds = BOUNDS.get().unwrap_or_else(|| {
        let found = find().unwrap_or(Bounds {
            lowest: 0,
            highest: 0,
        });
        BOUNDS.set(Some(found));
        let size = found.highest - found.lowest;
        thread.set_stack_floor(found.lowest + RESERVE.min(size / 4));
        found
    });
    // Outside the bounds this is a stack that somebody else switched to (a greenlet): unknown.
    (bounds.lowest..bounds.highest).contains(&here) && here < thread.stack_floor()
}

fn find() -> Option<Bounds> {
    // SAFETY: the attributes are initialised by `pthread_getattr_np` before they are read, and
    // destroyed once; the calling thread exists.
    unsafe {
        let mut attributes = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return None;
        }
        let mut lowest = std::ptr::null_mut();
        let mut size = 0;
        let found =
            libc::pthread_attr_getstack(&raw const attributes, &raw mut lowest, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        let lowest = lowest.addr();
        (found == 0).then(|| Bounds {
            lowest,
            highest: lowest.saturating_add(size),
        })
    }
}
