//! The collector's work: spools into the store, exactly once.
//!
//! One collector per database, elected by a lock ([`elect`]). It goes round a loop ([`Collector`]):
//! read what producers have written ([`intake`]), fold records into rows ([`fold`]), commit rows and
//! spool positions in one transaction, tell followers and flushing programs ([`notify`]), sync the
//! store, give drained chunks back to their producers. When a producer's process is over, its open
//! spans become interrupted ones and, once that is synced, its spool is removed.
//!
//! # What a crash can leave behind
//!
//! The collector keeps nothing in memory that is not also in a spool or in the store. Killed
//! - before a commit: the batch is read again from the spools, the positions say from where;
//! - after a commit, before the followers are told: they poll as well;
//! - after a commit, before the sync: the rows survive (only a loss of power could take them, and
//!   then the spools still hold them, for nothing is released before it is synced);
//! - after the sync, before the release: the next collector finds the chunk read to its end and
//!   releases it;
//! - while a dead producer's spool is removed: the rest of it is removed by the next one, its
//!   positions stay in the store until the folder is gone.
//!
//! Each of these borders is a [`failpoint`]; a test kills the collector at every one of them.

#![forbid(unsafe_code)]

pub mod elect;
pub mod failpoint;
pub mod fold;
pub mod intake;
pub mod notify;
pub mod observer;
pub mod templates;

mod captured;
mod collector;
mod deaths;

pub use collector::{Collector, CollectorError, IdleExit, Options};
pub use deaths::{Here, Life};
pub use observer::{Death, Observer, Reading};
