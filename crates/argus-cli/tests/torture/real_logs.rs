//! The logs of real programs, as they write and rotate them themselves or with logrotate, under load: what
//! stands in their files after all is what is stored, each line once, in the order of its file, understood,
//! and with the place where it stood.
//!
//! Nothing here knows what a log should look like: the files are the truth. Where a program removes its
//! oldest files, it writes the same lines to a file that stays, too.
//!
//! A storm is short, and repeated in the long form (`cargo xtask torture rotation`). A program that is not
//! installed is said and left out.

mod account;
mod events;
mod follow;
mod large;
mod logback;
mod nginx;
mod postgres;
