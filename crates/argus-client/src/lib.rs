//! What a program links to be recorded by Argus.
//!
//! ```
//! use argus_client::span;
//!
//! fn load(path: &str, rows: u64) {
//!     let _span = span!("load", path = path, rows = rows);
//!     // The work. The span ends when `_span` goes out of scope; it counts as failed when that
//!     // happens because of a panic.
//! }
//!
//! load("book.csv", 10);
//! argus_client::metric("queue_depth", 5.0, "1");
//! ```
//!
//! A span is visible to `argus watch` from the moment it opens. What is emitted survives any death
//! of the process; nothing here starts a thread, blocks, prints, or fails into the caller. What could
//! not be recorded is counted, see [`stats`]. `ARGUS_DISABLE=1` turns everything off.

#![forbid(unsafe_code)]

pub mod capture;
pub mod current;
#[cfg(any(feature = "log", feature = "tracing"))]
mod line;
#[cfg(feature = "log")]
pub mod logger;
pub mod metric;
pub mod name;
pub mod redact;
pub mod sampling;
pub mod session;
pub mod span;
#[cfg(feature = "tracing")]
pub mod tracing;

pub use argus_spool::{
    Configuration, Flushed, Stats, Weight, configure, disabled, flush, monotonic_now, stats,
};
pub use capture::{Capture, Captured};
pub use metric::metric;
pub use session::Session;
pub use span::SpanGuard;

/// A layer for a registry of `tracing-subscriber` that records all spans and events it is shown; none
/// when recording is off, which a registry takes as well. [`tracing::Options`] make others.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry()
///     .with(argus_client::layer())
///     .init();
/// ```
#[cfg(feature = "tracing")]
pub fn layer() -> Option<tracing::Layer> {
    tracing::Options::new().layer()
}

/// A subscriber of our own, for programs that need no registry and no other layer: what costs a span
/// the least. It records all levels; [`tracing::Options`] make others.
///
/// ```
/// use tracing::Dispatch;
///
/// let subscriber = Dispatch::new(argus_client::subscriber());
/// tracing::dispatcher::with_default(&subscriber, || tracing::info_span!("load", rows = 10));
/// ```
#[cfg(feature = "tracing")]
pub fn subscriber() -> tracing::Subscriber {
    tracing::Options::new().subscriber(tracing::LevelFilter::TRACE)
}

/// A logger for the `log` crate that records what it is told as lines of the span around it.
///
/// ```
/// argus_client::log_bridge().install(log::LevelFilter::Info)?;
/// log::info!("begun");
/// # Ok::<(), log::SetLoggerError>(())
/// ```
#[cfg(feature = "log")]
pub fn log_bridge() -> logger::Logger {
    logger::Logger::default()
}

/// What the macros of this crate expand to; not for direct use.
#[doc(hidden)]
pub mod expansion {
    pub use crate::capture::{Capture, Captured, debug};
    pub use crate::name::StaticName;
    pub use crate::span::SpanGuard;
}
