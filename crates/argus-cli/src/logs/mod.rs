//! `argus logs`: recorded log lines.
//!
//! - [`sieve`]: which lines are meant; [`page`]: a page of them; [`around`]: the rest of their events,
//!   and context.
//! - [`show`]: how they are printed; [`follow`]: as they come.
//! - [`correlate`]: everything with an id in it, [`calls`] included; [`templates`]: similar lines as one.

mod around;
mod calls;
mod correlate;
mod follow;
mod page;
mod show;
mod sieve;
pub(crate) mod templates;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_observe::platform::{Signal, Signals};
use argus_store::Store;
use argus_store::query::StoredLog;

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::listing::{CursorArgs, Listed, ListingArgs};
use crate::open::open_store;
use crate::output::{self, Format, grouped};
use around::{ContextArgs, Surroundings};
use page::Found;
use show::{By, Looks};
use sieve::{Sieve, SieveArgs};

pub(crate) use show::{Line, tone};

/// List recorded log lines, the newest last
///
/// A line that is shown brings the rest of its event with it, such as the stack trace behind an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus logs --since 5m
  argus logs -f --level warn                what goes wrong, as it goes wrong
  argus logs --app SnakeGame --grep 'out of memory' -C 3
  argus logs --regex '(?i)time[d ]?out' --source stderr --limit 1000 --json
  argus logs --by said                      several files, merged by the times in their lines
  argus logs --correlation 4bf92f3577b34da6   every line and call with this id, of all programs
  argus logs --templates                    similar lines as one, the most frequent first
  argus logs --template 12                  the lines of one of these

JSON is an array; with --follow an object a line. What is shown for a line nearby has \"context\": true.
Ctrl-C ends --follow, with the exit code 0; it ends a search with --regex, which shows what it found so
far, with 1.")]
pub(crate) struct Args {
    #[command(flatten)]
    sieve: SieveArgs,
    /// Print the newest lines, then each one that comes, until Ctrl-C
    #[arg(long, short, conflicts_with_all = ["before", "until"])]
    follow: bool,
    #[command(flatten)]
    context: ContextArgs,
    /// Order lines by this time, and show it; with --follow, those that come together
    #[arg(long, value_name = "TIME", default_value = "captured")]
    by: By,
    /// All lines with this id in them (a trace_id, request_id and so on), of all programs, in between
    /// the calls they belong to; the newest 10,000 lines unless --limit says otherwise
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["follow", "before", "after", "context", "before_context", "after_context"]
    )]
    correlation: Option<String>,
    /// Similar lines as one: how many, how many a minute, the first and the last; --grep looks through
    /// the templates
    #[arg(
        long,
        conflicts_with_all = [
            "follow", "before", "after", "context", "before_context", "after_context", "correlation",
            "regex", "level", "source", "template", "pid", "app",
        ]
    )]
    templates: bool,
    #[command(flatten)]
    cursor: CursorArgs,
    #[command(flatten)]
    listing: ListingArgs,
}

/// Prints the lines.
pub(crate) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    if args.templates {
        return templates::run(args, data);
    }
    let sieve = Sieve::of(&args.sieve, &args.listing, args.correlation.as_deref())?;
    if args.follow {
        return follow::run(args, &sieve, data);
    }
    let store = open_store(data)?;
    if args.correlation.is_some() {
        return correlate::run(args, &sieve, &*store);
    }
    let found = search(args, &sieve, &*store)?;
    if found.rows.is_empty() {
        refuse_unknown_template(args.sieve.template, &*store)?;
    }
    let rest = found.rest;
    let listing = args.listing.in_reading_order(found.rows, Some(args.cursor));
    print(args, &sieve, &*store, listing.rows.clone())?;
    if args.listing.format() == Format::Human {
        listing.tell_end();
    }
    let Some(rest) = rest else {
        return Ok(Exit::Fine);
    };
    let (looked, onward) = (grouped(rest.looked), args.cursor.onward(rest.id));
    output::note(&format!("ended after {looked} lines; {onward} goes on"));
    Ok(Exit::NotFound)
}

/// A page of the lines that are meant, which Ctrl-C cuts short.
fn search(args: &Args, sieve: &Sieve, store: &dyn Store) -> Result<Found> {
    let page = args.listing.page(Some(args.cursor));
    if sieve.regex.is_none() {
        return page::read(store, sieve, page, &mut || false);
    }
    let keys = Signals::collect(&[Signal::INT])?;
    page::read(store, sieve, page, &mut || keys.next().is_some())
}

fn print(args: &Args, sieve: &Sieve, store: &dyn Store, rows: Vec<StoredLog>) -> Result<()> {
    let context = args.context.context();
    let mut groups = Surroundings::new(store, context, sieve).around(rows, i64::MAX)?;
    args.by.order(&mut groups);
    let looks = Looks {
        by: args.by,
        context: context.is_wanted(),
        levels: false,
    };
    show::all(&groups, args.listing.format(), looks)
}

/// That no line fits a template that does not exist is no answer.
fn refuse_unknown_template(template: Option<i64>, store: &dyn Store) -> Result<()> {
    let Some(id) = template else {
        return Ok(());
    };
    if store.log_templates()?.iter().any(|known| known.id == id) {
        return Ok(());
    }
    let refusal = Refusal::new(Exit::NotFound, format!("there is no template {id}"));
    Err(refusal.hint("argus logs --templates").into())
}

impl Listed for StoredLog {
    const WHAT: &'static str = "log lines";
    type Json<'a> = Line<'a>;

    fn id(&self) -> i64 {
        self.id
    }
}
