//! `argus export`: everything stored as one JSON object a line, also from a damaged database.
//!
//! Rows are read in pages, in the order they were committed, so the export of a store that is
//! being written neither holds it up nor needs memory. A damaged database is first saved row by
//! row into a new one, which then is exported or kept.

pub(crate) mod rows;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use argus_model::paths::DataDir;
use argus_store::query::{Page, ProcessFilter, SpanFilter, TimeRange};
use argus_store::salvage::Salvaged;
use argus_store::{ReadError, Store};
use serde::Serialize;

use crate::args::TimeArgs;
use crate::exit::Exit;
use crate::logs::Line;
use crate::logs::templates::{self, Template};
use crate::metrics::{Metric, Sample};
use crate::open::open_store;
use crate::output::{self, grouped};
use crate::progress::Progress;
use crate::traces::Span;
use rows::{Event, ProcessEvent, Run, Session};

/// Rows read at once.
const PAGE: usize = 1_000;

/// Write everything stored as JSON, one object a line
///
/// Every line has a "kind": run, span, sample, log, log_template, process_event, metric, session,
/// session_event.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus export > everything.ndjson
  argus export --since 1h hour.ndjson
  argus export --salvage saved.ndjson     what can be read of a damaged database
  argus export --salvage --into new.db    the same, as a database")]
pub(crate) struct Args {
    /// Write to this new file instead of standard output
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    time: TimeArgs,
    /// Read what can be read of a damaged database, row by row; exit code 1 when rows are lost
    #[arg(long)]
    salvage: bool,
    /// Keep what was saved in this new database instead of exporting it
    #[arg(long, value_name = "DB", requires = "salvage", conflicts_with = "file")]
    into: Option<PathBuf>,
}

#[derive(Serialize)]
struct Record<T> {
    kind: &'static str,
    #[serde(flatten)]
    row: T,
}

/// Writes everything.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let time = args.time.range()?;
    if !args.salvage {
        let store = open_store(data)?;
        write(&*store, time, args.file.as_deref())?;
        return Ok(Exit::Fine);
    }
    if let Some(into) = &args.into {
        return Ok(report(&save(data.database(), into)?));
    }
    // Beside the database: there it is ours alone, and there is likely to be room.
    let temporary = data
        .database()
        .with_extension(format!("salvage-{}.db", std::process::id()));
    let exported = save(data.database(), &temporary).and_then(|salvaged| {
        let store = argus_store::open_reader(&temporary)?;
        write(&*store, time, args.file.as_deref())?;
        Ok(report(&salvaged))
    });
    for suffix in ["", "-wal", "-shm"] {
        let mut name = temporary.clone().into_os_string();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                output::note(&format!("cannot remove {}", Path::new(&name).display()));
            }
            _ => {}
        }
    }
    exported
}

fn save(damaged: &Path, into: &Path) -> Result<Salvaged> {
    let mut progress = Progress::new();
    let salvaged = argus_store::salvage(damaged, into, &mut |table, rows| {
        progress.show(|| format!("saving {table}: {} rows", grouped(rows)));
        ControlFlow::Continue(())
    })?;
    Ok(salvaged)
}

/// Tells, on standard error, what became of the rows.
fn report(salvaged: &Salvaged) -> Exit {
    for table in &salvaged.tables {
        if table.lost + table.doubtful > 0 {
            output::note(&format!(
                "{}: {} rows saved, {} lost, {} of those saved may be wrong",
                table.table,
                grouped(table.saved),
                grouped(table.lost),
                grouped(table.doubtful)
            ));
        }
    }
    output::note(&format!(
        "{} rows saved, {} lost, {} may be wrong",
        grouped(salvaged.saved()),
        grouped(salvaged.lost()),
        grouped(salvaged.doubtful())
    ));
    if salvaged.lost() + salvaged.doubtful() > 0 {
        Exit::NotFound
    } else {
        Exit::Fine
    }
}

fn write(store: &dyn Store, time: TimeRange, file: Option<&Path>) -> Result<()> {
    match file {
        None => Export::new(store, time, io::stdout().lock()).run(),
        Some(path) => {
            let file = create(path).with_context(|| format!("cannot make {}", path.display()))?;
            Export::new(store, time, file).run()
        }
    }
}

/// What was recorded may be private, and what is there already is not ours to overwrite.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

struct Export<'a, W: Write> {
    store: &'a dyn Store,
    time: TimeRange,
    out: BufWriter<W>,
    progress: Progress,
    rows: u64,
}

impl<'a, W: Write> Export<'a, W> {
    fn new(store: &'a dyn Store, time: TimeRange, out: W) -> Self {
        Self {
            store,
            time,
            out: BufWriter::new(out),
            progress: Progress::new(),
            rows: 0,
        }
    }

    fn run(mut self) -> Result<()> {
        let store = self.store;
        let filter = ProcessFilter {
            time: self.time,
            ..ProcessFilter::default()
        };
        let spans = SpanFilter {
            time: self.time,
            ..SpanFilter::default()
        };
        // A run matters to its rows, whenever it began.
        let every = ProcessFilter::default();
        self.pages(
            |page| store.runs(&every, page),
            |export, row| export.record("run", row.id, Run::from(row)),
        )?;
        self.pages(
            |page| store.spans(&spans, page),
            |export, row| export.record("span", row.id, Span::from(row)),
        )?;
        self.pages(
            |page| store.samples(&filter, page),
            |export, row| export.record("sample", row.id, Sample::from(row)),
        )?;
        self.pages(
            |page| store.logs(&filter.clone().into(), page),
            |export, row| export.record("log", row.id, Line::from(row)),
        )?;
        for template in store.log_templates()? {
            if templates::touches(&template, self.time) {
                self.record("log_template", template.id, Template::from(&template))?;
            }
        }
        self.pages(
            |page| store.process_events(&filter, page),
            |export, row| export.record("process_event", row.id, ProcessEvent::from(row)),
        )?;
        self.pages(
            |page| store.metrics(&filter, page),
            |export, row| export.record("metric", row.id, Metric::from(row)),
        )?;
        self.sessions()?;
        self.out.flush()?;
        Ok(())
    }

    /// Writes a table, a page at a time.
    fn pages<T>(
        &mut self,
        read: impl Fn(Page) -> Result<Vec<T>, ReadError>,
        write: impl Fn(&mut Self, &T) -> Result<i64>,
    ) -> Result<()> {
        let mut after = i64::MIN;
        loop {
            let rows = read(Page::following(after, PAGE))?;
            for row in &rows {
                after = write(self, row)?;
            }
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn sessions(&mut self) -> Result<()> {
        let store = self.store;
        let mut sessions = store.sessions(usize::MAX)?;
        sessions.reverse();
        for session in &sessions {
            let mut after = 0;
            let mut told = false;
            loop {
                let events = store.session_events(&session.session, after, PAGE)?;
                for event in &events {
                    after = event.seq;
                    if !self.time.contains(event.at) {
                        continue;
                    }
                    if !told {
                        self.record("session", 0, Session::from(session))?;
                        told = true;
                    }
                    self.record("session_event", 0, Event::from(event))?;
                }
                if events.len() < PAGE {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes one line; gives the row's id back, to go on from.
    fn record(&mut self, kind: &'static str, id: i64, row: impl Serialize) -> Result<i64> {
        serde_json::to_writer(&mut self.out, &Record { kind, row })?;
        self.out.write_all(b"\n")?;
        self.rows += 1;
        let rows = self.rows;
        self.progress
            .show(|| format!("writing {kind}: {} rows", grouped(rows)));
        Ok(id)
    }
}
