//! Looks at programs from outside, without touching them.
//!
//! What a person with a terminal could learn about a strange process, this crate learns cheaply and
//! precisely:
//!
//! - which process is meant ([`process`]), which are born below it or come back ([`births`],
//!   [`family`], [`restart`]), when and how it ends ([`exit`]),
//!   and whether the kernel killed it for want of memory ([`oom`]);
//! - how busy it is and what it costs the machine ([`sample`]), and how often that is worth a look
//!   ([`pace`]); what its threads do ([`threads`]), and which functions those of a Python program are
//!   in ([`stack`]); what it sends and receives ([`network`]), what limits it and makes it wait
//!   ([`pressure`]);
//! - what its log files say ([`tail`]) and its unit tells the journal ([`journal`]), and, for a program started for the purpose, what it prints
//!   ([`child`]); what a line of either means, which lines belong together, and what of them is secret
//!   ([`parse`]);
//! - when a person should be told of it ([`alarm`]), by expressions of that person's ([`expression`]).
//!
//! What only the program's people know how to find out, their own programs tell ([`plugin`]).
//!
//! It hands observations to its caller as plain values. It writes no spool and no store, prints
//! nothing, and never signals, stops, traces, or changes the process it observes.
//!
//! Linux only so far: everything that another system would do differently stands in [`platform`],
//! the only place of `unsafe`. `/proc` is read through descriptors that stay open, so a sample is a
//! few system calls and a re-used process id can never be mistaken for the process meant.

pub mod alarm;
pub mod argv;
pub mod births;
pub mod child;
pub mod exit;
pub mod expression;
pub mod family;
pub mod journal;
pub mod line;
pub mod network;
pub mod oom;
pub mod pace;
pub mod parse;
pub mod platform;
pub mod plugin;
pub mod pressure;
pub mod process;
pub mod restart;
pub mod sample;
pub mod stack;
pub mod tail;
pub mod threads;
pub mod wake;

mod cgroup;
mod errand;
mod stat;

pub use process::{AttachError, Found, Target};
