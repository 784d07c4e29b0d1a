//! What the user has done to the screen: selection, folds, pause, order; and its picture.
//!
//! A [`View`] holds no data. Selection and folds name things by identity, never by row, so that
//! rows may come and go under them; what is selected and ends hands the selection to its thread,
//! that to its process. Drawing takes the data and the moment as a [`Scene`].

mod draw;

mod rows;
mod stack;

mod activity;
mod vitals;

mod arguments;
mod theme;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use argus_model::Timestamp;
use argus_read::LiveState;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;

use rows::{Fold, Row, RowKey};
pub(crate) use theme::Theme;

/// Everything a picture is made of, besides the view.
pub(crate) struct Scene<'a> {
    pub(crate) state: &'a LiveState,
    pub(crate) now: Timestamp,
    pub(crate) zone: &'a TimeZone,
    pub(crate) database: &'a Path,
    pub(crate) pid: Option<u32>,
    pub(crate) has_store: bool,
    pub(crate) problem: Option<&'a str>,
}

/// What drawing found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Drawn {
    /// Rows of the stack that were made into text.
    pub(crate) formatted: usize,
    /// The least elapsed time among them.
    pub(crate) youngest: Option<Duration>,
}

/// What a key asks of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    Ignore,
    Redraw,
    Quit,
}

/// Which list the arrows move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pane {
    #[default]
    Stack,
    Activity,
}

/// The order of the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    Start,
    Cpu,
    Memory,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Start => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Start,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Filter {
    /// Nothing.
    #[default]
    All,
    /// Processes without open spans or, where only sampled stacks are known, a thread at work.
    Active,
    /// Spans that went well, in the list of recent ones.
    Error,
}

impl Filter {
    const fn next(self) -> Self {
        match self {
            Self::All => Self::Active,
            Self::Active => Self::Error,
            Self::Error => Self::All,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Active => "active",
            Self::Error => "error",
        }
    }
}

/// The state of the screen.
#[derive(Debug, Default)]
pub(crate) struct View {
    pane: Pane,
    order: Order,
    filter: Filter,
    help: bool,
    paused_at: Option<Timestamp>,
    selected: Option<RowKey>,
    folded: HashSet<RowKey>,
    stack_top: usize,
    stack_height: usize,
    activity_top: usize,
    activity_height: usize,
}

impl View {
    /// Since when the picture stands still.
    pub(crate) fn paused_at(&self) -> Option<Timestamp> {
        self.paused_at
    }

    /// Whether the picture stands still.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// Takes a key.
    pub(crate) fn press(&mut self, key: KeyEvent, state: &LiveState, now: Timestamp) -> Reaction {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Reaction::Quit,
                KeyCode::Char('l') => Reaction::Redraw,
                _ => Reaction::Ignore,
            };
        }
        match key.code {
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Reaction::Quit,
            KeyCode::Char(' ' | 'p') => {
                self.paused_at = match self.paused_at {
                    Some(_) => None,
                    None => Some(now),
                };
            }
            KeyCode::Tab | KeyCode::BackTab => {
                self.pane = match self.pane {
                    Pane::Stack => Pane::Activity,
                    Pane::Activity => Pane::Stack,
                };
            }
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('f') => self.filter = self.filter.next(),
            code => return self.travel(code, state),
        }
        Reaction::Redraw
    }

    fn travel(&mut self, code: KeyCode, state: &LiveState) -> Reaction {
        let page = match self.pane {
            Pane::Stack => self.stack_height,
            Pane::Activity => self.activity_height,
        };
        let page = isize::try_from(page.max(2) - 1).unwrap_or(isize::MAX);
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.step(-1, state),
            KeyCode::Down | KeyCode::Char('j') => self.step(1, state),
            KeyCode::PageUp => self.step(-page, state),
            KeyCode::PageDown => self.step(page, state),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN, state),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX, state),
            KeyCode::Left | KeyCode::Right | KeyCode::Enter if self.pane == Pane::Stack => {
                self.fold(code, state);
            }
            _ => return Reaction::Ignore,
        }
        Reaction::Redraw
    }

    fn step(&mut self, by: isize, state: &LiveState) {
        match self.pane {
            Pane::Activity => self.activity_top = self.activity_top.saturating_add_signed(by),
            Pane::Stack => {
                let rows = self.rows(state);
                let current = self.position(state, &rows).unwrap_or(0);
                let target = current.saturating_add_signed(by);
                self.select(state, &rows, target);
            }
        }
    }

    fn fold(&mut self, code: KeyCode, state: &LiveState) {
        let rows = self.rows(state);
        let Some(position) = self.position(state, &rows) else {
            return;
        };
        let row = rows[position];
        let key = row.key(state);
        match (code, row.fold) {
            (KeyCode::Right | KeyCode::Enter, Fold::Closed) => {
                self.folded.remove(&key);
            }
            (KeyCode::Left | KeyCode::Enter, Fold::Open) => {
                self.folded.insert(key);
            }
            (KeyCode::Right, Fold::Open) => self.select(state, &rows, position + 1),
            (KeyCode::Left, _) => {
                let above = rows[..position]
                    .iter()
                    .rposition(|other| other.depth(state) < row.depth(state));
                self.select(state, &rows, above.unwrap_or(position));
            }
            _ => {}
        }
    }

    fn rows(&self, state: &LiveState) -> Vec<Row> {
        rows::visible(state, &self.folded, self.order, self.filter)
    }

    fn select(&mut self, state: &LiveState, rows: &[Row], position: usize) {
        let last = rows.len().saturating_sub(1);
        self.selected = rows.get(position.min(last)).map(|row| row.key(state));
    }

    /// Where the selection is: its own row, or that of the nearest thing around it that is left,
    /// or the first row.
    fn position(&self, state: &LiveState, rows: &[Row]) -> Option<usize> {
        let mut wanted = self.selected;
        while let Some(key) = wanted {
            let found = rows.iter().position(|row| row.key(state) == key);
            if found.is_some() {
                return found;
            }
            wanted = key.around();
        }
        (!rows.is_empty()).then_some(0)
    }
}

#[cfg(test)]
mod tests;
