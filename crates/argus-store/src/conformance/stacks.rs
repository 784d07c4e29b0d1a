//! Laws about stacks that were sampled from outside.

use argus_model::Timestamp;
use argus_model::record::ThreadState;

use super::Bench;
use super::fixture::{at, producer, stack};
use crate::Batch;
use crate::batch::{RunKey, StackRow};
use crate::query::{STACKS_HOLD, StoredStack};

/// What the threads are in at a moment: pid, tid, frames.
fn seen(bench: &Bench, whose: Option<RunKey>, moment: Timestamp) -> Vec<(u32, u32, String)> {
    let stacks = bench.store.stacks(whose, moment, 100).unwrap();
    stacks
        .into_iter()
        .map(|stack| (stack.run.pid, stack.tid, stack.frames))
        .collect()
}

fn commit(bench: &mut Bench, stacks: Vec<StackRow>) {
    bench.commit(&Batch {
        stacks,
        ..Batch::default()
    });
}

pub(super) fn the_last_stack_of_each_thread_holds(bench: &mut Bench) {
    commit(
        bench,
        vec![
            stack(1, 1, 0, "load (a.py:1)\n<module> (a.py:9)"),
            StackRow {
                state: ThreadState::Idle,
                holds_gil: true,
                ..stack(1, 2, 1, "wait (b.py:3)")
            },
        ],
    );
    commit(
        bench,
        vec![stack(1, 1, 2, "save (a.py:2)"), stack(1, 3, 2, "")],
    );
    let told = |tid, frames: &str| (1, tid, frames.to_owned());
    assert_eq!(seen(bench, None, at(-1)), []);
    assert_eq!(
        seen(bench, None, at(1)),
        [
            told(1, "load (a.py:1)\n<module> (a.py:9)"),
            told(2, "wait (b.py:3)")
        ]
    );
    let expected = [
        told(1, "save (a.py:2)"),
        told(2, "wait (b.py:3)"),
        told(3, ""),
    ];
    assert_eq!(seen(bench, None, at(2)), expected);
    let waiting = StoredStack {
        id: 2,
        at: at(1),
        run: producer(1).into(),
        tid: 2,
        thread: "thread2".into(),
        state: ThreadState::Idle,
        holds_gil: true,
        frames: "wait (b.py:3)".into(),
    };
    assert_eq!(bench.store.stacks(None, at(2), 2).unwrap()[1], waiting);
    assert_eq!(bench.store.stacks(None, at(2), 1).unwrap().len(), 1);
}

pub(super) fn a_stack_holds_for_a_while_only(bench: &mut Bench) {
    commit(bench, vec![stack(1, 1, 0, "f (a.py:1)")]);
    let last = at(0).plus(STACKS_HOLD);
    let before = Timestamp::from_nanos(last.nanos() - 1);
    assert_eq!(seen(bench, None, before).len(), 1);
    assert_eq!(seen(bench, None, last), []);
}

pub(super) fn a_thread_that_ended_has_no_stack(bench: &mut Bench) {
    let ended = StackRow {
        state: ThreadState::Ended,
        ..stack(1, 1, 1, "")
    };
    commit(bench, vec![stack(1, 1, 0, "f (a.py:1)"), ended]);
    assert_eq!(seen(bench, None, at(0)).len(), 1);
    assert_eq!(seen(bench, None, at(1)), []);
}

pub(super) fn stacks_of_one_run_are_told_apart(bench: &mut Bench) {
    // The same thread id in both: threads of different namespaces, or of different boots.
    let same = "f (a.py:1)";
    commit(bench, vec![stack(2, 7, 0, same), stack(1, 7, 0, same)]);
    commit(bench, vec![stack(1, 1, 0, same)]);
    let told = |pid, tid| (pid, tid, same.to_owned());
    let all = [told(2, 7), told(1, 1), told(1, 7)];
    assert_eq!(seen(bench, None, at(0)), all, "the main thread first");
    let one = Some(producer(1).into());
    assert_eq!(seen(bench, one, at(0)), all[1..]);
    let nobody = Some(producer(9).into());
    assert_eq!(seen(bench, nobody, at(0)), []);
}
