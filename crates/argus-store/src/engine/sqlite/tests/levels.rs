//! Statistics of longer stretches: what they hold is what the minutes hold, and what they answer is
//! what the spans say.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;

use super::Place;
use super::damage::report;
use crate::batch::{SpanRow, Status};
use crate::conformance::fixture::{at, name, span};
use crate::query::{Page, SpanFilter, TimeRange};
use crate::retention::{Rest, Retention};
use crate::{Batch, Memory, Sink, Store};

const MINUTE: i64 = 60;

/// What may happen to a store.
#[derive(Debug, Clone)]
enum Step {
    /// So many minutes pass.
    Wait(i64),
    /// Calls end, each so many minutes ago.
    Commit(Vec<(i64, u8, u64, bool)>),
    /// The collector keeps the house.
    Tidy,
    /// What is older than so many minutes goes.
    Forget(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let minutes_ago = prop_oneof![8 => 0_i64..3, 1 => 0_i64..1_500];
    let call = (
        minutes_ago,
        0_u8..4,
        1_u64..10_000_000_000,
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        3 => (1_i64..40).prop_map(Step::Wait),
        1 => (300_i64..700).prop_map(Step::Wait),
        5 => prop::collection::vec(call, 1..60).prop_map(Step::Commit),
        3 => Just(Step::Tidy),
        1 => (100_u64..2_000).prop_map(Step::Forget),
    ]
}

/// A store on disk and one in memory that everything happens to alike.
struct Pair {
    place: Place,
    memory: Memory,
    now: i64,
    number: u64,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Wait(minutes) => self.now += minutes * MINUTE,
            Step::Commit(calls) => self.commit(calls),
            Step::Tidy => self.prune(&Retention::unlimited()),
            Step::Forget(minutes) => self.prune(&Retention {
                age: Some(Duration::from_secs(minutes * 60)),
                ..Retention::unlimited()
            }),
        }
    }

    fn commit(&mut self, calls: &[(i64, u8, u64, bool)]) {
        let mut ended = Vec::new();
        for &(minutes_ago, function, duration_ns, failed) in calls {
            self.number += 1;
            ended.push(SpanRow {
                name: name(&format!("module.function_{function}")),
                duration_ns,
                status: if failed { Status::Err } else { Status::Ok },
                ..span(self.number, self.now - minutes_ago * MINUTE)
            });
        }
        let batch = Batch {
            ended,
            ..Batch::default()
        };
        self.place.sink.commit(&batch).unwrap();
        self.memory.commit(&batch).unwrap();
    }

    fn prune(&mut self, retention: &Retention) {
        let now = at(self.now);
        while self.place.sink.prune(retention, now, 50).unwrap().rest == Rest::More {}
        while self.memory.prune(retention, now, 50).unwrap().rest == Rest::More {}
    }

    /// Compares what the store on disk says about whole minutes with the spans that there are.
    fn check(&self, time: TimeRange) {
        let filter = SpanFilter {
            time,
            ..SpanFilter::default()
        };
        let mut exact: BTreeMap<String, Vec<(u64, Status)>> = BTreeMap::new();
        for span in self
            .memory
            .spans(&filter, Page::newest(usize::MAX))
            .unwrap()
        {
            let calls = exact.entry(span.process).or_default();
            calls.push((span.duration_ns, span.status));
        }
        let told = self.place.reader().functions(time).unwrap();
        assert_eq!(told.len(), exact.len(), "{time:?}");
        for function in told {
            let calls = exact.get_mut(&function.process).unwrap();
            calls.sort_unstable_by_key(|&(duration_ns, _)| duration_ns);
            let failed = calls.iter().filter(|call| call.1 == Status::Err).count();
            let total: u64 = calls.iter().map(|call| call.0).sum();
            assert_eq!(
                (function.count, function.errors, function.total_ns),
                (calls.len() as u64, failed as u64, total)
            );
            assert!(function.max_ns >= calls[calls.len() - 1].0);
            for (told, percent) in [
                (function.p50_ns, 50),
                (function.p95_ns, 95),
                (function.p99_ns, 99),
            ] {
                let exact = calls[(calls.len() * percent).div_ceil(100).max(1) - 1].0;
                let off = told.abs_diff(exact);
                assert!(off * 50 <= exact + 50, "p{percent}: {told} for {exact}");
            }
        }
    }
}

/// Levels that do not hold what the minutes before their moment hold.
fn lies(connection: &Connection) -> i64 {
    [8, 64, 512]
        .map(|minutes| {
            let level = format!("function_{minutes}_minutes");
            let until = format!("(SELECT until FROM summed_up WHERE minutes = {minutes})");
            let compared = format!(
                "SELECT count(*) FROM
                     (SELECT minute & ~({minutes} - 1) AS minute, name_id, sum(count) AS calls,
                          sum(errors) AS failed, sum(sum_ns) AS total, min(min_id) AS first,
                          max(max_id) AS last
                      FROM function_minutes WHERE minute < {until} GROUP BY 1, 2) AS m
                 FULL JOIN {level} AS l USING (minute, name_id)
                 WHERE (m.calls, m.failed, m.total) IS NOT (l.count, l.errors, l.sum_ns)
                     OR l.min_id > m.first OR l.max_id < m.last"
            );
            connection
                .query_row(&compared, [], |row| row.get::<_, i64>(0))
                .unwrap()
        })
        .iter()
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_statistics_say_what_the_spans_say(
        steps in prop::collection::vec(step(), 10..40),
        ranges in prop::collection::vec((0_i64..3_000, 1_i64..1_500), 8),
    ) {
        let mut pair = Pair {
            place: Place::new(&Batch::default()),
            memory: Memory::new(),
            now: 0,
            number: 0,
        };
        for step in &steps {
            pair.take(step);
            prop_assert_eq!(lies(&pair.place.foreign()), 0, "after {:?}", step);
        }
        pair.check(TimeRange::default());
        for (minutes_ago, length) in ranges {
            let from = pair.now - minutes_ago * MINUTE;
            pair.check(TimeRange {
                from: Some(at(from)),
                to: Some(at(from + length * MINUTE)),
            });
        }
        prop_assert_eq!(report(&pair.place.database()).damage, []);
    }
}

#[test]
fn six_hours_are_made_of_few_stretches() {
    use super::super::rollups::levels::Levels;
    let mut place = Place::new(&Batch::default());
    // A call a minute for a day.
    let ended = (0..1_440_i64).map(|minute| span(minute.unsigned_abs(), minute * MINUTE));
    place
        .sink
        .commit(&Batch {
            ended: ended.collect(),
            ..Batch::default()
        })
        .unwrap();
    let now = at(1_440 * MINUTE);
    while place
        .sink
        .prune(&Retention::unlimited(), now, 50)
        .unwrap()
        .rest
        == Rest::More
    {}
    let connection = place.foreign();
    let levels = Levels::read(&connection).unwrap();
    let day = at(0).nanos() / 60_000_000_000;
    for first in day..day + 1_000 {
        let stretches: usize = levels
            .cover(first, first + 360)
            .iter()
            .map(|piece| piece.stretches())
            .sum();
        assert!(stretches <= 33, "{stretches} from {}", first - day);
    }
}

#[test]
fn a_count_without_its_spans_goes_from_every_level() {
    let mut place = Place::new(&Batch {
        ended: (0..100)
            .map(|minute| span(minute, minute.cast_signed() * MINUTE))
            .collect(),
        ..Batch::default()
    });
    let tidy = |place: &mut Place, retention: &Retention, minutes: i64| {
        let now = at(minutes * MINUTE);
        while place.sink.prune(retention, now, 50).unwrap().rest == Rest::More {}
    };
    tidy(&mut place, &Retention::unlimited(), 100);
    // As if a page of them had been lost.
    place
        .foreign()
        .execute("DELETE FROM spans WHERE id % 3 = 0", [])
        .unwrap();
    let hour = Retention {
        age: Some(Duration::from_secs(3_600)),
        ..Retention::unlimited()
    };
    tidy(&mut place, &hour, 1_000);
    assert_eq!(lies(&place.foreign()), 0);
    for table in [
        "function_minutes",
        "function_8_minutes",
        "function_64_minutes",
    ] {
        let rows = place.lines(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(rows, ["0"], "{table}");
    }
}

#[test]
fn a_function_that_was_busy_for_days_is_found_where_it_was() {
    const BUSY: i64 = 2_500;
    let mut place = Place::new(&Batch {
        ended: (0..BUSY)
            .map(|minute| SpanRow {
                name: name("former.function"),
                ..span(minute.unsigned_abs(), minute * MINUTE)
            })
            .collect(),
        ..Batch::default()
    });
    let others = (0..30_000).map(|number| span(10_000 + number, BUSY * MINUTE));
    place
        .sink
        .commit(&Batch {
            ended: others.collect(),
            ..Batch::default()
        })
        .unwrap();
    let now = at((BUSY + 10) * MINUTE);
    while place
        .sink
        .prune(&Retention::unlimited(), now, 50)
        .unwrap()
        .rest
        == Rest::More
    {}
    let filter = SpanFilter {
        name: Some("former".into()),
        ..SpanFilter::default()
    };
    let mut looked_at = 0;
    let found = place
        .reader()
        .search(&filter, Page::newest(9_999), &mut |searched| {
            looked_at = searched.of;
            std::ops::ControlFlow::Continue(())
        });
    assert_eq!(found.unwrap().spans.len(), BUSY as usize);
    assert_eq!(looked_at, BUSY.unsigned_abs());
}
