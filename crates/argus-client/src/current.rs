//! Which span the calling thread is in.
//!
//! Rust guards and the Python package share this place, so that spans nest rightly in programs made
//! of both.

pub use argus_spool::{Current, Thread};

/// Where the calling thread is.
#[inline]
pub fn current() -> Current {
    Thread::mine().current()
}

/// Puts the calling thread elsewhere; answers where it was.
#[inline]
pub fn replace(current: Current) -> Current {
    Thread::mine().replace(current)
}
