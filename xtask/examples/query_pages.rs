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
use argus_store::{Batch, ReadError, Sink, Store};
use serde_json::{Value, json};

const BATCH: u64 = 10_000;
const PAGE: usize = 50;
const ASKED: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// 2026-01-27 00:00 UTC; the spans fill the twelve hours after it.
const BEGIN_NS: i64 = 1_769_472_000_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
const HOURS: i64 = 12;

const PROCESSES_AT_A_TIME: u64 = 6;
const GENERATIONS: u64 = 8;
const FUNCTIONS: u64 = 200;
const RARE: &str = "ledger.audit.reconcile_by_hand";
const RARE_CALLS: u64 = 20;
/// The function whose percentiles are checked against exact ones: the most frequent.
const CHECKED: usize = 0;

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
    let store = argus_store::open_reader(path)?;
    let questions = QUESTIONS
        .iter()
        .map(|question| timed(store.as_ref(), question, spans))
        .collect::<Result<Vec<_>, _>>()?;
    let percentile_error = workload.percentile_error(store.as_ref())?;
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
    thread: Arc<Thread>,
    /// Durations of [`CHECKED`] in the last six hours.
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
            thread: Arc::new(Thread {
                tid: 4711,
                name: "MainThread".to_owned(),
            }),
            exact: Vec::new(),
        }
    }

    fn fill(&mut self, sink: &mut dyn Sink) -> Result<(), Box<dyn Error>> {
        sink.commit(&Batch {
            producers: (0..GENERATIONS * PROCESSES_AT_A_TIME)
                .map(producer)
                .collect(),
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
        }
        sink.sync()?;
        Ok(())
    }

    fn span(&mut self, number: u64) -> SpanRow {
        let ended_at = moment(number, self.spans);
        let generation = number * GENERATIONS / self.spans;
        let process = generation * PROCESSES_AT_A_TIME + self.chance.below(PROCESSES_AT_A_TIME);
        let function = self.function();
        let scale = 2_000 << self.chance.below(9);
        let duration_ns = scale + self.chance.below(scale);
        let is_rare = number % (self.spans / RARE_CALLS).max(1) == self.spans / RARE_CALLS / 2;
        if !is_rare && function == CHECKED && last_six_hours().contains(ended_at) {
            self.exact.push(duration_ns);
        }
        let failed = self.chance.below(100) == 0;
        let name = if is_rare {
            &self.rare
        } else {
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
        let functions = store.functions(last_six_hours())?;
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

fn last_six_hours() -> TimeRange {
    let end = BEGIN_NS + HOURS * HOUR_NS;
    TimeRange {
        from: Some(Timestamp::from_nanos(end - 6 * HOUR_NS)),
        to: Some(Timestamp::from_nanos(end)),
    }
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
        }),
        runtime: "python 3".to_owned(),
        argus_version: "0".to_owned(),
        parent_pid: 1,
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
    /// The statistics of all functions over six hours.
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

const QUESTIONS: [Question; 9] = [
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
    page("rare function", 20.0, |_, _| {
        newest(SpanFilter {
            name: Some(RARE.to_owned()),
            ..SpanFilter::default()
        })
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
            Asks::Percentiles => black_box(store.functions(last_six_hours())?).len(),
        })
    }
}

fn timed(store: &dyn Store, question: &Question, spans: u64) -> Result<Value, ReadError> {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    let mut rows = HashMap::new();
    let began = Instant::now();
    // The first answer warms the file cache and is not counted.
    question.ask(store, chance.below(u64::MAX), spans)?;
    while times.is_empty() || (times.len() < ASKED && began.elapsed() < PATIENCE) {
        let parameter = chance.below(u64::MAX);
        let (began, cpu_before) = (Instant::now(), cpu_ms());
        let count = question.ask(store, parameter, spans)?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
        cpu.push(cpu_ms() - cpu_before);
        *rows.entry(count).or_insert(0) += 1;
    }
    times.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    let at = |times: &[f64], percent: usize| times[(times.len() - 1) * percent / 100];
    let most = rows.into_iter().max_by_key(|&(_, times)| times);
    Ok(json!({
        "name": question.name,
        "below_ms": question.below_ms,
        "p50_ms": at(&times, 50),
        "p95_ms": at(&times, 95),
        "cpu_p95_ms": at(&cpu, 95),
        "asked": times.len(),
        "rows": most.map(|(rows, _)| rows),
    }))
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
