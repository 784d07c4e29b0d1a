//! The observers against real processes, real files, real signals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stranger;

mod alert;
mod attach;
mod births;
mod details;
mod exit;
mod follow;
mod group;
mod measure;
mod network;
mod pace;
mod plugin;
mod rotation;
mod spawn;
#[cfg(feature = "stacks")]
mod stack;
mod threads;
