//! What the listings share: whose rows, from when, how many, and how they are printed.

use std::num::NonZeroUsize;

use anyhow::Result;
use argus_store::query::{Order, Page, ProcessFilter};
use serde::Serialize;

use crate::args::{FormatArgs, TimeArgs};
use crate::failure::Refusal;
use crate::output::{self, Align, Cell, Format, Screen, Table};

/// How many rows a listing shows when nobody says.
pub(crate) const LIMIT: usize = 50;

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
    /// The newest N, the newest of them last [default: 50]
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    format: FormatArgs,
}

/// Where a listing goes on. A page costs the same however far it is from the newest row.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct CursorArgs {
    /// The newest of those recorded before the one with this id
    #[arg(long, value_name = "ID", conflicts_with = "after")]
    before: Option<i64>,
    /// The oldest of those recorded after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
}

impl CursorArgs {
    /// The row to go on after, towards newer ones.
    pub(crate) fn after(self) -> Option<i64> {
        self.after
    }

    /// The option that goes on after a row, in the direction of this listing.
    pub(crate) fn onward(self, id: i64) -> String {
        match self.order() {
            Order::Newest => format!("--before {id}"),
            Order::Oldest => format!("--after {id}"),
        }
    }

    fn order(self) -> Order {
        match self.after {
            Some(_) => Order::Oldest,
            None => Order::Newest,
        }
    }
}

impl ListingArgs {
    /// Rows about these processes, in this stretch, that contain this text.
    pub(crate) fn filter(&self, text: Option<&str>) -> Result<ProcessFilter, Refusal> {
        Ok(ProcessFilter {
            time: self.time.range()?,
            run: None,
            pid: self.pid,
            app_name: self.app.clone(),
            text: text.map(str::to_owned),
        })
    }

    /// How many rows are wanted, where that is said; else so many.
    pub(crate) fn limit_or(&self, usual: usize) -> usize {
        self.limit.map_or(usual, NonZeroUsize::get)
    }

    /// One row more than asked for, so that a cut can be told.
    pub(crate) fn page(&self, cursor: Option<CursorArgs>) -> Page {
        Page {
            order: cursor.map_or(Order::Newest, CursorArgs::order),
            after: cursor.and_then(|cursor| cursor.before.or(cursor.after)),
            limit: self.limit_or(LIMIT).saturating_add(1),
        }
    }

    /// Brings rows that were read with [`page`](Self::page) into reading order: oldest first.
    pub(crate) fn in_reading_order<T>(
        &self,
        mut rows: Vec<T>,
        cursor: Option<CursorArgs>,
    ) -> Listing<T> {
        let limit = self.limit_or(LIMIT);
        let cut = rows.len() > limit;
        rows.truncate(limit);
        if self.page(cursor).order == Order::Newest {
            rows.reverse();
        }
        Listing { rows, cut, cursor }
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
    /// The row as JSON tells it.
    type Json<'a>: Serialize + From<&'a Self>
    where
        Self: 'a;

    /// By which it is told from others, and paged.
    fn id(&self) -> i64;
}

/// A row of a table in which each row stands for itself.
pub(crate) trait Tabled: Listed {
    /// The columns of the table, with as many [`cells`](Self::cells).
    const COLUMNS: &'static [(&'static str, Align)];

    /// The row as people read it.
    fn cells(&self) -> Vec<Cell>;
}

/// Rows in the order they are read.
#[derive(Debug)]
pub(crate) struct Listing<T> {
    /// Oldest first.
    pub(crate) rows: Vec<T>,
    /// There are more that match, in the direction of the listing.
    cut: bool,
    /// Where it began; absent for what cannot be paged.
    cursor: Option<CursorArgs>,
}

impl<T: Tabled> Listing<T> {
    /// Prints everything.
    pub(crate) fn print(&self, format: Format) -> Result<()> {
        match format {
            Format::Json => output::array(self.json()),
            Format::Human => self.print_table(),
        }
    }

    /// Prints the rows as a table, and on standard error that this is nothing or not everything.
    pub(crate) fn print_table(&self) -> Result<()> {
        let mut table = Table::new(T::COLUMNS.iter().copied());
        for row in &self.rows {
            table.row(row.cells());
        }
        table.print(Screen::of_stdout())?;
        self.tell_end();
        Ok(())
    }
}

impl<T: Listed> Listing<T> {
    /// The rows as JSON tells them.
    pub(crate) fn json(&self) -> impl Iterator<Item = T::Json<'_>> {
        self.rows.iter().map(T::Json::from)
    }

    /// Says on standard error that this is nothing or not everything.
    pub(crate) fn tell_end(&self) {
        if self.rows.is_empty() {
            output::note(&format!("no {} match", T::WHAT));
        } else if self.cut {
            output::note(&self.told_cut());
        }
    }

    fn told_cut(&self) -> String {
        let (shown, what) = (self.rows.len(), T::WHAT);
        let order = self.cursor.map_or(Order::Newest, CursorArgs::order);
        let (end, last) = match order {
            Order::Newest => ("newest", self.rows.first()),
            Order::Oldest => ("oldest", self.rows.last()),
        };
        let mut told = format!("the {end} {shown} {what}; --limit N shows more");
        if let Some((cursor, last)) = self.cursor.zip(last) {
            let onward = cursor.onward(last.id());
            told.push_str(&format!(", {onward} the next ones"));
        }
        told
    }
}
