//! What a plugin's lines come to: values, trouble, counts, all within bounds.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::Duration;

use argus_model::Monotonic;

use super::Refused;
use super::text::{self, Garbage, Metric, Said};
use crate::line::Line;

/// So many lines are read of one plugin per interval.
pub const MAX_LINES: usize = 5_000;

/// So many different metrics (names with labels) one plugin may have.
pub const MAX_METRICS: usize = 1_000;

/// A longer line is no metric.
pub const MAX_LINE_BYTES: usize = 4096;

/// So many bytes are read per interval.
const MAX_BYTES: usize = MAX_LINES * 128;

/// What a plugin has come up with.
#[derive(Debug)]
pub enum Told {
    /// A value.
    Value(Metric),
    /// Something is wrong with it. Said once for each kind; its values go on if they can.
    Trouble(Trouble),
}

/// What is wrong with a plugin.
#[derive(Debug)]
pub enum Trouble {
    /// It printed this, which is no metric.
    Garbage(String),
    /// It prints more than is read of it.
    TooMuch,
    /// It has more metrics than are kept.
    TooManyMetrics,
    /// It ended well and has not printed a value.
    Nothing,
    /// It did not end in time, or did not begin to print.
    TimedOut(Duration),
    /// It failed.
    Failed {
        /// Its exit code, −N when signal N killed it, `None` when that is not known.
        code: Option<i32>,
        /// The last line on its error stream.
        said: Option<String>,
    },
    /// It could not be started.
    NotStarted(io::Error),
    /// It may not be run any more.
    Refused(Refused),
}

/// A sentence that goes on from the plugin's name, and says what becomes of it.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage(line) => write!(
                f,
                "printed a line that is no metric (\"{line}\"; expected: name value); \
                 such lines are left out"
            ),
            Self::TooMuch => write!(
                f,
                "prints more than {MAX_LINES} lines an interval; it is read more slowly"
            ),
            Self::TooManyMetrics => write!(
                f,
                "has more than {MAX_METRICS} different metrics; the others are left out"
            ),
            Self::Nothing => write!(f, "has ended without printing a value"),
            Self::TimedOut(timeout) => write!(
                f,
                "took longer than {} s; stopped, and tried again later",
                timeout.as_secs_f64()
            ),
            Self::Failed { code, said } => {
                match code {
                    Some(code) if *code < 0 => write!(f, "was killed by signal {}", -code)?,
                    Some(code) => write!(f, "failed with exit code {code}")?,
                    None => write!(f, "has ended, nobody knows how")?,
                }
                if let Some(said) = said {
                    write!(f, " (\"{said}\")")?;
                }
                write!(f, "; tried again later")
            }
            Self::NotStarted(error) => write!(f, "cannot be started ({error}); tried again later"),
            Self::Refused(refused) => write!(f, "is not run: {refused}"),
        }
    }
}

/// What was counted of one plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Values handed out.
    pub values: u64,
    /// Lines that were no metric.
    pub garbage: u64,
    /// Values that were infinite or no number.
    pub no_numbers: u64,
    /// Values beyond [`MAX_LINES`] or [`MAX_METRICS`], left out.
    pub left_out: u64,
    /// Starts.
    pub runs: u64,
    /// Starts that went wrong, ends with a failure, and stops.
    pub failures: u64,
}

pub(super) type Each<'a> = dyn FnMut(Told) + 'a;

/// What comes out of the lines, within bounds.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) counts: Counts,
    /// Hashes of names with labels: two that collide would count as one, and both be kept.
    known: HashSet<u64>,
    /// Kinds of trouble that were said.
    said: HashSet<std::mem::Discriminant<Trouble>>,
    /// What may be read until `window_end`.
    lines_left: usize,
    bytes_left: usize,
    window_end: Monotonic,
}

impl Intake {
    /// A new interval, which ends then.
    pub(super) fn refill(&mut self, window_end: Monotonic) {
        self.lines_left = MAX_LINES;
        self.bytes_left = MAX_BYTES;
        self.window_end = window_end;
    }

    pub(super) fn window_end(&self) -> Monotonic {
        self.window_end
    }

    pub(super) fn has_read(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    /// Whether the rest has to wait for the next interval.
    pub(super) fn is_used_up(&self) -> bool {
        self.lines_left == 0 || self.bytes_left == 0
    }

    pub(super) fn take(&mut self, line: &Line<'_>, each: &mut Each<'_>) {
        if self.lines_left == 0 {
            self.counts.left_out += 1;
            return;
        }
        self.lines_left -= 1;
        let is_cut = line.altered && line.text.len() + 4 > MAX_LINE_BYTES;
        let said = if is_cut {
            Err(Garbage)
        } else {
            text::parse(&line.text)
        };
        match said {
            Ok(Said::Metric(metric)) if self.is_kept(&metric) => {
                self.counts.values += 1;
                each(Told::Value(metric));
            }
            Ok(Said::Metric(_)) => {
                self.counts.left_out += 1;
                self.complain(Trouble::TooManyMetrics, each);
            }
            Ok(Said::NoNumber) => self.counts.no_numbers += 1,
            Ok(Said::Nothing) => {}
            Err(Garbage) => {
                self.counts.garbage += 1;
                let shown = line.text.chars().filter(|it| !it.is_control()).take(60);
                self.complain(Trouble::Garbage(shown.collect()), each);
            }
        }
    }

    fn is_kept(&mut self, metric: &Metric) -> bool {
        let mut hasher = DefaultHasher::new();
        (&metric.name, &metric.labels).hash(&mut hasher);
        let hash = hasher.finish();
        if self.known.len() < MAX_METRICS {
            self.known.insert(hash);
        }
        self.known.contains(&hash)
    }

    pub(super) fn complain(&mut self, trouble: Trouble, each: &mut Each<'_>) {
        if self.said.insert(std::mem::discriminant(&trouble)) {
            each(Told::Trouble(trouble));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::Splitter;

    /// One metric as Prometheus' own libraries print it, and what is to come of it.
    #[derive(Debug, Clone)]
    enum Family {
        Gauge(String, Vec<(String, f64)>),
        Histogram(String, Vec<u32>),
    }

    /// Name, labels, value.
    type Plain = (String, Vec<(String, String)>, f64);

    impl Family {
        fn print(&self) -> String {
            let mut text = String::new();
            match self {
                Self::Gauge(name, values) => {
                    text += &format!("# HELP {name} Some \\\\ help.\n# TYPE {name} gauge\n");
                    for (label, value) in values {
                        let label = label.replace('\\', "\\\\").replace('"', "\\\"");
                        text +=
                            &format!("{name}{{kind=\"{label}\",x=\"1\"}} {value} 1700000000000\n");
                    }
                }
                Self::Histogram(name, counts) => {
                    text += &format!("# TYPE {name} histogram\n");
                    for (bound, count) in counts.iter().enumerate() {
                        text += &format!("{name}_bucket{{le=\"{bound}\"}} {count}\n");
                    }
                    let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
                    text += &format!("{name}_bucket{{le=\"+Inf\"}} {sum}\n");
                    text += &format!("{name}_sum NaN\n{name}_count {sum}\n\n");
                }
            }
            text
        }

        fn expected(&self) -> Vec<Plain> {
            let pair = |key: &str, value: String| (key.to_owned(), value);
            match self {
                Self::Gauge(name, values) => values
                    .iter()
                    .map(|(label, value)| {
                        let labels = vec![pair("kind", label.clone()), pair("x", "1".into())];
                        (name.clone(), labels, *value)
                    })
                    .collect(),
                Self::Histogram(name, counts) => {
                    let sum = counts.iter().map(|count| f64::from(*count)).sum();
                    let bounds = counts.iter().enumerate();
                    let bounds = bounds.map(|(at, count)| (at.to_string(), f64::from(*count)));
                    let buckets = bounds.chain([("+Inf".to_owned(), sum)]);
                    let bucket = format!("{name}_bucket");
                    buckets
                        .map(|(le, count)| (bucket.clone(), vec![pair("le", le)], count))
                        .chain([(format!("{name}_count"), Vec::new(), sum)])
                        .collect()
                }
            }
        }
    }

    fn family() -> impl Strategy<Value = Family> {
        let name = "[a-z_:][a-z0-9_:]{0,10}";
        let values = proptest::collection::vec(("\\PC{0,10}", -1e9..1e9), 0..5);
        prop_oneof![
            (name, values).prop_map(|(name, values)| Family::Gauge(name, values)),
            (name, proptest::collection::vec(any::<u32>(), 0..5))
                .prop_map(|(name, counts)| Family::Histogram(name, counts)),
        ]
    }

    /// Everything that comes of bytes that arrive in such pieces.
    fn taken(bytes: &[u8], piece: usize) -> (Vec<Metric>, Vec<String>, Counts) {
        let (mut metrics, mut troubles) = (Vec::new(), Vec::new());
        let mut each = |told: Told| match told {
            Told::Value(metric) => metrics.push(metric),
            Told::Trouble(trouble) => troubles.push(trouble.to_string()),
        };
        let mut intake = Intake::default();
        intake.refill(Monotonic::default());
        let mut lines = Splitter::up_to(MAX_LINE_BYTES);
        for bytes in bytes.chunks(piece) {
            lines.push(bytes, |line| intake.take(&line, &mut each));
        }
        lines.finish(|line| intake.take(&line, &mut each));
        let counts = intake.counts;
        (metrics, troubles, counts)
    }

    proptest! {
        #[test]
        fn what_prometheus_libraries_print_is_read(
            families in proptest::collection::vec(family(), 0..6),
            piece in 1_usize..200,
        ) {
            let text: String = families.iter().map(Family::print).collect();
            let expected: Vec<_> = families.iter().flat_map(Family::expected).collect();
            let (metrics, troubles, counts) = taken(text.as_bytes(), piece);
            let metrics: Vec<_> = metrics
                .into_iter()
                .map(|metric| (metric.name, metric.labels, metric.value))
                .collect();
            prop_assert_eq!(metrics, expected);
            prop_assert!(troubles.is_empty(), "{:?}", troubles);
            prop_assert_eq!(counts.garbage + counts.left_out, 0);
        }

        #[test]
        fn no_bytes_make_it_panic_and_nothing_is_uncounted(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(b'\n'), Just(b' '), Just(b'1'), 33_u8..127],
                0..2_000,
            ),
            piece in 1_usize..200,
        ) {
            let (metrics, troubles, counts) = taken(&bytes, piece);
            prop_assert_eq!(counts.values, metrics.len() as u64);
            prop_assert_eq!(counts.garbage > 0, !troubles.is_empty());
            let names = metrics.iter().flat_map(|metric| {
                let labels = metric.labels.iter().flat_map(|(key, value)| [key, value]);
                labels.chain([&metric.name])
            });
            for text in names {
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
        }
    }
}
