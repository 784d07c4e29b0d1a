//! The vocabulary that every part of Argus shares.
//!
//! A program (the *producer*) describes its work as [`record`]s. A record travels as bytes
//! ([`codec`]) through a spool, is turned into rows by the drain, and is shown by the screens; all
//! of them use the words defined here, so none of them needs to know another.
//!
//! Nothing in this crate opens a file, reads a clock, or starts a thread. It is linked into
//! strangers' programs, so it stays small: one dependency, no `unsafe`.

#![forbid(unsafe_code)]

pub mod codec;
pub mod death;
pub mod identity;
pub mod json;
pub mod level;
pub mod measure;
pub mod name;
pub mod paths;
pub mod record;
pub mod session;
pub mod time;
pub mod trace;
pub mod value;

pub use death::Death;
pub use identity::{ProducerId, SpanKey, SpanNumber};
pub use level::Level;
pub use measure::{Measure, Measures};
pub use name::{NameKind, NameNumber, NameText};
pub use record::{Kind, Record};
pub use time::{Monotonic, Timestamp};
pub use trace::TraceContext;
pub use value::Value;
