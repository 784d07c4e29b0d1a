//! Laws about what is counted: functions, totals, ledgers, positions.

use argus_model::record::{Gap, LossReason};
use argus_model::{Monotonic, Timestamp};

use super::Bench;
use super::fixture::{
    at, described, end, event, log, metric, name, open, process_event, producer, sample, span,
    stack,
};
use crate::Batch;
use crate::batch::{CollectorState, GapRow, Hold, LedgerDelta, Position, SpanRow, Status};
use crate::query::{Counts, StoredGap, TimeRange};

fn timed(number: u64, function: &str, seconds: i64, duration_ns: u64) -> SpanRow {
    SpanRow {
        name: name(function),
        duration_ns,
        ..span(number, seconds)
    }
}

pub(super) fn functions_have_exact_counts_and_percentiles_within_two_percent(bench: &mut Bench) {
    // Spread over five decades and three minutes, in an order that is not sorted.
    let durations: Vec<u64> = (0..1_000_u64)
        .map(|n| 1_000 + (n * 7_919 % 1_000).pow(3))
        .collect();
    for (number, &duration_ns) in durations.iter().enumerate() {
        let mut row = timed(number as u64, "f", (number as i64) % 180, duration_ns);
        if number % 100 == 0 {
            row.status = Status::Err;
        }
        bench.commit(&Batch {
            ended: vec![row],
            ..Batch::default()
        });
    }
    bench.commit(&Batch {
        ended: vec![timed(0, "g", 0, 1)],
        ..Batch::default()
    });
    let functions = bench.store.functions(TimeRange::default()).unwrap();
    let names: Vec<&str> = functions.iter().map(|f| f.process.as_str()).collect();
    assert_eq!(names, ["f", "g"], "by total time");
    let f = &functions[0];
    let mut sorted = durations;
    sorted.sort_unstable();
    assert_eq!((f.count, f.errors), (1_000, 10));
    assert_eq!(f.total_ns, sorted.iter().sum::<u64>());
    assert_eq!(f.max_ns, sorted[999]);
    for (estimate, exact) in [
        (f.p50_ns, sorted[499]),
        (f.p95_ns, sorted[949]),
        (f.p99_ns, sorted[989]),
    ] {
        assert!(
            estimate.abs_diff(exact) * 50 <= exact,
            "{estimate} for {exact}"
        );
    }
}

pub(super) fn statistics_cover_whole_minutes(bench: &mut Bench) {
    bench.commit(&Batch {
        ended: vec![
            timed(1, "early", -1, 5),
            timed(2, "first", 0, 4),
            timed(3, "first", 59, 4),
            timed(4, "last", 60, 3),
            timed(5, "late", 120, 2),
        ],
        ..Batch::default()
    });
    let functions = |from, to| -> Vec<(String, u64)> {
        let time = TimeRange { from, to };
        let functions = bench.store.functions(time).unwrap();
        functions
            .into_iter()
            .map(|f| (f.process, f.count))
            .collect()
    };
    let two = vec![("first".to_owned(), 2), ("last".to_owned(), 1)];
    assert_eq!(functions(Some(at(30)), Some(at(61))), two);
    assert_eq!(
        functions(Some(at(0)), Some(at(120))),
        two,
        "to is exclusive"
    );
    assert_eq!(functions(Some(at(600)), None), []);
    assert_eq!(functions(None, None).len(), 4);
}

pub(super) fn rollups_merge_over_batches(bench: &mut Bench) {
    for number in 1..=10 {
        bench.commit(&Batch {
            ended: vec![timed(number, "f", 0, number * 100)],
            ..Batch::default()
        });
    }
    let f = &bench.store.functions(TimeRange::default()).unwrap()[0];
    assert_eq!((f.count, f.total_ns, f.max_ns), (10, 5_500, 1_000));
}

pub(super) fn counts_tell_every_kind_of_row(bench: &mut Bench) {
    assert_eq!(bench.store.counts().unwrap(), Counts::default());
    bench.commit(&Batch {
        producers: vec![described(1)],
        opened: vec![open(1, 0), open(2, 0)],
        ended: vec![
            span(3, 0),
            SpanRow {
                status: Status::Err,
                ..span(4, 0)
            },
        ],
        samples: vec![sample(1, 0)],
        logs: vec![log(1, 0, "a"), log(1, 0, "b")],
        process_events: vec![process_event(1, 0, "started")],
        metrics: vec![metric(1, 0, "m", 1.0)],
        stacks: vec![stack(1, 1, 0, "f (a.py:1)"), stack(1, 2, 0, "")],
        session_events: vec![event("s", "session_started", "{}")],
        ..Batch::default()
    });
    let expected = Counts {
        spans: 2,
        errors: 1,
        open_spans: 2,
        samples: 1,
        logs: 2,
        process_events: 1,
        metrics: 1,
        stacks: 2,
        sessions: 1,
        seen_open: 2,
    };
    assert_eq!(bench.store.counts().unwrap(), expected);
}

pub(super) fn positions_are_replaced_and_forgotten(bench: &mut Bench) {
    let position = |pid, chunk, generation, offset| Position {
        ended: generation == 1,
        producer: producer(pid),
        chunk,
        generation,
        offset,
    };
    bench.commit(&Batch {
        positions: vec![
            position(1, 0, 1, 64),
            position(1, 1, 1, 64),
            position(2, 0, 1, 8),
        ],
        ..Batch::default()
    });
    bench.commit(&Batch {
        positions: vec![position(1, 1, u64::MAX, 0)],
        ..Batch::default()
    });
    let expected = [position(1, 0, 1, 64), position(1, 1, u64::MAX, 0)];
    assert_eq!(bench.sink.positions(producer(1)).unwrap(), expected);
    bench.commit(&Batch {
        forgotten: vec![producer(1)],
        ..Batch::default()
    });
    assert_eq!(bench.sink.positions(producer(1)).unwrap(), []);
    assert_eq!(bench.sink.positions(producer(2)).unwrap().len(), 1);
}

fn gap(number: u32, normal: u64, errors: u64) -> GapRow {
    GapRow {
        producer: producer(1),
        gap: Gap {
            number,
            reason: LossReason::Budget,
            normal,
            errors,
            from: Monotonic::default(),
            to: Monotonic::default(),
        },
        from: at(0),
        to: at(1),
    }
}

pub(super) fn a_gap_told_again_only_grows(bench: &mut Bench) {
    for gaps in [
        vec![gap(1, 5, 1), gap(2, 1, 0)],
        vec![gap(1, 9, 2)],
        vec![gap(1, 7, 1)],
    ] {
        bench.commit(&Batch {
            gaps,
            ..Batch::default()
        });
    }
    let account = &bench.store.ledger().unwrap()[0];
    assert_eq!((account.lost_normal, account.lost_errors), (10, 2));
}

pub(super) fn gaps_tell_who_lost_what_when_and_why(bench: &mut Bench) {
    let later = GapRow {
        from: at(5),
        to: at(6),
        ..gap(2, 0, 3)
    };
    bench.commit(&Batch {
        producers: vec![described(1)],
        gaps: vec![gap(1, 4, 2), later],
        ..Batch::default()
    });
    let gaps = bench.store.gaps(10).unwrap();
    assert_eq!(gaps.len(), 2);
    assert_eq!(
        gaps[0],
        StoredGap {
            app_name: "app1".into(),
            pid: 1,
            reason: "budget".into(),
            normal: 0,
            errors: 3,
            from: at(5),
            to: at(6),
        },
        "newest first"
    );
    assert_eq!((gaps[1].normal, gaps[1].from), (4, at(0)));
    assert_eq!(bench.store.gaps(1).unwrap(), gaps[..1]);
}

pub(super) fn the_ledger_adds_up(bench: &mut Bench) {
    let delta = |pid, stored, damaged, unknown| LedgerDelta {
        producer: producer(pid),
        stored,
        damaged,
        unknown,
        clamped: 1,
    };
    bench.commit(&Batch {
        producers: vec![described(1), described(2)],
        ledger: vec![delta(1, 10, 1, 0), delta(2, 7, 0, 0)],
        gaps: vec![gap(1, 4, 2)],
        ..Batch::default()
    });
    bench.commit(&Batch {
        ledger: vec![delta(1, 5, 0, 3)],
        ends: vec![end(1, 50, None)],
        ..Batch::default()
    });
    let ledger = bench.store.ledger().unwrap();
    let pids: Vec<u32> = ledger.iter().map(|account| account.pid).collect();
    assert_eq!(ledger[0].producer, producer(ledger[0].pid));
    assert_eq!(pids, [2, 1], "newest first");
    assert_eq!(
        (ledger[0].stored, ledger[0].lost(), ledger[0].ended_at),
        (7, 0, None)
    );
    let first = &ledger[1];
    assert_eq!(first.app_name, "app1");
    assert_eq!((first.stored, first.damaged, first.unknown), (15, 1, 3));
    assert_eq!((first.lost(), first.emitted()), (10, 25));
    assert_eq!((first.seen_at, first.ended_at), (at(0), Some(at(50))));
}

pub(super) fn unended_producers_are_those_without_an_end(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1), described(2), described(3)],
        ..Batch::default()
    });
    bench.commit(&Batch {
        ends: vec![end(2, 1, None)],
        ..Batch::default()
    });
    let living = bench.sink.unended_producers().unwrap();
    assert_eq!(living, [producer(1), producer(3)]);
}

pub(super) fn the_collectors_account_is_the_last_one(bench: &mut Bench) {
    assert_eq!(bench.store.collector().unwrap(), None);
    let mut state = CollectorState {
        pid: 4711,
        heartbeat: Timestamp::from_nanos(1),
        backlog_bytes: 7,
        write_lag_ns: 9,
        held: Some(Hold {
            since: Timestamp::from_nanos(5),
            reader: None,
        }),
    };
    for (heartbeat, reader) in [(1, Some(7)), (2, None), (3, Some(8))] {
        state.heartbeat = Timestamp::from_nanos(heartbeat);
        state.held = state.held.map(|hold| Hold { reader, ..hold });
        bench.commit(&Batch {
            collector: Some(state),
            ..Batch::default()
        });
        assert_eq!(bench.store.collector().unwrap(), Some(state));
    }
    state.held = None;
    bench.commit(&Batch {
        collector: Some(state),
        ..Batch::default()
    });
    bench.commit(&Batch {
        ended: vec![span(1, 0)],
        ..Batch::default()
    });
    assert_eq!(bench.store.collector().unwrap(), Some(state));
}

pub(super) fn the_version_changes_with_every_commit(bench: &mut Bench) {
    let mut before = bench.store.version().unwrap();
    assert_eq!(bench.store.version().unwrap(), before);
    for number in 1..=3 {
        bench.commit(&Batch {
            ended: vec![span(number, 0)],
            ..Batch::default()
        });
        let after = bench.store.version().unwrap();
        assert_ne!(after, before);
        before = after;
    }
}
