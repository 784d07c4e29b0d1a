//! The spine under fire: real programs, a real collector, real `SIGKILL`s, and the ledger.
//!
//! Apart from the tests in `it`, because the hosts here link the client, and because each of these
//! takes seconds. This binary plays the hosts too (see `host`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;
mod host;

mod collector_death;
mod latency;
mod producer_death;
mod takeover;
