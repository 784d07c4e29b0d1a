//! What stands around a line: the rest of its event, and as many lines of context as are asked for.
//!
//! Lines follow one another in a [`Stream`], the output or one file of one process; lines of other
//! streams that were captured in between are no context. Of a stream, at most [`REACH`] lines are
//! looked through for what belongs to one hit.
//!
//! Hits come in batches, each up to a horizon; what a hit is owed and is not stored yet is given with
//! the batch that brings it.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use argus_store::query::{LogFilter, Order, Page, ProcessFilter, StoredLog};
use argus_store::{ReadError, Store};

use super::sieve::Sieve;

/// Lines looked through for what belongs to one hit.
const REACH: usize = 20_000;
/// Lines read at once, at least and at most.
const CHUNKS: (usize, usize) = (8, 4_096);
/// Lines of one event shown before a hit in it.
const EVENT: usize = 1_000;

/// Lines of context around each line that is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct ContextArgs {
    /// Show N lines of the same output or file before and behind each line, as grep does
    #[arg(
        short = 'C',
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true
    )]
    context: usize,
    /// Show N lines before each line
    #[arg(short = 'B', long, value_name = "N")]
    before_context: Option<usize>,
    /// Show N lines behind each line
    #[arg(short = 'A', long, value_name = "N")]
    after_context: Option<usize>,
}

impl ContextArgs {
    /// What they mean together.
    pub(super) fn context(&self) -> Context {
        Context {
            before: self.before_context.unwrap_or(self.context),
            after: self.after_context.unwrap_or(self.context),
        }
    }
}

/// How many lines before and behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    before: usize,
    after: usize,
}

impl Context {
    /// Whether any is wanted.
    pub(super) fn is_wanted(self) -> bool {
        self.before > 0 || self.after > 0
    }
}

/// Where lines follow one another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stream {
    pid: u32,
    app_name: String,
    source: String,
    path: Option<String>,
}

impl Stream {
    /// The one that a line stands in.
    pub(super) fn of(log: &StoredLog) -> Self {
        Self {
            pid: log.pid,
            app_name: log.app_name.clone(),
            source: log.source.clone(),
            path: log.path.clone(),
        }
    }

    /// Asks for its lines and those of the process's other files.
    fn filter(&self) -> LogFilter {
        LogFilter {
            of: ProcessFilter {
                pid: Some(self.pid),
                app_name: Some(self.app_name.clone()),
                ..ProcessFilter::default()
            },
            source: Some(self.source.clone()).filter(|source| !source.is_empty()),
            ..LogFilter::default()
        }
    }
}

/// Why a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is meant.
    Hit,
    /// It stands near one that is.
    Context,
}

/// Lines of one stream that follow one another.
#[derive(Debug)]
pub(super) struct Group {
    /// In the order of the stream; never empty.
    pub(super) lines: Vec<(StoredLog, Role)>,
    /// Nothing is left out between them and what was shown of the stream before.
    pub(super) adjoins: bool,
}

/// A group for each event.
fn events(mut rows: Vec<StoredLog>) -> Vec<Group> {
    rows.sort_by_key(|log| log.id);
    let (mut groups, mut of): (Vec<Group>, HashMap<Stream, usize>) = (Vec::new(), HashMap::new());
    for log in rows {
        let stream = Stream::of(&log);
        let event = of.get(&stream).filter(|_| log.continues > 0);
        if let Some(&event) = event {
            groups[event].lines.push((log, Role::Hit));
            continue;
        }
        of.insert(stream, groups.len());
        groups.push(Group {
            lines: vec![(log, Role::Hit)],
            adjoins: true,
        });
    }
    groups
}

/// How far a stream has been shown.
#[derive(Debug, Clone, Copy, Default)]
struct Trail {
    /// The last line shown.
    last: Option<i64>,
    /// Up to where its lines were looked at.
    looked: i64,
    /// Lines of context that are still to come.
    owed: usize,
    /// The next line may belong to the event of the last.
    in_event: bool,
}

impl Trail {
    fn is_open(&self) -> bool {
        self.owed > 0 || self.in_event
    }
}

/// Finds what stands around lines, and shows none twice.
pub(super) struct Surroundings<'a> {
    store: &'a dyn Store,
    context: Context,
    /// Lines next to those that are meant may be missing.
    is_torn: bool,
    trails: HashMap<Stream, Trail>,
}

impl<'a> Surroundings<'a> {
    /// Nothing was shown yet of the lines that this sieve lets pass.
    pub(super) fn new(store: &'a dyn Store, context: Context, sieve: &Sieve) -> Self {
        Self {
            store,
            context,
            is_torn: sieve.is_selective() || context.is_wanted(),
            trails: HashMap::new(),
        }
    }

    /// These hits with what stands around them, and what earlier ones are still owed. They are all
    /// there are up to the horizon, an id.
    pub(super) fn around(
        &mut self,
        hits: Vec<StoredLog>,
        horizon: i64,
    ) -> Result<Vec<Group>, ReadError> {
        if !self.is_torn {
            return Ok(events(hits));
        }
        let mut streams: BTreeMap<Stream, Vec<StoredLog>> = BTreeMap::new();
        for (stream, _) in self.trails.iter().filter(|(_, trail)| trail.is_open()) {
            streams.entry(stream.clone()).or_default();
        }
        for hit in hits {
            streams.entry(Stream::of(&hit)).or_default().push(hit);
        }
        let mut groups = Vec::new();
        for (stream, mut hits) in streams {
            hits.sort_by_key(|hit| hit.id);
            groups.append(&mut self.of_stream(stream, hits, horizon)?);
        }
        Ok(groups)
    }

    fn of_stream(
        &mut self,
        stream: Stream,
        hits: Vec<StoredLog>,
        horizon: i64,
    ) -> Result<Vec<Group>, ReadError> {
        let mut trail = self.trails.get(&stream).copied().unwrap_or_default();
        let mut ends: Vec<i64> = hits.iter().map(|hit| hit.id - 1).collect();
        ends.push(horizon);
        let lines = self.behind(&stream, &mut trail, ends[0])?;
        let rest = Group {
            lines,
            adjoins: true,
        };
        let mut groups: Vec<Group> = Some(rest)
            .filter(|it| !it.lines.is_empty())
            .into_iter()
            .collect();
        for (hit, &end) in hits.into_iter().zip(&ends[1..]) {
            let (mut lines, adjoins) = self.ahead(&stream, &hit, trail.last)?;
            trail = Trail {
                last: Some(hit.id),
                looked: hit.id,
                owed: self.context.after,
                in_event: true,
            };
            lines.push((hit, Role::Hit));
            lines.append(&mut self.behind(&stream, &mut trail, end)?);
            let is_one = adjoins && (self.context.is_wanted() || lines[0].0.continues > 0);
            match groups.last_mut() {
                Some(group) if is_one => group.lines.append(&mut lines),
                _ => groups.push(Group { lines, adjoins }),
            }
        }
        self.trails.insert(stream, trail);
        Ok(groups)
    }

    /// The lines before a hit, behind the last one shown, and whether they adjoin that.
    fn ahead(
        &self,
        stream: &Stream,
        hit: &StoredLog,
        shown: Option<i64>,
    ) -> Result<(Vec<(StoredLog, Role)>, bool), ReadError> {
        let (before, mut in_event) = (self.context.before, hit.continues > 0);
        let of_event = usize::try_from(hit.continues).map_or(EVENT, |lines| lines.min(EVENT));
        let wanted = before.max(of_event);
        let (mut lines, mut adjoins) = (Vec::new(), false);
        if wanted == 0 && (shown.is_none() || !self.context.is_wanted()) {
            return Ok((lines, adjoins));
        }
        let from = (Order::Newest, hit.id);
        self.walk(stream, from, wanted, |row| {
            adjoins = shown.is_some_and(|shown| row.id <= shown);
            let is_wanted = lines.len() < before || (in_event && lines.len() < wanted);
            if adjoins || !is_wanted {
                return ControlFlow::Break(());
            }
            in_event &= row.continues > 0;
            lines.push((row, Role::Context));
            ControlFlow::Continue(())
        })?;
        lines.reverse();
        Ok((lines, adjoins))
    }

    /// The lines that a trail is owed, up to this id.
    fn behind(
        &self,
        stream: &Stream,
        trail: &mut Trail,
        end: i64,
    ) -> Result<Vec<(StoredLog, Role)>, ReadError> {
        let mut lines = Vec::new();
        if !trail.is_open() || trail.looked >= end {
            return Ok(lines);
        }
        let from = (Order::Oldest, trail.looked);
        self.walk(stream, from, trail.owed, |row| {
            if row.id > end {
                return ControlFlow::Break(());
            }
            trail.in_event &= row.continues > 0;
            if !trail.is_open() {
                return ControlFlow::Break(());
            }
            trail.owed = trail.owed.saturating_sub(1);
            trail.last = Some(row.id);
            lines.push((row, Role::Context));
            ControlFlow::Continue(())
        })?;
        trail.looked = end;
        Ok(lines)
    }

    /// Hands over the lines of a stream, from a line on, until it is enough.
    fn walk(
        &self,
        stream: &Stream,
        (order, mut after): (Order, i64),
        wanted: usize,
        mut take: impl FnMut(StoredLog) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let (filter, mut looked) = (stream.filter(), 0);
        let mut limit = wanted.saturating_add(1).clamp(CHUNKS.0, CHUNKS.1);
        while looked < REACH {
            let page = Page {
                order,
                after: Some(after),
                limit,
            };
            let rows = self.store.logs(&filter, page)?;
            let is_last = rows.len() < limit;
            looked += rows.len();
            after = rows.last().map_or(after, |row| row.id);
            for row in rows {
                if row.path == stream.path && take(row).is_break() {
                    return Ok(());
                }
            }
            if is_last {
                break;
            }
            limit = (limit * 4).min(CHUNKS.1);
        }
        Ok(())
    }
}
