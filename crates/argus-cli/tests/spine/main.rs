//! The spine under fire: real programs, a real collector, real `SIGKILL`s, and the ledger.
//!
//! Apart from the tests in `it`, because the hosts here link the client, and because each of these
//! takes seconds. This binary plays the hosts too (see `host`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "another test binary uses the rest")]
mod bed;
mod hardship;
mod host;

mod latency;
mod takeover;
