//! `argus status`: how much is recorded, by whom, what was lost, and whether the collector lives.

use anyhow::Result;
use argus_model::Timestamp;
use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use argus_store::batch::CollectorState;
use argus_store::query::{Counts, ProducerLedger};
use serde::Serialize;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::moment::{self, duration, iso, local};
use crate::open::open_store;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// Show what is recorded, what was lost, and how the collector is
///
/// For every program: emitted = stored + lost + damaged + unknown. A database that holds nothing
/// yet is exit code 1.
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
struct Collector {
    pid: u32,
    heartbeat: String,
    heartbeat_age_ms: u64,
    backlog_bytes: u64,
    write_lag_ms: f64,
    alive: bool,
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
            collector: collector.map(|state| report(state, alive(data), now)),
        })?,
        Format::Human => {
            let screen = Screen::of_stdout();
            summary(data, &counts, collector, now).print(screen)?;
            if !ledger.is_empty() {
                output::blank_line()?;
                accounts(&ledger).print(screen)?;
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

fn report(state: CollectorState, alive: bool, now: Timestamp) -> Collector {
    let age = now.since(state.heartbeat).as_millis();
    Collector {
        pid: state.pid,
        heartbeat: iso(state.heartbeat),
        heartbeat_age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        backlog_bytes: state.backlog_bytes,
        write_lag_ms: output::milliseconds(state.write_lag_ns),
        alive,
    }
}

fn summary(
    data: &DataDir,
    counts: &Counts,
    collector: Option<CollectorState>,
    now: Timestamp,
) -> Table {
    let path = data.database().display().to_string();
    let mut table = Table::new([("DATABASE", Align::Left), (&path, Align::Left)]);
    table.row([
        Cell::from("collector"),
        collector_line(data, collector, now),
    ]);
    for (name, count) in [
        ("spans", counts.spans),
        ("errors", counts.errors),
        ("open spans", counts.open_spans),
        ("seen open", counts.seen_open),
        ("samples", counts.samples),
        ("log lines", counts.logs),
        ("process events", counts.process_events),
        ("metrics", counts.metrics),
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
    let (age, lag) = (duration(age), duration(state.write_lag_ns));
    if !alive(data) {
        return Cell::toned(&format!("not running; last wrote {age} ago"), Tone::Faint);
    }
    format!(
        "pid {}, last wrote {age} ago, {} bytes behind, write lag {lag}",
        state.pid,
        output::grouped(state.backlog_bytes)
    )
    .into()
}

fn accounts(ledger: &[ProducerLedger]) -> Table {
    let mut table = Table::new([
        ("PID", Align::Right),
        ("SEEN", Align::Left),
        ("ENDED", Align::Left),
        ("EMITTED", Align::Right),
        ("STORED", Align::Right),
        ("LOST", Align::Right),
        ("LOST ERRORS", Align::Right),
        ("DAMAGED", Align::Right),
        ("UNKNOWN", Align::Right),
        ("APP", Align::Left),
    ]);
    for account in ledger {
        table.row([
            account.pid.to_string().into(),
            Cell::toned(&local(account.seen_at), Tone::Faint),
            Cell::toned(
                &account.ended_at.map_or("running".into(), local),
                Tone::Faint,
            ),
            output::grouped(account.emitted()).into(),
            output::grouped(account.stored).into(),
            loss(account.lost_normal),
            loss(account.lost_errors),
            loss(account.damaged),
            loss(account.unknown),
            Cell::from(&account.app_name),
        ]);
    }
    table
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
