//! The engines behind the traits, and the decisions that all of them share.
//!
//! Whatever two engines must answer alike (how a dead process's spans read, what a session's last
//! event says, which captured values hold a text) is decided once here, from data alone.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod cutoff;
pub(crate) mod death;
mod session;
mod statistics;
mod text;
