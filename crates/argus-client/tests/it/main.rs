//! What a Rust program records, read back from its spool.
//!
//! The environment decides where a process records, so each test starts this very program again, with
//! a database of its own, and runs one of the [`programs`] in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "tracing")]
mod ends;
#[cfg(feature = "tracing")]
mod filters;
mod guards;
#[cfg(feature = "tracing")]
mod layer;
#[cfg(feature = "tracing")]
mod memory;
mod programs;
mod spool;
