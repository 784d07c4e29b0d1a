//! What the listings share: whose rows, from when, how many, and how they are printed.

use std::num::NonZeroUsize;

use anyhow::Result;
use argus_store::query::{Page, ProcessFilter};
use serde::Serialize;

use crate::args::{FormatArgs, TimeArgs};
use crate::failure::Refusal;
use crate::output::{self, Align, Cell, Format, Screen, Table};

/// Which rows, and for whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListingArgs {
    /// Only this process id
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Only this application
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<String>,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// The newest N, the newest of them last
    #[arg(long, short = 'n', value_name = "N", default_value = "50")]
    limit: NonZeroUsize,
    #[command(flatten)]
    format: FormatArgs,
}

impl ListingArgs {
    /// Rows about these processes, in this stretch, that contain this text.
    pub(crate) fn filter(&self, text: Option<&str>) -> Result<ProcessFilter, Refusal> {
        Ok(ProcessFilter {
            time: self.time.range()?,
            pid: self.pid,
            app_name: self.app.clone(),
            text: text.map(str::to_owned),
        })
    }

    /// One row more than asked for, so that a cut can be told.
    pub(crate) fn page(&self) -> Page {
        Page::newest(self.limit.get().saturating_add(1))
    }

    /// Brings rows that were read with [`page`](Self::page) into reading order: oldest first.
    pub(crate) fn in_reading_order<T>(&self, mut newest_first: Vec<T>) -> Listing<T> {
        let cut = newest_first.len() > self.limit.get();
        newest_first.truncate(self.limit.get());
        newest_first.reverse();
        Listing {
            rows: newest_first,
            cut,
        }
    }

    /// For whom to print.
    pub(crate) fn format(&self) -> Format {
        self.format.format()
    }
}

/// A row as listings show it.
pub(crate) trait Listed {
    /// What several of them are called.
    const WHAT: &'static str;
    /// The columns of the table, with as many [`cells`](Self::cells).
    const COLUMNS: &'static [(&'static str, Align)];
    /// The row as JSON tells it.
    type Json<'a>: Serialize + From<&'a Self>
    where
        Self: 'a;

    /// The row as people read it.
    fn cells(&self) -> Vec<Cell>;
}

/// Rows in the order they are read.
#[derive(Debug)]
pub(crate) struct Listing<T> {
    /// Oldest first.
    pub(crate) rows: Vec<T>,
    /// There are older ones that match.
    cut: bool,
}

impl<T: Listed> Listing<T> {
    /// Prints everything.
    pub(crate) fn print(&self, format: Format) -> Result<()> {
        match format {
            Format::Json => output::array(self.json()),
            Format::Human => self.print_table(),
        }
    }

    /// The rows as JSON tells them.
    pub(crate) fn json(&self) -> impl Iterator<Item = T::Json<'_>> {
        self.rows.iter().map(T::Json::from)
    }

    /// Prints the rows as a table, and on standard error that this is nothing or not everything.
    pub(crate) fn print_table(&self) -> Result<()> {
        let mut table = Table::new(T::COLUMNS.iter().copied());
        for row in &self.rows {
            table.row(row.cells());
        }
        table.print(Screen::of_stdout())?;
        let what = T::WHAT;
        if self.rows.is_empty() {
            output::note(&format!("no {what} match"));
        } else if self.cut {
            let shown = self.rows.len();
            output::note(&format!("the newest {shown} {what}; --limit N shows more"));
        }
        Ok(())
    }
}
