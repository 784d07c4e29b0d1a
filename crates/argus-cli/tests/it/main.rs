//! The real binary against a real database: what a person types, sees, and gets as exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(dead_code, reason = "another test binary uses the rest")]
#[path = "../torture/alone.rs"]
mod alone;
mod nobody;
mod observed;
mod pty;
mod recording;

mod autopsy;
mod collector;
mod damage;
mod doctor;
mod gaze;
mod gaze_alerts;
mod gaze_follow;
mod gaze_journal;
mod gaze_logs;
mod gaze_many;
mod gaze_plugins;
mod gaze_refusals;
mod gaze_unprivileged;
mod help;
mod listings;
mod logs;
mod logs_follow;
mod logs_hostile;
mod logs_refusals;
mod query;
mod refusals;
mod run;
#[cfg(feature = "stacks")]
mod stack;
mod status;
mod stored;
mod terminal;
mod watch;
