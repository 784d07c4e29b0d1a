//! Laws about parents in other programs.

use argus_model::SpanKey;

use super::Bench;
use super::fixture::{at, key};
use crate::Batch;
use crate::batch::RemoteParentRow;
use crate::query::{RemoteParents, StoredRemoteParent};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

fn row(number: u64, trace: u128, parent: u64) -> RemoteParentRow {
    RemoteParentRow {
        key: key(1, number),
        at: at(0),
        trace,
        parent,
    }
}

fn commit(bench: &mut Bench, remote_parents: Vec<RemoteParentRow>) {
    bench.commit(&Batch {
        remote_parents,
        ..Batch::default()
    });
}

fn found(bench: &Bench, which: RemoteParents, limit: usize) -> Vec<SpanKey> {
    let rows = bench.store.remote_parents(which, limit).unwrap();
    rows.iter().map(|row| row.key).collect()
}

pub(super) fn parents_in_other_programs_are_found_by_trace_and_parent(bench: &mut Bench) {
    let highest = u64::MAX;
    commit(bench, vec![row(1, TRACE, 7), row(2, TRACE, highest)]);
    commit(bench, vec![row(highest, 1, 7)]);
    let trace = RemoteParents::Trace(TRACE);
    assert_eq!(found(bench, trace, 9), [key(1, 2), key(1, 1)]);
    assert_eq!(found(bench, trace, 1), [key(1, 2)]);
    let below = |span| found(bench, RemoteParents::Below(span), 9);
    assert_eq!(below(7), [key(1, highest), key(1, 1)]);
    assert_eq!(below(highest), [key(1, 2)]);
    assert_eq!(below(8), []);
    let expected = StoredRemoteParent {
        key: key(1, highest),
        at: at(0),
        trace: 1,
        parent: 7,
    };
    let other = bench.store.remote_parents(RemoteParents::Trace(1), 9);
    assert_eq!(other.unwrap(), [expected]);
}

pub(super) fn a_parent_in_another_program_is_told_once(bench: &mut Bench) {
    commit(bench, vec![row(1, TRACE, 7)]);
    commit(bench, vec![row(1, TRACE, 8)]);
    let told = bench.store.remote_parents(RemoteParents::Trace(TRACE), 9);
    let told = told.unwrap();
    assert_eq!((told.len(), told[0].parent), (1, 7));
}
