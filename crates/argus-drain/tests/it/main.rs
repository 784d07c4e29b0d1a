//! The drain's promises, shown on a real spool.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod model;
