//! Judges what a run left in the store: data in, text and faults out.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::step::counted;

/// What a run must leave behind: the key in `argus status --json`, and its name for people.
const REQUIRED: [(&str, &str); 8] = [
    ("spans", "spans"),
    ("errors", "errors"),
    ("seen_open", "spans seen open"),
    ("samples", "samples"),
    ("logs", "log lines"),
    ("metrics", "metrics"),
    ("process_events", "process events"),
    ("open_spans", "spans left open"),
];

/// The one count that must be 0 afterwards: the program came to its end.
const LEFT_OPEN: &str = "open_spans";

/// How many rows of each kind there are, in the order of [`REQUIRED`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; REQUIRED.len()]);

impl Counts {
    pub(super) fn parse(status: &Value) -> Result<Self> {
        let mut counts = Self::default();
        for ((key, _), count) in REQUIRED.iter().zip(&mut counts.0) {
            *count = status["counts"][key]
                .as_u64()
                .with_context(|| format!("argus status has no `counts.{key}`"))?;
        }
        Ok(counts)
    }

    /// What came in since `earlier`.
    pub(super) fn since(self, earlier: &Self) -> Self {
        let mut counts = self;
        for (count, earlier) in counts.0.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(earlier);
        }
        counts
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One producer's account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    app_name: String,
    pid: u64,
    emitted: u64,
    stored: u64,
    lost: u64,
}

/// Every producer's account, from `argus status --json`.
pub(super) fn ledger(status: &Value) -> Result<Vec<Account>> {
    let entries = status["ledger"]
        .as_array()
        .context("argus status has no `ledger`")?;
    let mut accounts = Vec::with_capacity(entries.len());
    for entry in entries {
        let number = |key: &str| {
            entry[key]
                .as_u64()
                .with_context(|| format!("an entry of the ledger has no `{key}`"))
        };
        let mut lost = 0;
        for kind in ["lost_normal", "lost_errors", "damaged", "unknown"] {
            lost += number(kind)?;
        }
        accounts.push(Account {
            app_name: entry["app_name"].as_str().unwrap_or("?").to_owned(),
            pid: number("pid")?,
            emitted: number("emitted")?,
            stored: number("stored")?,
            lost,
        });
    }
    Ok(accounts)
}

/// What to print, and what is wrong.
pub(super) struct Report {
    pub(super) text: String,
    pub(super) faults: Vec<String>,
}

pub(super) fn judge(counts: &Counts, ledger: &[Account]) -> Report {
    let mut text = String::from("\nRead back from the store:\n");
    let mut faults = Vec::new();
    for ((key, name), count) in REQUIRED.iter().zip(counts.0) {
        let _ = writeln!(text, "  {name:<18} {count:>14}");
        match (*key == LEFT_OPEN, count) {
            (true, 1..) => faults.push(format!("{} left open", counted_spans(count))),
            (false, 0) => faults.push(format!("no {name} were stored")),
            _ => {}
        }
    }
    let sum = |part: fn(&Account) -> u64| ledger.iter().map(part).sum::<u64>();
    let (emitted, stored, lost) = (sum(|a| a.emitted), sum(|a| a.stored), sum(|a| a.lost));
    let _ = writeln!(
        text,
        "  ledger of {}: {emitted} emitted = {stored} stored + {lost} lost",
        counted(ledger.len(), "producer")
    );
    if ledger.is_empty() {
        faults.push("the ledger is empty".to_owned());
    }
    for account in ledger {
        if account.emitted != account.stored + account.lost {
            faults.push(format!(
                "the ledger of {} ({}) does not balance: {} emitted, {} stored, {} lost",
                account.app_name, account.pid, account.emitted, account.stored, account.lost
            ));
        }
    }
    Report { text, faults }
}

fn counted_spans(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "span")
}

/// The only number in an answer, however rows and columns are laid out around it.
pub(super) fn single_number(answer: &Value) -> Option<u64> {
    match answer {
        Value::Number(number) => number.as_u64(),
        // An engine's answers may come as text; an alias such as "n" is no number.
        Value::String(text) => text.parse().ok(),
        Value::Array(values) => only(values.iter()),
        Value::Object(fields) => only(fields.values()),
        Value::Null | Value::Bool(_) => None,
    }
}

fn only<'a>(values: impl Iterator<Item = &'a Value>) -> Option<u64> {
    let mut numbers = values.filter_map(single_number);
    let first = numbers.next();
    numbers.next().is_none().then_some(first)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status() -> Value {
        json!({
            "counts": {"spans": 9, "errors": 2, "open_spans": 0, "samples": 3, "logs": 4,
                       "process_events": 2, "metrics": 1, "sessions": 0, "seen_open": 5},
            "ledger": [{"app_name": "python", "pid": 7, "emitted": 21, "stored": 20,
                        "lost_normal": 1, "lost_errors": 0, "damaged": 0, "unknown": 0}],
            "collector": null,
        })
    }

    fn faults(status: &Value) -> Vec<String> {
        let counts = Counts::parse(status).expect("counts are there");
        judge(&counts, &ledger(status).expect("a ledger is there")).faults
    }

    #[test]
    fn a_full_store_has_no_faults() {
        assert!(faults(&status()).is_empty());
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut status = status();
        status["counts"]["errors"] = json!(0);
        status["counts"]["samples"] = json!(0);
        status["counts"]["open_spans"] = json!(1);
        assert_eq!(
            faults(&status),
            [
                "no errors were stored",
                "no samples were stored",
                "1 span left open"
            ]
        );
    }

    #[test]
    fn a_ledger_that_does_not_balance_is_named() {
        let mut status = status();
        status["ledger"][0]["stored"] = json!(19);
        assert_eq!(
            faults(&status),
            ["the ledger of python (7) does not balance: 21 emitted, 19 stored, 1 lost"]
        );
        status["ledger"] = json!([]);
        assert_eq!(faults(&status), ["the ledger is empty"]);
    }

    #[test]
    fn only_what_came_since_counts() {
        let counts = Counts::parse(&status()).expect("counts are there");
        assert!(counts.since(&counts).is_empty());
        assert_eq!(counts.since(&Counts::default()), counts);
    }

    #[test]
    fn a_number_is_found_in_any_layout() {
        for answer in [
            json!([{"n": 4}]),
            json!({"columns": ["n"], "rows": [[4]]}),
            json!([["4"]]),
        ] {
            assert_eq!(single_number(&answer), Some(4));
        }
        assert_eq!(single_number(&json!([{"a": 4, "b": 5}])), None);
        assert_eq!(single_number(&json!([])), None);
    }
}
