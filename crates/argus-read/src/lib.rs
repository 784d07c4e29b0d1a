//! How Argus reads what it has recorded: the one place that screens and commands ask.
//!
//! A terminal and a browser that show the same thing call the same function here, so they cannot
//! disagree about a number.
//!
//! - [`autopsy`]: how a run ended, and what it was doing.
//! - [`follow`]: waits until something was committed.
//! - [`live`]: what runs at this moment: process, thread, open spans, and what has just ended.
//! - [`statistics`]: functions by calls, errors, time.
//! - [`stored`]: the rows themselves.
//!
//! [`live`] and [`statistics`] take rows and a moment and give back data. They read no clock, open
//! no file, and know nothing of terminals; only [`follow`] touches the system, by one socket.

#![forbid(unsafe_code)]

pub mod autopsy;
pub mod follow;
pub mod live;
pub mod statistics;
pub mod stored;

pub use autopsy::Autopsy;
pub use follow::{Follower, Wake, Waker};
pub use live::{LiveOptions, LiveState};
