//! `argus status`: how much is recorded, by whom, what was lost, and whether the collector lives.

use anyhow::Result;
use argus_model::Timestamp;
use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use argus_store::batch::CollectorState;
use argus_store::query::{Counts, ProducerLedger, StoredGap};
use serde::Serialize;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::moment::{self, duration, iso, local_to_second};
use crate::open::open_store;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// People see this many programs and losses; JSON has all.
const SHOWN: usize = 20;

/// Show what is recorded, what was lost and why, and how the collector is
///
/// For every program: emitted = stored + lost. Lost is what found no room (budget, disk, too_large,
/// reentrant), what was damaged, and what this version does not know. A database that holds nothing
/// yet is exit code 1; `argus doctor` says why nothing arrives.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus status
  argus status --json
  argus status --db logs/observability.db")]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    database: String,
    counts: CountsReport,
    ledger: Vec<Account>,
    gaps: Vec<Gap>,
    collector: Option<Collector>,
}

#[derive(Debug, Serialize)]
struct CountsReport {
    spans: u64,
    errors: u64,
    open_spans: u64,
    samples: u64,
    logs: u64,
    process_events: u64,
    metrics: u64,
    stacks: u64,
    sessions: u64,
    seen_open: u64,
}

#[derive(Debug, Serialize)]
struct Account {
    app_name: String,
    pid: u32,
    seen_at: String,
    ended_at: Option<String>,
    emitted: u64,
    stored: u64,
    lost_normal: u64,
    lost_errors: u64,
    damaged: u64,
    unknown: u64,
}

#[derive(Debug, Serialize)]
struct Gap {
    app_name: String,
    pid: u32,
    reason: String,
    normal: u64,
    errors: u64,
    from: String,
    to: String,
}

#[derive(Debug, Serialize)]
struct Collector {
    pid: u32,
    heartbeat: String,
    heartbeat_age_ms: u64,
    backlog_bytes: u64,
    write_lag_ms: f64,
    alive: bool,
    held: Option<Held>,
}

#[derive(Debug, Serialize)]
struct Held {
    since: String,
    reader: Option<u32>,
}

/// Prints the state.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let store = open_store(data)?;
    let collector = store.collector()?;
    let (counts, ledger) = (store.counts()?, store.ledger()?);
    let now = moment::now();
    match args.format.format() {
        Format::Json => output::document(&Report {
            database: data.database().display().to_string(),
            counts: counts.into(),
            ledger: ledger.iter().map(Account::from).collect(),
            gaps: store.gaps(usize::MAX)?.into_iter().map(Gap::from).collect(),
            collector: collector.map(|state| report(state, alive(data), now)),
        })?,
        Format::Human => {
            let screen = Screen::of_stdout();
            summary(data, &counts, collector, now, &ledger).print(screen)?;
            let tables = [accounts(&ledger), losses(&ledger, &store.gaps(SHOWN)?)];
            for table in tables.into_iter().flatten() {
                output::blank_line()?;
                table.print(screen)?;
            }
            if ledger.len() > SHOWN {
                let all = ledger.len();
                output::note(&format!(
                    "the newest {SHOWN} of {all} programs; --json lists all"
                ));
            }
        }
    }
    Ok(Exit::Fine)
}

impl From<Counts> for CountsReport {
    fn from(counts: Counts) -> Self {
        Self {
            spans: counts.spans,
            errors: counts.errors,
            open_spans: counts.open_spans,
            samples: counts.samples,
            logs: counts.logs,
            process_events: counts.process_events,
            metrics: counts.metrics,
            stacks: counts.stacks,
            sessions: counts.sessions,
            seen_open: counts.seen_open,
        }
    }
}

impl From<&ProducerLedger> for Account {
    fn from(ledger: &ProducerLedger) -> Self {
        Self {
            app_name: ledger.app_name.clone(),
            pid: ledger.pid,
            seen_at: iso(ledger.seen_at),
            ended_at: ledger.ended_at.map(iso),
            emitted: ledger.emitted(),
            stored: ledger.stored,
            lost_normal: ledger.lost_normal,
            lost_errors: ledger.lost_errors,
            damaged: ledger.damaged,
            unknown: ledger.unknown,
        }
    }
}

impl From<StoredGap> for Gap {
    fn from(gap: StoredGap) -> Self {
        Self {
            app_name: gap.app_name,
            pid: gap.pid,
            reason: gap.reason,
            normal: gap.normal,
            errors: gap.errors,
            from: iso(gap.from),
            to: iso(gap.to),
        }
    }
}

fn report(state: CollectorState, alive: bool, now: Timestamp) -> Collector {
    let age = now.since(state.heartbeat).as_millis();
    Collector {
        pid: state.pid,
        heartbeat: iso(state.heartbeat),
        heartbeat_age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        backlog_bytes: state.backlog_bytes,
        write_lag_ms: output::milliseconds(state.write_lag_ns),
        alive,
        held: state.held.map(|hold| Held {
            since: iso(hold.since),
            reader: hold.reader,
        }),
    }
}

fn summary(
    data: &DataDir,
    counts: &Counts,
    collector: Option<CollectorState>,
    now: Timestamp,
    ledger: &[ProducerLedger],
) -> Table {
    let path = data.database().display().to_string();
    let mut table = Table::new([("DATABASE", Align::Left), (&path, Align::Left)]);
    table.row([
        Cell::from("collector"),
        collector_line(data, collector, now),
    ]);
    table.row([Cell::from("records"), balance(ledger)]);
    for (name, count) in [
        ("spans", counts.spans),
        ("errors", counts.errors),
        ("open spans", counts.open_spans),
        ("seen open", counts.seen_open),
        ("samples", counts.samples),
        ("log lines", counts.logs),
        ("process events", counts.process_events),
        ("metrics", counts.metrics),
        ("stacks", counts.stacks),
        ("sessions", counts.sessions),
    ] {
        table.row([Cell::from(name), output::grouped(count).into()]);
    }
    table
}

fn collector_line(data: &DataDir, state: Option<CollectorState>, now: Timestamp) -> Cell {
    let Some(state) = state else {
        return Cell::toned("none has written yet", Tone::Faint);
    };
    let age = u64::try_from(now.since(state.heartbeat).as_nanos()).unwrap_or(u64::MAX);
    let age = duration(age);
    if !alive(data) {
        return Cell::toned(&format!("not running; last wrote {age} ago"), Tone::Faint);
    }
    let behind = match state.backlog_bytes {
        0 => "nothing waits".into(),
        bytes => format!("{} bytes wait", output::grouped(bytes)),
    };
    if let Some(hold) = state.held {
        let since = u64::try_from(now.since(hold.since).as_nanos()).unwrap_or(u64::MAX);
        let reader = hold
            .reader
            .map_or("a reader".into(), |pid| format!("reader {pid}"));
        let text = format!(
            "pid {}, held back by {reader} for {}, {behind}",
            state.pid,
            duration(since)
        );
        return Cell::toned(&text, Tone::Bad);
    }
    format!("pid {}, last wrote {age} ago, {behind}", state.pid).into()
}

/// The sum of all accounts.
fn balance(ledger: &[ProducerLedger]) -> Cell {
    let sum = |part: fn(&ProducerLedger) -> u64| ledger.iter().map(part).sum::<u64>();
    let lost = sum(ProducerLedger::lost);
    let text = format!(
        "{} emitted = {} stored + {} lost",
        output::grouped(sum(ProducerLedger::emitted)),
        output::grouped(sum(|account| account.stored)),
        output::grouped(lost)
    );
    Cell::toned(&text, if lost == 0 { Tone::Plain } else { Tone::Bad })
}

fn accounts(ledger: &[ProducerLedger]) -> Option<Table> {
    let mut table = Table::new([
        ("PID", Align::Right),
        ("BEGAN", Align::Left),
        ("RAN", Align::Left),
        ("EMITTED", Align::Right),
        ("STORED", Align::Right),
        ("LOST", Align::Right),
        ("APP", Align::Left),
    ]);
    for account in ledger.iter().take(SHOWN) {
        table.row([
            account.pid.to_string().into(),
            Cell::toned(&local_to_second(account.seen_at), Tone::Faint),
            Cell::toned(&ran(account), Tone::Faint),
            output::grouped(account.emitted()).into(),
            output::grouped(account.stored).into(),
            loss(account.lost()),
            Cell::from(&account.app_name),
        ]);
    }
    (!ledger.is_empty()).then_some(table)
}

/// How long a program ran, where that is known: one that ended before anybody looked began and
/// ended when it was found.
fn ran(account: &ProducerLedger) -> String {
    let Some(ended) = account.ended_at else {
        return "running".into();
    };
    match u64::try_from(ended.since(account.seen_at).as_nanos()) {
        Ok(0) => "ended".into(),
        nanos => duration(nanos.unwrap_or(u64::MAX)),
    }
}

/// What is missing, why, and from when to when; nothing when nothing is.
fn losses(ledger: &[ProducerLedger], gaps: &[StoredGap]) -> Option<Table> {
    let mut table = Table::new([
        ("PID", Align::Right),
        ("LOST", Align::Right),
        ("ERRORS", Align::Right),
        ("WHY", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("APP", Align::Left),
    ]);
    for gap in gaps {
        table.row([
            gap.pid.to_string().into(),
            loss(gap.normal + gap.errors),
            loss(gap.errors),
            Cell::from(&gap.reason),
            local_to_second(gap.from).into(),
            local_to_second(gap.to).into(),
            Cell::from(&gap.app_name),
        ]);
    }
    let mut timeless = 0;
    for account in ledger {
        for (count, why) in [(account.damaged, "damaged"), (account.unknown, "unknown")] {
            if count > 0 && timeless < SHOWN {
                timeless += 1;
                table.row([
                    account.pid.to_string().into(),
                    loss(count),
                    "".into(),
                    why.into(),
                    "".into(),
                    "".into(),
                    Cell::from(&account.app_name),
                ]);
            }
        }
    }
    (!gaps.is_empty() || timeless > 0).then_some(table)
}

fn loss(count: u64) -> Cell {
    let tone = if count == 0 { Tone::Faint } else { Tone::Bad };
    Cell::toned(&output::grouped(count), tone)
}

/// Whether a collector keeps its heartbeat up beside this database. Makes nothing.
fn alive(data: &DataDir) -> bool {
    let control = data.control();
    control.exists()
        && ControlPage::open(&control).is_ok_and(|page| page.living_collector().is_some())
}
