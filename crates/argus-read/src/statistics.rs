//! Functions by calls, errors, and time.
//!
//! The store answers from its per-minute rollups; this orders the answer the way a reader wants it.

use std::cmp::Reverse;
use std::str::FromStr;

use argus_store::query::{FunctionStatistics, TimeRange};
use argus_store::{ReadError, Store};

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// The most time in all.
    #[default]
    Total,
    /// The most calls.
    Count,
    /// The most failed calls.
    Errors,
    /// The largest median.
    P50,
    /// The largest 95th percentile.
    P95,
    /// The largest 99th percentile.
    P99,
    /// The longest single call.
    Max,
    /// The name, from A to Z.
    Name,
}

/// A word that names no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such order: {0:?} (one of {words})", words = words())]
pub struct UnknownOrder(pub String);

fn words() -> String {
    SortBy::ALL.map(SortBy::word).join(", ")
}

impl SortBy {
    /// Every order.
    pub const ALL: [Self; 8] = [
        Self::Total,
        Self::Count,
        Self::Errors,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::Max,
        Self::Name,
    ];

    /// The word by which it is chosen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Count => "count",
            Self::Errors => "errors",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::Name => "name",
        }
    }
}

impl FromStr for SortBy {
    type Err = UnknownOrder;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|order| order.word() == word)
            .ok_or_else(|| UnknownOrder(word.to_owned()))
    }
}

/// The first `limit` functions of `time` in this order.
pub fn functions(
    store: &dyn Store,
    time: TimeRange,
    order: SortBy,
    limit: usize,
) -> Result<Vec<FunctionStatistics>, ReadError> {
    let mut functions = store.functions(time)?;
    sort(&mut functions, order);
    functions.truncate(limit);
    Ok(functions)
}

/// Orders functions; equal ones by name, so that two looks at the same data show the same list.
pub fn sort(functions: &mut [FunctionStatistics], order: SortBy) {
    let key = |function: &FunctionStatistics| match order {
        SortBy::Total => function.total_ns,
        SortBy::Count => function.count,
        SortBy::Errors => function.errors,
        SortBy::P50 => function.p50_ns,
        SortBy::P95 => function.p95_ns,
        SortBy::P99 => function.p99_ns,
        SortBy::Max => function.max_ns,
        SortBy::Name => 0,
    };
    functions.sort_by(|a, b| {
        Reverse(key(a))
            .cmp(&Reverse(key(b)))
            .then_with(|| a.process.cmp(&b.process))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(process: &str, count: u64, total_ns: u64) -> FunctionStatistics {
        FunctionStatistics {
            process: process.into(),
            count,
            errors: 0,
            total_ns,
            p50_ns: 0,
            p95_ns: 0,
            p99_ns: 0,
            max_ns: 0,
        }
    }

    #[test]
    fn the_largest_comes_first_and_equal_ones_by_name() {
        let mut functions = [
            function("b", 1, 9),
            function("c", 5, 1),
            function("a", 1, 2),
        ];
        let mut check = |order, expected: &str| {
            sort(&mut functions, order);
            let names: Vec<_> = functions.iter().map(|f| f.process.as_str()).collect();
            assert_eq!(names.join(" "), expected);
        };
        check(SortBy::Total, "b a c");
        check(SortBy::Count, "c a b");
        check(SortBy::Name, "a b c");
        check(SortBy::Errors, "a b c");
    }

    #[test]
    fn every_order_is_chosen_by_its_word() {
        for order in SortBy::ALL {
            assert_eq!(order.word().parse(), Ok(order));
        }
        let error = "fastest".parse::<SortBy>().unwrap_err().to_string();
        assert!(
            error.starts_with("no such order: \"fastest\" (one of total, "),
            "{error}"
        );
    }
}
