//! What a span allocates: nothing, once its name and its thread are known.

use argus_client::span;
use tracing::{Dispatch, info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::programs::run;

#[path = "../../../argus-spool/tests/allocations/mod.rs"]
mod allocations;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const ROUNDS: u64 = 50;
/// The least of so many runs is the steady state: once a chunk is full, and the next is taken.
const RUNS: u64 = 8;

pub(crate) fn play() {
    let with = |dispatch: Dispatch, work: fn()| {
        tracing::dispatcher::with_default(&dispatch, || {
            let runs = (0..RUNS).map(|_| allocations::during(work));
            runs.min()
        })
    };
    let layer = || Dispatch::new(registry().with(argus_client::layer()));
    let own = || Dispatch::new(argus_client::subscriber());
    assert_eq!(
        with(Dispatch::new(registry()), spans),
        Some(0),
        "a bare registry"
    );
    assert_eq!(with(layer(), spans), Some(0), "the layer");
    assert_eq!(with(own(), spans), Some(0), "the subscriber");
    assert_eq!(with(layer(), lines), Some(0), "lines with the layer");
    assert_eq!(with(own(), lines), Some(0), "lines with the subscriber");
    assert_eq!(with(Dispatch::none(), guards), Some(0), "guards");
}

fn spans() {
    for number in 0..ROUNDS {
        let outer = info_span!("outer", number, twice = 2 * number).entered();
        let inner = info_span!("inner", number = u64::MAX / 3, name = "book.csv");
        inner.in_scope(|| ());
        drop((inner, outer));
    }
}

fn lines() {
    for number in 0..ROUNDS {
        info!(number, shown = %number, "line {number}");
        drop(info_span!("shown", plan = ?Some(number)));
    }
}

fn guards() {
    for number in 0..ROUNDS {
        let _outer = span!("outer", number = number, twice = 2 * number);
        let _inner = span!("inner", name = "book.csv");
    }
}

#[test]
fn spans_and_lines_allocate_nothing_beyond_what_the_registry_does() {
    run("memory");
}
