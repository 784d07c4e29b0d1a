//! Programs that speak `tracing`: a layer for their registry, or a subscriber of our own.
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! let subscriber = tracing_subscriber::registry().with(argus_client::layer());
//! tracing::subscriber::with_default(subscriber, || {
//!     let span = tracing::info_span!("load", path = "book.csv", rows = 10);
//!     let _entered = span.enter();
//!     tracing::warn!(left = 3, "little room");
//! });
//! ```
//!
//! # What is recorded
//!
//! - A **span** when it is made, with the fields it has then; its end when the last handle to it is
//!   dropped. Fields that are recorded later are added to it. Its group is the target.
//! - An **event** as a log line of the span around it: level, target as logger, message, the other fields
//!   as attributes. One without a message shows its fields.
//! - A span **fails** when an event in it tells an error (level ERROR and a field `error` or `err`, or
//!   what `#[instrument(err)]` emits) and when a panic leaves it. The last error counts.
//! - **Follows-from** as a field `follows_from` of the span that follows: the trace context of the other.
//! - **Busy and idle time** (`busy_ns`, `idle_ns`) of spans that are entered more than once, as those of
//!   async functions are. The clock is not read at every entry of every span: the first span of a
//!   callsite that is entered again is timed from that entry on, those after it from their start.
//! - Values of sensitive names are masked before anything is written, see [`redact`](crate::redact).
//!
//! # Parents
//!
//! A parent that the program names is the parent, and one that it denies is none. Otherwise it is what the
//! thread is in, be that a span of `tracing`, a guard of [`span!`](crate::span!), or a function of Python:
//! all share one place. A span that a filter keeps from the layer is
//! passed over; only an event that names such a span as its parent is in none. A span that is entered
//! out of order is left out of order. In a forked child, spans of the parent process go on as parents,
//! and are ended by that process only.
//!
//! # When it is off
//!
//! With `ARGUS_DISABLE=1` there is no layer: [`layer`](crate::layer) answers `None`, which a registry takes
//! as well, and `tracing` turns its callsites off where no other layer wants them. Map the filter in, so
//! that it goes too: `argus_client::layer().map(|layer| layer.with_filter(filter))`.

mod callsites;
mod entered;
mod events;
mod fields;
mod layer;
mod slab;
mod spans;
mod subscriber;
mod table;

pub use layer::Layer;
pub use subscriber::Subscriber;
pub use tracing_core::LevelFilter;

use callsites::Callsites;
use spans::Spans;

use crate::redact::Sensitive;
use crate::sampling::{self, Sampler};

/// What is recorded of a program that speaks `tracing`.
///
/// ```
/// use argus_client::redact::Sensitive;
/// use argus_client::tracing::Options;
///
/// let options = Options::new()
///     .sample_rate(0.1)
///     .sensitive(Sensitive::new(["password", "iban"]));
/// let layer = options.layer();
/// ```
#[derive(Debug)]
#[must_use = "options do nothing by themselves"]
pub struct Options {
    sample_rate: f64,
    sensitive: Sensitive,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sample_rate: sampling::rate_of_environment(),
            sensitive: Sensitive::default(),
        }
    }
}

impl Options {
    /// Everything, unless `ARGUS_SAMPLE_RATE` says less.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records this share of all traces that begin in spans of `tracing`, from 0 to 1. A trace is recorded
    /// whole or not at all; of one that is not, events at level ERROR still are.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.sample_rate = rate;
        self
    }

    /// Masks the values of these fields instead of those in
    /// [`DEFAULT_SENSITIVE`](crate::redact::DEFAULT_SENSITIVE).
    pub fn sensitive(mut self, sensitive: Sensitive) -> Self {
        self.sensitive = sensitive;
        self
    }

    /// A layer that does so; none when recording is off.
    ///
    /// In a stack that has one already, a second one records nothing.
    pub fn layer(self) -> Option<Layer> {
        (!argus_spool::disabled()).then(|| Layer::new(self.spans()))
    }

    /// A subscriber that does so, for levels up to this one.
    ///
    /// ```
    /// use argus_client::tracing::{LevelFilter, Options};
    ///
    /// let subscriber = Options::new().subscriber(LevelFilter::DEBUG);
    /// tracing::subscriber::with_default(subscriber, || tracing::info_span!("load"));
    /// ```
    pub fn subscriber(self, most: LevelFilter) -> Subscriber {
        let most = if argus_spool::disabled() {
            LevelFilter::OFF
        } else {
            most
        };
        Subscriber::new(self.spans(), most)
    }

    fn spans(self) -> Spans {
        Spans::new(
            Callsites::new(self.sensitive),
            Sampler::new(self.sample_rate),
        )
    }
}
