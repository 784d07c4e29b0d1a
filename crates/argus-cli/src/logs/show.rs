//! Lines as they are printed: a table for people, objects for programs, all at once or as they come.

use std::io::{self, Write};

use anyhow::Result;
use argus_model::{Level, Timestamp};
use argus_store::query::StoredLog;
use serde::Serialize;

use super::around::{Group, Role, Stream};
use crate::moment::{iso, local};
use crate::ordered::Object;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// By which time lines are ordered and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// When they were captured
    Captured,
    /// The time that they tell themselves, where they do
    Said,
}

impl By {
    /// The line's time.
    pub(super) fn moment(self, log: &StoredLog) -> Timestamp {
        match self {
            Self::Captured => log.at,
            Self::Said => log.said_at.unwrap_or(log.at),
        }
    }

    /// The time of a line behind one of this time: of an event only the first line tells one.
    fn moment_behind(self, log: &StoredLog, before: Timestamp) -> Timestamp {
        let is_silent = self == Self::Said && log.said_at.is_none() && log.continues > 0;
        match is_silent && before != Timestamp::default() {
            true => before,
            false => self.moment(log),
        }
    }

    /// Brings groups into order, each by its first line.
    pub(super) fn order(self, groups: &mut [Group]) {
        groups.sort_by_key(|group| {
            let (first, _) = &group.lines[0];
            (self.moment(first), first.id)
        });
    }
}

/// A line as JSON tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    id: i64,
    timestamp: String,
    said_at: Option<String>,
    app_name: &'a str,
    process_name: &'a str,
    pid: u32,
    source: &'a str,
    path: Option<&'a str>,
    level: Option<&'a str>,
    logger: Option<&'a str>,
    line: &'a str,
    message: Option<&'a str>,
    attributes: Option<Object>,
    continues: u32,
    template: Option<i64>,
    span: Option<Link>,
    /// It is shown for a line nearby.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    context: bool,
}

/// The call that a line belongs to, as [`traces`](crate::traces) tells it.
#[derive(Debug, Serialize)]
struct Link {
    producer: String,
    number: u64,
}

impl<'a> From<&'a StoredLog> for Line<'a> {
    fn from(log: &'a StoredLog) -> Self {
        let attributes = log.attributes.as_deref();
        Self {
            id: log.id,
            timestamp: iso(log.at),
            said_at: log.said_at.map(iso),
            app_name: &log.app_name,
            process_name: &log.process_name,
            pid: log.pid,
            source: &log.source,
            path: log.path.as_deref(),
            level: log.level.as_deref(),
            logger: log.logger.as_deref(),
            line: &log.line,
            message: log.message.as_deref(),
            attributes: attributes.and_then(|json| serde_json::from_str(json).ok()),
            continues: log.continues,
            template: log.template,
            span: log.span.map(|key| Link {
                producer: key.producer.to_string(),
                number: key.number.0,
            }),
            context: false,
        }
    }
}

impl<'a> Line<'a> {
    /// What is shown, and why.
    pub(super) fn shown((log, role): &'a (StoredLog, Role)) -> Self {
        Self {
            context: *role == Role::Context,
            ..Self::from(log)
        }
    }
}

/// Prints all groups, and nothing afterwards.
pub(super) fn all(groups: &[Group], format: Format, mut looks: Looks) -> Result<()> {
    let mut lines = groups.iter().flat_map(|group| &group.lines);
    match format {
        Format::Json => output::array(lines.map(Line::shown)),
        Format::Human => {
            looks.levels = lines.any(|(log, _)| log.level.is_some());
            Printer::new(Format::Human, looks).print(groups)
        }
    }
}

/// What the table shows besides the lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    /// The time of a line.
    pub(super) by: By,
    /// Hits are marked, groups told apart.
    pub(super) context: bool,
    /// There is a column for levels.
    pub(super) levels: bool,
}

/// Prints groups as they come; of JSON an object a line.
pub(super) struct Printer {
    format: Format,
    looks: Looks,
    table: Table,
    last: Option<Stream>,
}

impl Printer {
    /// Has printed nothing yet.
    pub(super) fn new(format: Format, looks: Looks) -> Self {
        let mut columns = vec![
            ("TIME", Align::Left),
            ("APP", Align::Left),
            ("PID", Align::Right),
            ("SOURCE", Align::Left),
            ("LINE", Align::Left),
        ];
        if looks.levels {
            columns.insert(4, ("LEVEL", Align::Left));
        }
        if looks.context {
            columns.insert(0, ("", Align::Left));
        }
        Self {
            format,
            looks,
            table: Table::new(columns),
            last: None,
        }
    }

    /// Prints these groups, in their order.
    pub(super) fn print(&mut self, groups: &[Group]) -> Result<()> {
        match self.format {
            Format::Json => objects(groups),
            Format::Human => {
                for group in groups {
                    self.add(group);
                }
                self.table.print_on(Screen::of_stdout())
            }
        }
    }

    fn add(&mut self, group: &Group) {
        if self.looks.context {
            let stream = Stream::of(&group.lines[0].0);
            let before = self.last.replace(stream);
            let goes_on = group.adjoins && before == self.last;
            if before.is_some() && !goes_on {
                self.table.row([Cell::toned("--", Tone::Faint)]);
            }
        }
        let mut moment = Timestamp::default();
        for (log, role) in &group.lines {
            moment = self.looks.by.moment_behind(log, moment);
            self.table.row(self.cells(log, *role, moment));
        }
    }

    fn cells(&self, log: &StoredLog, role: Role, moment: Timestamp) -> Vec<Cell> {
        let tone = match role {
            Role::Hit => tone(log),
            Role::Context => Tone::Faint,
        };
        let mut cells = vec![
            Cell::toned(&local(moment), Tone::Faint),
            Cell::from(&log.app_name),
            log.pid.to_string().into(),
            Cell::from(&log.source),
            Cell::toned(&log.line, tone),
        ];
        if self.looks.levels {
            let word = log.level.as_deref().unwrap_or_default();
            cells.insert(4, Cell::toned(word, level_tone(word)));
        }
        if self.looks.context {
            let mark = if role == Role::Hit { ">" } else { "" };
            cells.insert(0, Cell::from(mark));
        }
        cells
    }
}

fn objects(groups: &[Group]) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in groups.iter().flat_map(|group| &group.lines) {
        serde_json::to_writer(&mut out, &Line::shown(line))?;
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

/// The tone of a level's word.
fn level_tone(word: &str) -> Tone {
    match Level::from_word(word) {
        Some(Level::Fatal | Level::Error) => Tone::Bad,
        Some(Level::Warn) => Tone::Warning,
        Some(Level::Debug | Level::Trace) => Tone::Faint,
        Some(Level::Info) | None => Tone::Plain,
    }
}

/// The tone of a line: that of its level, but for warnings, whose word is enough.
pub(crate) fn tone(log: &StoredLog) -> Tone {
    match log.level.as_deref().map(level_tone) {
        Some(Tone::Warning) => Tone::Plain,
        Some(tone) => tone,
        None if log.source == "stderr" => Tone::Bad,
        None => Tone::Plain,
    }
}
