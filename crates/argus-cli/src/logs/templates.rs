//! `argus logs --templates`: similar lines as one, with how many there are and when they came.

use std::time::Duration;

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_store::query::{StoredLogTemplate, TimeRange};
use serde::Serialize;

use super::Args;
use crate::exit::Exit;
use crate::listing::LIMIT;
use crate::moment::{iso, local, three_digits};
use crate::open::open_store;
use crate::output::{self, Align, Cell, Format, Screen, Table, Tone};

/// A template as JSON tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Template<'a> {
    id: i64,
    count: u64,
    rate_per_minute: Option<f64>,
    first_seen: String,
    last_seen: String,
    template: &'a str,
}

impl<'a> From<&'a StoredLogTemplate> for Template<'a> {
    fn from(template: &'a StoredLogTemplate) -> Self {
        Self {
            id: template.id,
            count: template.count,
            rate_per_minute: rate(template),
            first_seen: iso(template.first_at),
            last_seen: iso(template.last_at),
            template: &template.pattern,
        }
    }
}

/// Prints the templates that have lines in this stretch of time, the most frequent first.
pub(super) fn run(args: &Args, data: &DataDir) -> Result<Exit> {
    let time = args.listing.time.range()?;
    let text = args.sieve.grep.as_deref().unwrap_or_default();
    let mut templates = open_store(data)?.log_templates()?;
    templates.retain(|template| touches(template, time) && template.pattern.contains(text));
    templates.sort_by_key(|template| (std::cmp::Reverse(template.count), template.id));
    let limit = args.listing.limit_or(LIMIT);
    let is_cut = templates.len() > limit;
    templates.truncate(limit);
    match args.listing.format() {
        Format::Json => output::array(templates.iter().map(Template::from))?,
        Format::Human => print(&templates)?,
    }
    if args.listing.format() == Format::Human && is_cut {
        output::note(&format!(
            "the most frequent {limit} templates; --limit N shows more"
        ));
    }
    Ok(Exit::Fine)
}

/// Whether it may have lines in this stretch of time.
pub(crate) fn touches(template: &StoredLogTemplate, time: TimeRange) -> bool {
    time.from.is_none_or(|from| template.last_at >= from)
        && time.to.is_none_or(|to| template.first_at < to)
}

/// Lines per minute between the first and the last; of less than a second it would say nothing.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn rate(template: &StoredLogTemplate) -> Option<f64> {
    let nanos = template.last_at.nanos() - template.first_at.nanos();
    let seconds = Duration::from_nanos(u64::try_from(nanos).ok()?).as_secs_f64();
    (seconds >= 1.0).then(|| template.count as f64 * 60.0 / seconds)
}

fn print(templates: &[StoredLogTemplate]) -> Result<()> {
    let mut table = Table::new([
        ("ID", Align::Right),
        ("COUNT", Align::Right),
        ("RATE", Align::Right),
        ("FIRST", Align::Left),
        ("LAST", Align::Left),
        ("TEMPLATE", Align::Left),
    ]);
    for template in templates {
        let rate = rate(template).map_or("–".to_owned(), |rate| {
            format!("{}/min", three_digits(rate))
        });
        table.row([
            Cell::from(template.id.to_string()),
            output::grouped(template.count).into(),
            rate.into(),
            Cell::toned(&local(template.first_at), Tone::Faint),
            Cell::toned(&local(template.last_at), Tone::Faint),
            Cell::from(&template.pattern),
        ]);
    }
    table.print(Screen::of_stdout())?;
    if templates.is_empty() {
        output::note("no templates match");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use argus_model::Timestamp;

    use super::*;

    fn check(count: u64, seconds: i64, expected: Option<f64>) {
        let template = StoredLogTemplate {
            id: 1,
            pattern: String::new(),
            count,
            first_at: Timestamp::from_nanos(0),
            last_at: Timestamp::from_nanos(seconds * 1_000_000_000),
        };
        assert_eq!(rate(&template), expected);
    }

    #[test]
    fn a_rate_needs_two_moments() {
        check(30, 60, Some(30.0));
        check(1, 120, Some(0.5));
        check(9, 0, None);
        check(9, -5, None);
    }
}
