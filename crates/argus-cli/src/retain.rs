//! What the collector keeps, and how much may wait for it: limits from its arguments, else from the
//! environment, else the usual.

use std::collections::BTreeMap;
use std::time::Duration;

use argus_store::Retention;

use crate::exit::Exit;
use crate::failure::Refusal;
use crate::moment;

/// Bytes of the units that a size may have.
const UNITS: [(&str, u64); 4] = [
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
];

/// The least room for what waits: below, a few threads' first chunks would use it up.
const LEAST_BUDGET: u64 = 1 << 20;

/// What is kept.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RetainArgs {
    /// Keep what is younger than this, or never drop by age [default: 14d]
    #[arg(long, value_name = "AGE|never", value_parser = age)]
    retain_age: Option<Limit<Duration>>,
    /// Keep this much in the database's file, as 500M or 4G, or never drop by size [default: 4G]
    #[arg(long, value_name = "SIZE|never", value_parser = size)]
    retain_size: Option<Limit<u64>>,
    /// Keep this many sessions that have ended, or never drop by number [default: 500]
    #[arg(long, value_name = "N|never", value_parser = count)]
    retain_sessions: Option<Limit<usize>>,
    /// Keep the calls of this process group for another age (may be repeated)
    #[arg(long, value_name = "GROUP=AGE", value_parser = group)]
    retain_group: Vec<(String, Duration)>,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit<T> {
    To(T),
    Never,
}

impl<T> Limit<T> {
    fn given(self) -> Option<T> {
        match self {
            Self::To(limit) => Some(limit),
            Self::Never => None,
        }
    }
}

impl RetainArgs {
    /// The limits meant; the environment speaks where the arguments are silent.
    pub(crate) fn retention(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Retention, Refusal> {
        let usual = Retention::default();
        let said = |name| environment(name).map(|text| (name, text));
        let groups = if self.retain_group.is_empty() {
            match said("ARGUS_RETAIN_GROUPS") {
                Some((name, text)) => text
                    .split(',')
                    .filter(|entry| !entry.trim().is_empty())
                    .map(|entry| group(entry.trim()).map_err(|why| refuse(name, &why)))
                    .collect::<Result<_, _>>()?,
                None => BTreeMap::new(),
            }
        } else {
            self.retain_group.iter().cloned().collect()
        };
        Ok(Retention {
            age: choose(self.retain_age, said("ARGUS_RETAIN_AGE"), age, usual.age)?,
            size_bytes: choose(
                self.retain_size,
                said("ARGUS_RETAIN_SIZE"),
                size,
                usual.size_bytes,
            )?,
            sessions: choose(
                self.retain_sessions,
                said("ARGUS_RETAIN_SESSIONS"),
                count,
                usual.sessions,
            )?,
            groups,
        })
    }
}

fn choose<T>(
    argument: Option<Limit<T>>,
    said: Option<(&str, String)>,
    parse: impl Fn(&str) -> Result<Limit<T>, String>,
    usual: Option<T>,
) -> Result<Option<T>, Refusal> {
    match (argument, said) {
        (Some(limit), _) => Ok(limit.given()),
        (None, Some((name, text))) => match parse(&text) {
            Ok(limit) => Ok(limit.given()),
            Err(why) => Err(refuse(name, &why)),
        },
        (None, None) => Ok(usual),
    }
}

fn refuse(name: &str, why: &str) -> Refusal {
    Refusal::new(Exit::Usage, format!("{name}: expected {why}"))
}

fn limit<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Limit<T>> {
    if text == "never" {
        return Some(Limit::Never);
    }
    parse(text).map(Limit::To)
}

fn age(text: &str) -> Result<Limit<Duration>, String> {
    limit(text, moment::span).ok_or_else(|| "a span of time such as 6h or 14d, or never".into())
}

fn size(text: &str) -> Result<Limit<u64>, String> {
    limit(text, bytes).ok_or_else(|| "a size such as 500M or 4G, or never".into())
}

fn count(text: &str) -> Result<Limit<usize>, String> {
    limit(text, |text| text.parse().ok()).ok_or_else(|| "a number, or never".into())
}

fn group(text: &str) -> Result<(String, Duration), String> {
    text.rsplit_once('=')
        .filter(|(group, _)| !group.is_empty())
        .and_then(|(group, age)| Some((group.to_owned(), moment::span(age)?)))
        .ok_or_else(|| "a process group and an age, such as trading=6h".into())
}

/// Room for what waits to be collected.
pub(crate) fn spool_budget(text: &str) -> Result<u64, String> {
    bytes(text)
        .filter(|bytes| *bytes >= LEAST_BUDGET)
        .ok_or_else(|| "a size of at least 1M, such as 500M or 4G".into())
}

/// The room meant; nothing where it stays as it is.
pub(crate) fn spool_budget_meant(
    argument: Option<u64>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<u64>, Refusal> {
    let name = "ARGUS_SPOOL_BUDGET";
    match (argument, environment(name)) {
        (None, Some(text)) => spool_budget(&text)
            .map(Some)
            .map_err(|why| refuse(name, &why)),
        (argument, _) => Ok(argument),
    }
}

/// `4G`, `4GB`, `4GiB` are the same; without a unit it is bytes.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_uppercase();
    let text = text
        .strip_suffix("IB")
        .or(text.strip_suffix('B'))
        .unwrap_or(&text);
    for (unit, bytes) in UNITS {
        if let Some(number) = text.strip_suffix(unit) {
            return number.trim().parse::<u64>().ok()?.checked_mul(bytes);
        }
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: RetainArgs = RetainArgs {
        retain_age: None,
        retain_size: None,
        retain_sessions: None,
        retain_group: Vec::new(),
    };

    #[test]
    fn silence_means_the_usual_limits() {
        let retention = SILENT.retention(|_| None).unwrap();
        assert_eq!(retention, Retention::default());
        assert_eq!(retention.size_bytes, Some(4 << 30));
    }

    #[test]
    fn arguments_come_before_the_environment() {
        let args = RetainArgs {
            retain_age: Some(Limit::Never),
            ..SILENT
        };
        let environment = |name: &str| {
            let text = match name {
                "ARGUS_RETAIN_AGE" => "1h",
                "ARGUS_RETAIN_SIZE" => "500MiB",
                "ARGUS_RETAIN_SESSIONS" => "never",
                _ => "trading=6h, slow=2d",
            };
            Some(text.to_owned())
        };
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let groups = [("trading", 6), ("slow", 48)].map(|(name, age)| (name.into(), hours(age)));
        assert_eq!(
            args.retention(environment).unwrap(),
            Retention {
                age: None,
                size_bytes: Some(500 << 20),
                sessions: None,
                groups: groups.into(),
            }
        );
    }

    #[test]
    fn the_room_for_what_waits_is_chosen_like_the_limits() {
        let says = |text: &'static str| move |_: &str| Some(text.to_owned());
        let meant = |argument, text| spool_budget_meant(argument, says(text)).ok().flatten();
        assert_eq!(meant(None, "2G"), Some(2 << 30));
        assert_eq!(meant(Some(5 << 20), "2G"), Some(5 << 20));
        assert_eq!(spool_budget_meant(None, |_| None).unwrap(), None);
        let refused = spool_budget_meant(None, says("1000")).unwrap_err();
        assert!(
            refused.to_string().starts_with("ARGUS_SPOOL_BUDGET: "),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_limit_is_refused_by_name() {
        for text in ["", "x", "-1", "4 GG"] {
            let refused = SILENT.retention(|_| Some(text.to_owned())).unwrap_err();
            assert!(
                refused.to_string().starts_with("ARGUS_RETAIN_"),
                "{text:?}: {refused}"
            );
        }
    }
}
