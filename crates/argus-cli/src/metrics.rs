//! `argus metrics`: CPU, memory and threads of processes, and the readings programs named.

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::query::{StoredMetric, StoredSample};
use serde::Serialize;
use serde_json::Value;

use crate::args::{FormatArgs, LimitArgs, Listing, TimeArgs, WhoArgs};
use crate::exit::Exit;
use crate::moment::{iso, local};
use crate::open::open_store;
use crate::ordered::Object;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// List readings of CPU, memory and threads, and of named metrics
///
/// JSON is one document: {"samples": [...], "metrics": [...]}.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus metrics --app SnakeGame --since 1h
  argus metrics --name queue_depth --json")]
pub(crate) struct Args {
    #[command(flatten)]
    who: WhoArgs,
    /// Only named metrics whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    samples: Vec<Sample<'a>>,
    metrics: Vec<Metric<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Sample<'a> {
    id: i64,
    timestamp: String,
    app_name: &'a str,
    process_name: &'a str,
    pid: u32,
    cpu_percent: f64,
    memory_mb: f64,
    threads: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Metric<'a> {
    id: i64,
    timestamp: String,
    app_name: &'a str,
    pid: u32,
    name: &'a str,
    value: f64,
    unit: &'a str,
    attributes: Option<Object>,
}

/// Prints the readings.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let filter = args.who.filter(args.time.range()?, args.name.as_deref());
    let store = open_store(data)?;
    let samples = match args.name {
        None => store.samples(&filter, args.limit.page())?,
        // A sample has no name to match.
        Some(_) => Vec::new(),
    };
    let metrics = store.metrics(&filter, args.limit.page())?;
    let samples = args.limit.in_reading_order(samples);
    let metrics = args.limit.in_reading_order(metrics);
    match args.format.format() {
        Format::Json => output::document(&Document {
            samples: samples.rows.iter().map(sample).collect(),
            metrics: metrics.rows.iter().map(metric).collect(),
        })?,
        Format::Human => print(&samples, &metrics)?,
    }
    Ok(Exit::Fine)
}

fn print(samples: &Listing<StoredSample>, metrics: &Listing<StoredMetric>) -> Result<()> {
    let screen = Screen::of_stdout();
    if samples.rows.is_empty() && metrics.rows.is_empty() {
        output::note("no readings match");
        return Ok(());
    }
    if !samples.rows.is_empty() {
        sample_table(&samples.rows).print(screen)?;
        samples.explain("samples");
    }
    if !samples.rows.is_empty() && !metrics.rows.is_empty() {
        output::blank_line()?;
    }
    if !metrics.rows.is_empty() {
        metric_table(&metrics.rows).print(screen)?;
        metrics.explain("metrics");
    }
    Ok(())
}

/// A reading as JSON tells it.
pub(crate) fn sample(sample: &StoredSample) -> Sample<'_> {
    Sample {
        id: sample.id,
        timestamp: iso(sample.at),
        app_name: &sample.app_name,
        process_name: &sample.process_name,
        pid: sample.pid,
        cpu_percent: sample.cpu_percent,
        memory_mb: sample.memory_mb,
        threads: sample.threads,
    }
}

/// A named reading as JSON tells it.
pub(crate) fn metric(metric: &StoredMetric) -> Metric<'_> {
    Metric {
        id: metric.id,
        timestamp: iso(metric.at),
        app_name: &metric.app_name,
        pid: metric.pid,
        name: &metric.name,
        value: metric.value,
        unit: &metric.unit,
        attributes: attributes(metric),
    }
}

fn attributes(metric: &StoredMetric) -> Option<Object> {
    serde_json::from_str(metric.attributes.as_deref()?).ok()
}

fn sample_table(samples: &[StoredSample]) -> Table {
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("CPU %", Align::Right),
        ("MEMORY MB", Align::Right),
        ("THREADS", Align::Right),
        ("PID", Align::Right),
        ("APP", Align::Left),
    ]);
    for sample in samples {
        table.row([
            Cell::toned(&local(sample.at), Tone::Faint),
            format!("{:.1}", sample.cpu_percent).into(),
            format!("{:.1}", sample.memory_mb).into(),
            sample.threads.to_string().into(),
            sample.pid.to_string().into(),
            Cell::from(&sample.app_name),
        ]);
    }
    table
}

fn metric_table(metrics: &[StoredMetric]) -> Table {
    let mut table = Table::new([
        ("TIME", Align::Left),
        ("APP", Align::Left),
        ("PID", Align::Right),
        ("VALUE", Align::Right),
        ("UNIT", Align::Left),
        ("METRIC", Align::Left),
    ]);
    for metric in metrics {
        table.row([
            Cell::toned(&local(metric.at), Tone::Faint),
            Cell::from(&metric.app_name),
            metric.pid.to_string().into(),
            metric.value.to_string().into(),
            Cell::from(&metric.unit),
            named(metric).into(),
        ]);
    }
    table
}

/// `queue_depth {queue=orders}`
fn named(metric: &StoredMetric) -> String {
    let Some(Object(attributes)) = attributes(metric) else {
        return metric.name.clone();
    };
    let pairs: Vec<String> = attributes
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect();
    format!("{} {{{}}}", metric.name, pairs.join(", "))
}
