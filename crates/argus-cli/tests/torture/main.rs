//! Torture: everything that can go wrong around a recording is made to go wrong, for real, and each
//! time the ledger must balance: *accepted = stored + counted losses*, none doubled, none out of
//! order, and the host ends as it would have without us.
//!
//! Every torture has a short form, which CI runs, and a long one by hand: `cargo xtask torture NAME`.
//! This binary plays the hosts too (see `host`). Some tortures need a file system or a process table
//! of their own; they run in private namespaces (see `alone`), which leave nothing on the machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alone;
#[allow(dead_code, reason = "another test binary uses the rest")]
#[path = "../spine/bed.rs"]
mod bed;
#[path = "../../../argus-spool/tests/children/mod.rs"]
mod children;
mod disk;
mod host;
mod ledger;
#[allow(dead_code, reason = "another test binary uses the rest")]
#[path = "../it/nobody.rs"]
mod nobody;

mod bitflip;
mod clock;
mod disk_full;
mod eio;
mod exec;
mod fork;
mod kill_collector;
mod kill_producer;
mod namespaces;
mod offspring;
mod pid_reuse;
mod programs;
mod read_only;
mod reader_stall;
mod real_logs;
mod retention;
mod rotation;
mod threads;
mod upgrade;

/// How often the matter of a torture is repeated: `ARGUS_TORTURE_ROUNDS`, else the short form's.
fn rounds(short: u32) -> u32 {
    named_rounds().unwrap_or(short)
}

fn named_rounds() -> Option<u32> {
    let named = std::env::var("ARGUS_TORTURE_ROUNDS");
    named.ok().and_then(|n| n.parse().ok())
}
