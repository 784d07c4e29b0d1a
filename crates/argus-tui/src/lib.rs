//! The terminal screens of Argus.
//!
//! A screen is three things that know little of each other: the data (`argus_read::LiveState`,
//! which no key changes), the view (`view`: what is selected, folded, paused; which no commit
//! changes), and an edge that fetches, waits, and draws ([`watch()`]). Drawing is a pure function of
//! the first two, a moment, and a size; the tests compare its pictures.
//!
//! Text that came from outside (names, arguments, exceptions, paths) reaches the terminal only
//! through [`sanitize()`], so that no recorded program can move the cursor or reorder a line.

#![forbid(unsafe_code)]

mod watch;

mod view;

mod pace;

mod input;
mod terminal;

pub mod format;
pub mod sanitize;

pub use sanitize::sanitize;
pub use watch::{OpenStore, WatchError, WatchOptions, watch};
