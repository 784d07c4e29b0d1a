//! The observers against real processes, real files, real signals.

mod stranger;

mod attach;
mod exit;
mod follow;
mod measure;
mod spawn;
