//! What a Rust program records, read back from its spool.
//!
//! The environment decides where a process records, so each test starts this very program again, with
//! a database of its own, and runs one of the [`programs`] in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ends;
mod filters;
mod guards;
mod layer;
mod logger;
mod memory;
mod programs;
mod rows;
mod spool;
