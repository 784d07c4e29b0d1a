//! `argus metrics`: CPU, memory and threads of processes, and the readings programs named.

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_model::{Measure, Measures};
use argus_store::query::{StoredMetric, StoredSample};
use argus_tui::format;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::exit::Exit;
use crate::listing::{Listed, Listing, ListingArgs, Tabled};
use crate::moment::{iso, local};
use crate::open::open_store;
use crate::ordered::Object;
use crate::output::{self, Align, Cell, Format, Tone};

/// List readings of CPU, memory and threads, and of named metrics
///
/// JSON is one document: {"samples": [...], "metrics": [...]}.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus metrics --app SnakeGame --since 1h
  argus metrics --name queue_depth --json")]
pub(crate) struct Args {
    /// Only named metrics whose name contains this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    #[command(flatten)]
    listing: ListingArgs,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    samples: Vec<Sample<'a>>,
    metrics: Vec<Metric<'a>>,
}

/// A reading as JSON tells it.
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
    #[serde(flatten)]
    measures: MeasuresJson<'a>,
}

/// Every measure by its name; `null` where it is not known.
#[derive(Debug)]
pub(crate) struct MeasuresJson<'a>(pub(crate) &'a Measures);

impl Serialize for MeasuresJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(Measure::ALL.map(|measure| (measure.name(), number(self.0, measure))))
    }
}

/// A count without a fraction, anything else as it is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a count is whole and not negative"
)]
fn number(measures: &Measures, measure: Measure) -> Value {
    match measures.get(measure) {
        Some(count) if measure.is_count() => Value::from(count as u64),
        Some(value) => Value::from(value),
        None => Value::Null,
    }
}

/// A named reading as JSON tells it.
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
    let filter = args.listing.filter(args.name.as_deref())?;
    let store = open_store(data)?;
    let samples = match args.name {
        None => store.samples(&filter, args.listing.page(None))?,
        // A sample has no name to match.
        Some(_) => Vec::new(),
    };
    let metrics = store.metrics(&filter, args.listing.page(None))?;
    let samples = args.listing.in_reading_order(samples, None);
    let metrics = args.listing.in_reading_order(metrics, None);
    match args.listing.format() {
        Format::Json => output::document(&Document {
            samples: samples.json().collect(),
            metrics: metrics.json().collect(),
        })?,
        Format::Human => print(&samples, &metrics)?,
    }
    Ok(Exit::Fine)
}

fn print(samples: &Listing<StoredSample>, metrics: &Listing<StoredMetric>) -> Result<()> {
    if samples.rows.is_empty() && metrics.rows.is_empty() {
        output::note("no readings match");
        return Ok(());
    }
    if !samples.rows.is_empty() {
        samples.print_table()?;
    }
    if !samples.rows.is_empty() && !metrics.rows.is_empty() {
        output::blank_line()?;
    }
    if !metrics.rows.is_empty() {
        metrics.print_table()?;
    }
    Ok(())
}

impl<'a> From<&'a StoredSample> for Sample<'a> {
    fn from(sample: &'a StoredSample) -> Self {
        Self {
            id: sample.id,
            timestamp: iso(sample.at),
            app_name: &sample.app_name,
            process_name: &sample.process_name,
            pid: sample.pid,
            cpu_percent: sample.cpu_percent,
            memory_mb: sample.memory_mb,
            threads: sample.threads,
            measures: MeasuresJson(&sample.measures),
        }
    }
}

impl<'a> From<&'a StoredMetric> for Metric<'a> {
    fn from(metric: &'a StoredMetric) -> Self {
        Self {
            id: metric.id,
            timestamp: iso(metric.at),
            app_name: &metric.app_name,
            pid: metric.pid,
            name: &metric.name,
            value: metric.value,
            unit: &metric.unit,
            attributes: attributes(metric.attributes.as_deref()),
        }
    }
}

impl Listed for StoredSample {
    const WHAT: &'static str = "samples";
    type Json<'a> = Sample<'a>;

    fn id(&self) -> i64 {
        self.id
    }
}

impl Tabled for StoredSample {
    const COLUMNS: &'static [(&'static str, Align)] = &[
        ("TIME", Align::Left),
        ("CPU %", Align::Right),
        ("MEMORY MB", Align::Right),
        ("THREADS", Align::Right),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
        ("RECEIVED", Align::Right),
        ("SENT", Align::Right),
        ("FDS", Align::Right),
        ("PID", Align::Right),
        ("APP", Align::Left),
    ];

    fn cells(&self) -> Vec<Cell> {
        let shown = |measure| Cell::from(format::measure(measure, self.measures.get(measure)));
        vec![
            Cell::toned(&local(self.at), Tone::Faint),
            format!("{:.1}", self.cpu_percent).into(),
            format!("{:.1}", self.memory_mb).into(),
            self.threads.to_string().into(),
            shown(Measure::DiskReadRate),
            shown(Measure::DiskWriteRate),
            shown(Measure::NetworkReceiveRate),
            shown(Measure::NetworkSendRate),
            shown(Measure::Descriptors),
            self.pid.to_string().into(),
            Cell::from(&self.app_name),
        ]
    }
}

impl Listed for StoredMetric {
    const WHAT: &'static str = "metrics";
    type Json<'a> = Metric<'a>;

    fn id(&self) -> i64 {
        self.id
    }
}

impl Tabled for StoredMetric {
    const COLUMNS: &'static [(&'static str, Align)] = &[
        ("TIME", Align::Left),
        ("APP", Align::Left),
        ("PID", Align::Right),
        ("VALUE", Align::Right),
        ("UNIT", Align::Left),
        ("METRIC", Align::Left),
    ];

    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::toned(&local(self.at), Tone::Faint),
            Cell::from(&self.app_name),
            self.pid.to_string().into(),
            self.value.to_string().into(),
            Cell::from(&self.unit),
            named(&self.name, self.attributes.as_deref()).into(),
        ]
    }
}

fn attributes(json: Option<&str>) -> Option<Object> {
    serde_json::from_str(json?).ok()
}

/// `queue_depth {queue=orders}`
pub(crate) fn named(name: &str, json: Option<&str>) -> String {
    let Some(Object(attributes)) = attributes(json) else {
        return name.to_owned();
    };
    let pairs: Vec<String> = attributes
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        })
        .collect();
    format!("{name} {{{}}}", pairs.join(", "))
}
