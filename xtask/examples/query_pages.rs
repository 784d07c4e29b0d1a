//! Fills a store and asks it: `query_pages FILE SPANS`. Prints what each question took, as JSON.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argus_model::{NameKind, NameText, ProducerId, SpanKey, SpanNumber, Timestamp};
use argus_store::batch::{ProducerRow, SpanRow, Status, Subject, Thread};
use argus_store::query::{Page, SpanFilter, TimeRange};
use argus_store::retention::Rest;
use argus_store::{Batch, ReadError, Retention, Sink, Store};
use serde_json::{Value, json};

const BATCH: u64 = 10_000;
const PRUNE_SLICE: usize = 1_000;
const PAGE: usize = 50;
const ASKED: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// 2026-01-27 00:00 UTC; the spans fill the twelve hours after it.
const BEGIN_NS: i64 = 1_769_472_000_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const HOUR_NS: i64 = 60 * MINUTE_NS;
const HOURS: i64 = 12;

const PROCESSES_AT_A_TIME: u64 = 6;
const GENERATIONS: u64 = 8;
/// One more process lives all the time and does one call in so many.
const SELDOM: u64 = GENERATIONS * PROCESSES_AT_A_TIME;
const SELDOM_EVERY: u64 = 4_000;
const FUNCTIONS: u64 = 200;
const RARE: &str = "ledger.audit.reconcile_by_hand";
const RARE_CALLS: u64 = 20;
/// A function of the first three hours: one call in so many.
const FORMER: &str = "ledger.audit.load_last_year";
const FORMER_EVERY: u64 = 50;
const FORMER_HOURS: i64 = 3;
/// The function whose percentiles are checked against exact ones: the most frequent.
const CHECKED: usize = 0;
/// The six hours in which they are: they begin and end in the middle of everything summed up.
const CHECKED_FROM: i64 = BEGIN_NS + 5 * HOUR_NS + 43 * MINUTE_NS;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, spans] = &arguments[..] else {
        return Err("usage: query_pages FILE SPANS".into());
    };
    let (path, spans) = (Path::new(path), spans.parse()?);
    let mut workload = Workload::new(spans);
    let began = Instant::now();
    workload.fill(argus_store::open_writer(path)?.as_mut())?;
    let fill_seconds = began.elapsed().as_secs_f64();
    let questions = QUESTIONS
        .iter()
        .map(|question| timed(path, question, spans))
        .collect::<Result<Vec<_>, _>>()?;
    let percentile_error = workload.percentile_error(argus_store::open_reader(path)?.as_ref())?;
    let answer = json!({
        "fill_seconds": fill_seconds,
        "questions": questions,
        "percentile_error": percentile_error,
    });
    println!("{answer}");
    Ok(())
}

/// Calls of many functions in many processes.
struct Workload {
    spans: u64,
    chance: Chance,
    names: Vec<Arc<NameText>>,
    rare: Arc<NameText>,
    former: Arc<NameText>,
    thread: Arc<Thread>,
    /// Durations of [`CHECKED`] in six hours.
    exact: Vec<u64>,
}

impl Workload {
    fn new(spans: u64) -> Self {
        let name = |text: String| Arc::new(NameText::plain(NameKind::Function, text));
        Self {
            spans,
            chance: Chance(0x9e37_79b9_7f4a_7c15),
            names: (0..FUNCTIONS)
                .map(|number| name(format!("shop.orders.stage_{}.step_{number}", number / 10)))
                .collect(),
            rare: name(RARE.to_owned()),
            former: name(FORMER.to_owned()),
            thread: Arc::new(Thread {
                tid: 4711,
                name: "MainThread".to_owned(),
            }),
            exact: Vec::new(),
        }
    }

    fn fill(&mut self, sink: &mut dyn Sink) -> Result<(), Box<dyn Error>> {
        sink.commit(&Batch {
            producers: (0..=SELDOM).map(producer).collect(),
            ..Batch::default()
        })?;
        let mut number = 0;
        while number < self.spans {
            let end = (number + BATCH).min(self.spans);
            let ended = (number..end).map(|number| self.span(number)).collect();
            sink.commit(&Batch {
                ended,
                ..Batch::default()
            })?;
            number = end;
            // As the collector does between two batches.
            let (retention, now) = (Retention::unlimited(), moment(number, self.spans));
            while sink.prune(&retention, now, PRUNE_SLICE)?.rest == Rest::More {}
        }
        sink.sync()?;
        Ok(())
    }

    fn span(&mut self, number: u64) -> SpanRow {
        let ended_at = moment(number, self.spans);
        let generation = number * GENERATIONS / self.spans;
        let process = match number % SELDOM_EVERY {
            0 => SELDOM,
            _ => generation * PROCESSES_AT_A_TIME + self.chance.below(PROCESSES_AT_A_TIME),
        };
        let function = self.function();
        let scale = 2_000 << self.chance.below(9);
        let duration_ns = scale + self.chance.below(scale);
        let is_rare = number % (self.spans / RARE_CALLS).max(1) == self.spans / RARE_CALLS / 2;
        let is_former = number % FORMER_EVERY == 1
            && ended_at < Timestamp::from_nanos(BEGIN_NS + FORMER_HOURS * HOUR_NS);
        let failed = self.chance.below(100) == 0;
        let name = if is_rare {
            &self.rare
        } else if is_former {
            &self.former
        } else {
            if function == CHECKED && six_hours_from(CHECKED_FROM).contains(ended_at) {
                self.exact.push(duration_ns);
            }
            &self.names[function]
        };
        SpanRow {
            key: SpanKey {
                producer: producer_id(process),
                number: SpanNumber(number + 1),
            },
            parent: SpanNumber(number / 8 * 8),
            name: Arc::clone(name),
            thread: Arc::clone(&self.thread),
            ended_at,
            duration_ns,
            status: if failed { Status::Err } else { Status::Ok },
            captured: Some(format!(
                r#"{{"i":{{"order":"{number}","quantity":"17"}},"o":{{"result":"0.25"}}}}"#
            )),
            exception: failed.then(|| TRACEBACK.to_owned()),
        }
    }

    /// The low numbers are called far more often than the high ones.
    fn function(&mut self) -> usize {
        let place = self.chance.below(FUNCTIONS * FUNCTIONS);
        let skewed = place * place / (FUNCTIONS * FUNCTIONS * FUNCTIONS);
        usize::try_from(skewed).unwrap_or(usize::MAX)
    }

    /// The largest relative error of the stored percentiles of one function.
    fn percentile_error(&mut self, store: &dyn Store) -> Result<f64, Box<dyn Error>> {
        self.exact.sort_unstable();
        let name = &self.names[CHECKED].text;
        let functions = store.functions(six_hours_from(CHECKED_FROM))?;
        let stored = functions.iter().find(|function| function.process == *name);
        let stored = stored.ok_or("the checked function has no statistics")?;
        let exact = |percent: usize| self.exact[(self.exact.len() - 1) * percent / 100] as f64;
        let pairs = [
            (stored.p50_ns, exact(50)),
            (stored.p95_ns, exact(95)),
            (stored.p99_ns, exact(99)),
        ];
        let errors = pairs.map(|(stored, exact)| (stored as f64 - exact).abs() / exact);
        Ok(errors.into_iter().fold(0.0, f64::max))
    }
}

const TRACEBACK: &str = "Traceback (most recent call last):
  File \"/srv/shop/orders/stage.py\", line 118, in step
    price = book.price(order, quantity)
  File \"/srv/shop/orders/book.py\", line 42, in price
    raise KeyError(order)
KeyError: 'no such order'";

fn moment(number: u64, spans: u64) -> Timestamp {
    let at = i128::from(HOURS * HOUR_NS) * i128::from(number) / i128::from(spans);
    Timestamp::from_nanos(BEGIN_NS + i64::try_from(at).unwrap_or(0))
}

fn six_hours_from(begin_ns: i64) -> TimeRange {
    stretch(begin_ns, 6 * HOUR_NS)
}

fn stretch(begin_ns: i64, length_ns: i64) -> TimeRange {
    TimeRange {
        from: Some(Timestamp::from_nanos(begin_ns)),
        to: Some(Timestamp::from_nanos(begin_ns + length_ns)),
    }
}

/// A moment of the recording at least so long before its end.
fn before_the_end(length_ns: i64, chance: u64) -> i64 {
    let span = (HOURS * HOUR_NS - length_ns).unsigned_abs();
    BEGIN_NS + i64::try_from(chance % span).unwrap_or(0)
}

fn producer_id(process: u64) -> ProducerId {
    ProducerId {
        machine: 1,
        boot: 1,
        pid_namespace: 1,
        pid: pid(process),
        start_ticks: 1_000 + process,
        nonce: process,
    }
}

fn pid(process: u64) -> u32 {
    1_000 + u32::try_from(process).unwrap_or(0)
}

fn producer(process: u64) -> ProducerRow {
    let id = producer_id(process);
    ProducerRow {
        id,
        subject: Arc::new(Subject {
            run: id.into(),
            app_name: "shop".to_owned(),
            process_name: "python3".to_owned(),
            command_line: "python3 -m shop".to_owned(),
            hostname: "bench".to_owned(),
            parent: None,
        }),
        runtime: "python 3".to_owned(),
        argus_version: "0".to_owned(),
        seen_at: Timestamp::from_nanos(BEGIN_NS),
    }
}

/// What is asked, and what its 95th percentile should stay below.
struct Question {
    name: &'static str,
    below_ms: f64,
    asks: Asks,
}

enum Asks {
    /// A page, chosen by chance among so many spans.
    Page(fn(u64, u64) -> (SpanFilter, Page)),
    /// The statistics of all functions over six hours, which begin by chance.
    Percentiles,
}

const fn page(
    name: &'static str,
    below_ms: f64,
    asks: fn(u64, u64) -> (SpanFilter, Page),
) -> Question {
    let asks = Asks::Page(asks);
    Question {
        name,
        below_ms,
        asks,
    }
}

const QUESTIONS: [Question; 14] = [
    page("newest page", 5.0, |_, _| newest(SpanFilter::default())),
    page("deep page", 5.0, |chance, spans| {
        let (filter, newest) = newest(SpanFilter::default());
        let after = i64::try_from(chance % spans).ok();
        (filter, Page { after, ..newest })
    }),
    page("failures", 5.0, |_, _| newest(failed())),
    page("spans of a living process", 5.0, |chance, _| {
        newest(of(living(chance), SpanFilter::default()))
    }),
    page("failures of a living process", 5.0, |chance, _| {
        newest(of(living(chance), failed()))
    }),
    page("spans of a process long dead", 5.0, |chance, _| {
        newest(of(long_dead(chance), SpanFilter::default()))
    }),
    page("failures of a process long dead", 5.0, |chance, _| {
        newest(of(long_dead(chance), failed()))
    }),
    page("spans of a process that does little", 5.0, |_, _| {
        newest(of(SELDOM, SpanFilter::default()))
    }),
    page("failures of a process that does little", 5.0, |_, _| {
        newest(of(SELDOM, failed()))
    }),
    page("spans of a process that never was", 5.0, |_, _| {
        newest(of(SELDOM + 1, SpanFilter::default()))
    }),
    page("spans of a minute", 5.0, |chance, _| {
        newest(SpanFilter {
            time: stretch(before_the_end(MINUTE_NS, chance), MINUTE_NS),
            ..SpanFilter::default()
        })
    }),
    page("rare function", 20.0, |_, _| newest(named(RARE))),
    page("function of the first hours", 20.0, |_, _| {
        newest(named(FORMER))
    }),
    Question {
        name: "percentiles over 6 h",
        below_ms: 50.0,
        asks: Asks::Percentiles,
    },
];

fn newest(filter: SpanFilter) -> (SpanFilter, Page) {
    (filter, Page::newest(PAGE))
}

fn named(function: &str) -> SpanFilter {
    SpanFilter {
        name: Some(function.to_owned()),
        ..SpanFilter::default()
    }
}

fn failed() -> SpanFilter {
    SpanFilter {
        status: Some(Status::Err),
        ..SpanFilter::default()
    }
}

fn of(process: u64, filter: SpanFilter) -> SpanFilter {
    SpanFilter {
        pid: Some(pid(process)),
        ..filter
    }
}

/// One of the processes that run at the end.
fn living(chance: u64) -> u64 {
    (GENERATIONS - 1) * PROCESSES_AT_A_TIME + chance % PROCESSES_AT_A_TIME
}

/// One of the processes that ended after the first hour and a half.
fn long_dead(chance: u64) -> u64 {
    chance % PROCESSES_AT_A_TIME
}

impl Question {
    /// Asks once; answers how many rows came.
    fn ask(&self, store: &dyn Store, chance: u64, spans: u64) -> Result<usize, ReadError> {
        Ok(match self.asks {
            Asks::Page(asks) => {
                let (filter, page) = asks(chance, spans);
                black_box(store.spans(&filter, page)?).len()
            }
            Asks::Percentiles => {
                let time = six_hours_from(before_the_end(6 * HOUR_NS, chance));
                black_box(store.functions(time)?).len()
            }
        })
    }
}

/// What one answer took.
struct Took {
    wall_ms: f64,
    cpu_ms: f64,
    rows: usize,
}

/// Asks until there are enough answers, each time in a new connection and then in the same again.
fn timed(path: &Path, question: &Question, spans: u64) -> Result<Value, Box<dyn Error>> {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let ask = |store: &dyn Store, parameter| -> Result<Took, ReadError> {
        let (began, cpu_before) = (Instant::now(), cpu_ms());
        let rows = question.ask(store, parameter, spans)?;
        Ok(Took {
            wall_ms: began.elapsed().as_secs_f64() * 1_000.0,
            cpu_ms: cpu_ms() - cpu_before,
            rows,
        })
    };
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let began = Instant::now();
    // The first answer of all warms the file cache of the system and is not counted.
    ask(
        argus_store::open_reader(path)?.as_ref(),
        chance.below(u64::MAX),
    )?;
    while first.is_empty() || (first.len() < ASKED && began.elapsed() < PATIENCE) {
        let parameter = chance.below(u64::MAX);
        let store = argus_store::open_reader(path)?;
        first.push(ask(store.as_ref(), parameter)?);
        again.push(ask(store.as_ref(), parameter)?);
    }
    let mut rows = HashMap::new();
    for took in &first {
        *rows.entry(took.rows).or_insert(0) += 1;
    }
    let most = rows.into_iter().max_by_key(|&(_, times)| times);
    Ok(json!({
        "name": question.name,
        "below_ms": question.below_ms,
        "p50_ms": percentile(&first, 50, |took| took.wall_ms),
        "p95_ms": percentile(&first, 95, |took| took.wall_ms),
        "cpu_p95_ms": percentile(&first, 95, |took| took.cpu_ms),
        "again_p95_ms": percentile(&again, 95, |took| took.wall_ms),
        "asked": first.len(),
        "rows": most.map(|(rows, _)| rows),
    }))
}

fn percentile(answers: &[Took], percent: usize, of: impl Fn(&Took) -> f64) -> f64 {
    let mut sorted: Vec<f64> = answers.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

/// CPU time of this thread so far.
fn cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// A repeatable source of chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
