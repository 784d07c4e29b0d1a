//! How far a long command has come: one line on standard error, where that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The pause between two pictures.
const PACE: Duration = Duration::from_millis(100);

/// A line that is written over and over, and gone in the end.
#[derive(Debug)]
pub(crate) struct Progress {
    on_terminal: bool,
    shown_at: Option<Instant>,
    /// Width of the last picture, which the next one has to cover.
    width: usize,
}

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            on_terminal: io::stderr().is_terminal(),
            shown_at: None,
            width: 0,
        }
    }

    /// Shows this, unless the last picture is too young.
    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        if !self.on_terminal || self.shown_at.is_some_and(|at| at.elapsed() < PACE) {
            return;
        }
        self.shown_at = Some(Instant::now());
        self.write(&text());
    }

    /// Without control sequences, which not everybody who sets `NO_COLOR` can read.
    fn write(&mut self, text: &str) {
        let mut out = io::stderr().lock();
        let _ = write!(out, "\r{text:width$}\r", width = self.width);
        let _ = out.flush();
        self.width = text.chars().count();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            self.write("");
        }
    }
}
