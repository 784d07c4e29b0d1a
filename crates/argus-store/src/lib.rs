//! Where Argus keeps what was recorded.
//!
//! Three traits, several engines, one suite of laws. The drain writes through [`Sink`], screens and
//! commands read through [`Store`]; engine names, connections and SQL appear nowhere outside this
//! crate.
//!
//! - [`batch`]: what the drain hands over, in rows, with the spool positions they came from.
//! - [`sink`]: the writing side: one atomic commit, one sync.
//! - [`query`]: the reading side: pages, live state, statistics.
//! - [`retention`]: how long things are kept.
//! - [`verify`]: what a check of everything stored reports.
//! - [`mod@salvage`]: what saving a damaged store's rows reports.
//! - [`engine`]: SQLite (the default) and memory (for tests).
//! - `conformance` (tests): the laws, run against every engine.
//!
//! [`open_writer`] and [`open_reader`] open the default engine.

#![forbid(unsafe_code)]

pub mod batch;
pub mod error;
pub mod query;
pub mod retention;
pub mod salvage;
pub mod sink;
pub mod verify;

pub mod engine;
#[cfg_attr(
    not(feature = "sqlite"),
    allow(
        dead_code,
        reason = "only engines on disk merge and serialise sketches"
    )
)]
mod sketch;

#[cfg(test)]
mod conformance;

pub use batch::Batch;
pub use engine::memory::Memory;
#[cfg(feature = "sqlite")]
pub use engine::sqlite::{check, check_place, open_reader, open_writer, salvage, schema_version};
pub use error::{CommitError, OpenError, ReadError};
pub use query::Store;
pub use retention::Retention;
pub use sink::Sink;
