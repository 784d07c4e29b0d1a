//! `argus logs --follow`: every line that is meant, as it is committed.
//!
//! Between two looks only what was committed meanwhile is read, whether it is meant or not. The end
//! comes by Ctrl-C, SIGTERM, a hang-up, or with whoever reads standard output; a thread waits for all
//! of them.

use std::io::{self, Stdout};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use argus_model::paths::DataDir;
use argus_observe::platform::{Signal, Signals};
use argus_read::{Follower, Wake};
use argus_store::Store;
use argus_store::query::{LogFilter, Page, StoredLog};
use rustix::event::{PollFd, PollFlags, poll};

use super::Args;
use super::around::Surroundings;
use super::page::{self, CHUNK};
use super::show::{By, Looks, Printer};
use super::sieve::Sieve;
use crate::exit::Exit;
use crate::keeper;
use crate::listing::LIMIT;
use crate::open::store_if_any;
use crate::output;

/// How often a store is looked for that does not exist yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest wait for a commit; nothing happens at its end.
const LONG: Duration = Duration::from_secs(3_600);

/// Prints lines until the end.
pub(super) fn run(args: &Args, sieve: &Sieve, data: &DataDir) -> Result<Exit> {
    // Before any thread starts: they are to have these signals blocked as well.
    let signals = Signals::collect(&[Signal::INT, Signal::TERM, Signal::HUP])?;
    keeper::catch_up(data)?;
    keeper::keep(data)?;
    let mut follower = Follower::bind(data).context("cannot follow the database")?;
    let ended = watch_for_end(signals, &follower)?;
    let Some(store) = await_store(data, &mut follower, &ended)? else {
        return Ok(Exit::Fine);
    };
    let mut reading = Reading::new(args, sieve, &*store, &ended);
    reading.begin(args)?;
    while !ended.load(Ordering::Relaxed) {
        if follower.wait(Some(&*store), LONG)? == Wake::Committed {
            reading.go_on()?;
        }
    }
    Ok(Exit::Fine)
}

/// A flag that is set at the end, after which the follower is woken.
fn watch_for_end(signals: Signals, follower: &Follower) -> Result<Arc<AtomicBool>> {
    let waker = follower.waker().context("cannot follow the database")?;
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::Builder::new()
        .name("end".into())
        .spawn(move || {
            await_end(&signals, &io::stdout());
            flag.store(true, Ordering::Relaxed);
            waker.wake();
        })
        .context("cannot start a thread")?;
    Ok(ended)
}

/// Returns when a signal has arrived, or nobody reads standard output any more.
fn await_end(signals: &Signals, out: &Stdout) {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            // Asked for nothing, it still tells that its other end is gone.
            PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) | Ok(0) => {}
            // What cannot be waited for would never end.
            Err(_) | Ok(_) => return,
        }
    }
}

/// The store, as soon as there is one; none at the end.
fn await_store(
    data: &DataDir,
    follower: &mut Follower,
    ended: &AtomicBool,
) -> Result<Option<Box<dyn Store>>> {
    let mut is_told = false;
    while !ended.load(Ordering::Relaxed) {
        if let Some(store) = store_if_any(data)? {
            return Ok(Some(store));
        }
        if !is_told {
            output::note("nothing recorded yet; waiting");
            is_told = true;
        }
        follower.wait(None, LOOK_EVERY)?;
    }
    Ok(None)
}

/// How far the lines have been read.
struct Reading<'a> {
    store: &'a dyn Store,
    sieve: &'a Sieve,
    ended: &'a AtomicBool,
    by: By,
    surroundings: Surroundings<'a>,
    printer: Printer,
    /// All lines up to this id were looked at.
    seen: i64,
}

impl<'a> Reading<'a> {
    fn new(args: &Args, sieve: &'a Sieve, store: &'a dyn Store, ended: &'a AtomicBool) -> Self {
        let context = args.context.context();
        let looks = Looks {
            by: args.by,
            context: context.is_wanted(),
            // Who knows what comes.
            levels: true,
        };
        Self {
            store,
            sieve,
            ended,
            by: args.by,
            surroundings: Surroundings::new(store, context, sieve),
            printer: Printer::new(args.listing.format(), looks),
            seen: 0,
        }
    }

    /// Prints the newest page, unless a line is named after which to begin.
    fn begin(&mut self, args: &Args) -> Result<()> {
        if let Some(after) = args.cursor.after() {
            self.seen = after;
            return Ok(());
        }
        self.seen = self.newest()?;
        let page = Page::newest(args.listing.limit_or(LIMIT));
        let is_ended = &mut || self.ended.load(Ordering::Relaxed);
        let found = page::read(self.store, self.sieve, page, is_ended)?;
        if found.rows.is_empty() {
            output::note("no log lines match yet; waiting for the next ones");
        }
        let last = found.rows.iter().map(|log| log.id).max();
        self.seen = self.seen.max(last.unwrap_or(0));
        self.show(found.rows, self.seen)
    }

    /// Prints what has come.
    fn go_on(&mut self) -> Result<()> {
        while !self.ended.load(Ordering::Relaxed) {
            let newest = self.newest()?;
            let page = Page::following(self.seen, CHUNK);
            let mut rows = self.store.logs(&self.sieve.filter, page)?;
            let is_all = rows.len() < CHUNK;
            let last = rows.last().map_or(self.seen, |log| log.id);
            // Lines between the last that passed and the newest did not pass.
            let horizon = if is_all { last.max(newest) } else { last };
            rows.retain(|log| self.sieve.passes(log));
            self.show(rows, horizon)?;
            self.seen = horizon;
            if is_all {
                break;
            }
        }
        Ok(())
    }

    fn show(&mut self, rows: Vec<StoredLog>, horizon: i64) -> Result<()> {
        let mut groups = self.surroundings.around(rows, horizon)?;
        if groups.is_empty() {
            // Not even headings, which are as wide as the first lines need them.
            return Ok(());
        }
        self.by.order(&mut groups);
        self.printer.print(&groups)
    }

    fn newest(&self) -> Result<i64> {
        let newest = self.store.logs(&LogFilter::default(), Page::newest(1))?;
        Ok(newest.first().map_or(0, |log| log.id))
    }
}
