//! What was written beside what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::scene::line;

/// Which lines may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Losses<'a> {
    None,
    /// Those of as many files as are told to have been removed unseen.
    ToldByFile,
    /// These, and no other.
    Exactly(&'a [u64]),
}

/// A stored line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    number: u64,
    order: u64,
    /// It says what was written.
    is_whole: bool,
}

impl Row {
    pub(super) fn read(text: &str) -> Self {
        let mut words = text.split(' ').map(|word| word.parse().ok());
        let mut next = || words.next().flatten();
        let (number, order): (Option<u64>, Option<u64>) = (next(), next());
        let (number, order) = (number.unwrap_or(u64::MAX), order.unwrap_or(u64::MAX));
        Self {
            number,
            order,
            is_whole: number != u64::MAX && text == line(number, order),
        }
    }
}

/// Both sides.
pub(super) struct Account {
    pub(super) written: u64,
    /// How many rows were stored at each kill.
    pub(super) deaths: Vec<i64>,
    /// In the order of the store.
    pub(super) rows: Vec<Row>,
    pub(super) gaps: Vec<String>,
    /// What the gazes said on standard error.
    pub(super) said: String,
}

/// What is wrong.
#[derive(Debug, Default)]
struct Wrong {
    doubled: Vec<u64>,
    /// Each with the line that it came behind.
    out_of_order: Vec<(u64, u64)>,
    broken: u64,
}

impl Account {
    /// The lines that are not stored.
    fn lost(&self) -> Vec<u64> {
        let stored: BTreeSet<u64> = self.whole().map(|row| row.number).collect();
        let all = 0..self.written;
        all.filter(|number| !stored.contains(number)).collect()
    }

    fn whole(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_whole)
    }

    fn wrong(&self) -> Wrong {
        let mut wrong = Wrong::default();
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        for row in &self.rows {
            if !row.is_whole {
                wrong.broken += 1;
            } else if !seen.insert(row.number) {
                wrong.doubled.push(row.number);
            } else if let Some(before) = last.insert(row.order, row.number)
                && before > row.number
            {
                wrong.out_of_order.push((row.number, before));
            }
        }
        wrong
    }

    /// Prints the account and fails unless it balances.
    pub(super) fn balance(&self, name: &str, losses: Losses<'_>) {
        let (lost, wrong) = (self.lost(), self.wrong());
        println!(
            "{name}: {} kills; written {}, stored {}, lost {}, doubled {}, out of order {}, broken {}, gaps {}",
            self.deaths.len(),
            self.written,
            self.rows.len(),
            lost.len(),
            wrong.doubled.len(),
            wrong.out_of_order.len(),
            wrong.broken,
            self.gaps.len(),
        );
        let explained = || {
            format!(
                "{name}: lost {}; doubled {}; out of order {:?}; {} broken; killed when so many \
                 rows were stored: {:?}; gaps {:#?}; gaze said:\n{}",
                stretches(&lost),
                stretches(&wrong.doubled),
                wrong.out_of_order,
                wrong.broken,
                self.deaths,
                self.gaps,
                self.said,
            )
        };
        let is_right = wrong.doubled.is_empty() && wrong.out_of_order.is_empty();
        assert!(is_right && wrong.broken == 0, "{}", explained());
        match losses {
            Losses::None => {
                assert!(lost.is_empty(), "{}", explained());
                assert!(self.gaps.is_empty(), "{}", explained());
            }
            Losses::ToldByFile => {
                // A file holds two hundred lines.
                let files = self.gaps.iter().map(|gap| files_of(gap)).sum::<usize>();
                assert!(lost.len() <= 200 * files, "{}", explained());
            }
            Losses::Exactly(due) => assert!(lost == due, "{}", explained()),
        }
    }
}

/// How many files this gap says were removed.
fn files_of(gap: &str) -> usize {
    let Some((_, text)) = gap.split_once("\"text\":\"") else {
        return 0;
    };
    let first = text.split(' ').next().unwrap_or_default();
    match first.parse() {
        Ok(count) => count,
        Err(_) => usize::from(first == "a"),
    }
}

/// `0-17, 25-25`.
fn stretches(numbers: &[u64]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        let places = (*first..).zip(rest);
        let length = places.take_while(|(due, number)| due == *number).count();
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{first}-{}", rest[length - 1]);
        rest = &rest[length..];
    }
    text
}
