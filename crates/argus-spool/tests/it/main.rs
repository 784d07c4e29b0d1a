//! The spool's promises, shown on real processes.
//!
//! Most tests start this same binary again in a *role* (see `roles`), because what matters happens
//! to a process: it is killed, it forks, it closes what it did not open.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod control;
mod damage;
mod death;
mod fork;
mod host;
mod model;
mod order;
mod parting;
mod patience;
mod remote;
mod reuse;
mod roles;
mod signals;
mod small;
mod spool;
