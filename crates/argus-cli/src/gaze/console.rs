//! What gaze says: the lines of spec/1, word for word.
//!
//! A terminal that is stopped (Ctrl-S) or slow must not keep anybody from measuring and recording, so
//! lines that it cannot take are left out and counted; they are recorded all the same. Warnings go to
//! standard error. Text that came from outside loses its control characters first.

mod printer;

use std::fmt::{Display, from_fn};
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use argus_model::Measure;
use argus_observe::platform;
use argus_observe::sample::Reading;
use argus_tui::{format, sanitize};

use printer::Printer;

use super::AppName;
use super::observers::Interval;

/// How much gaze says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// No samples and no log lines: a service's lines go to a journal.
    Quiet,
    Standard,
    /// Every measure of a sample, too.
    Measures,
    Verbose,
}

/// How many processes are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// A single one, so that nobody needs to be told whom a line is about.
    One,
    Several,
}

/// How the watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The only process has ended, with this code if it is known.
    Terminated(Option<i32>),
    /// All of so many processes have ended; each has been told of.
    AllTerminated(u64),
    /// Somebody has stopped gaze.
    Stopped,
}

/// Whom a line is about. While a single process is watched, nobody needs to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label(Option<Arc<str>>);

impl Label {
    /// For the only process.
    pub(super) const NONE: Self = Self(None);

    /// For one of several.
    pub(super) fn of(app_name: &str, pid: u32) -> Self {
        Self(Some(format!("{} {pid}", sanitize(app_name)).into()))
    }

    /// The word at the beginning of a line, with whom it is about.
    fn after(&self, word: impl Display) -> impl Display {
        from_fn(move |f| match &self.0 {
            None => word.fmt(f),
            Some(whom) => write!(f, "{word} ({whom})"),
        })
    }
}

/// A process, as it is introduced.
pub(super) struct Introduction<'a> {
    pub(super) app_name: &'a str,
    pub(super) process_name: &'a str,
    pub(super) pid: u32,
    pub(super) logfiles: &'a [PathBuf],
    pub(super) interval: Interval,
}

/// What is said last.
pub(super) struct Summary<'a> {
    pub(super) ending: Ending,
    pub(super) time: Duration,
    pub(super) samples: u64,
    pub(super) lines: u64,
    /// Where everything is stored, if it is.
    pub(super) database: Option<&'a Path>,
    /// The command that tells more of a bad end.
    pub(super) autopsy: Option<String>,
}

/// Standard output, without waiting for it.
pub(super) struct Console {
    detail: Detail,
    /// How many processes lines may be about.
    crowd: Crowd,
    printer: Printer,
}

impl Console {
    pub(super) fn open(detail: Detail, crowd: Crowd) -> Result<Self> {
        Ok(Self {
            detail,
            crowd,
            printer: Printer::start()?,
        })
    }

    /// Whether lines can be about a single process only.
    pub(super) fn is_for_one(&self) -> bool {
        self.crowd == Crowd::One
    }

    /// Readable once nobody reads our output any more.
    pub(super) fn closed(&self) -> BorrowedFd<'_> {
        self.printer.closed()
    }

    /// In verbose mode: on what we stand.
    pub(super) fn preamble(&self, database: &Path) {
        self.verbose(|| "Verbose mode enabled".into());
        self.verbose(|| format!("Argus version: {}", env!("CARGO_PKG_VERSION")));
        self.verbose(|| format!("Kernel: {}", platform::kernel_release()));
        self.verbose(|| format!("Database path: {}", database.display()));
    }

    /// In verbose mode: what the applications are called.
    pub(super) fn names(&self, app_names: &[&AppName]) {
        for AppName { text, origin } in app_names {
            self.verbose(|| format!("Detected application name: {} ({origin})", sanitize(text)));
        }
    }

    /// Says who is watched.
    pub(super) fn header(&self, watched: &[Introduction<'_>]) {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
        for line in header_lines(watched, &now.to_string()) {
            self.say(line);
        }
    }

    /// In verbose mode: who works for us.
    pub(super) fn threads_started(&self, with_log: bool) {
        self.verbose(|| "Starting metrics collection thread...".into());
        if with_log {
            self.verbose(|| "Starting log tailing thread...".into());
            self.verbose(|| "Both threads started successfully".into());
        } else {
            self.verbose(|| "Metrics thread started successfully".into());
        }
    }

    /// In verbose mode: a measurement is about to be recorded.
    pub(super) fn collecting(&self) {
        self.verbose(|| "[Metrics Thread] Collecting data...".into());
    }

    pub(super) fn sample(&self, label: &Label, reading: &Reading, number: u64) {
        self.verbose(|| {
            format!(
                "[Metrics Thread] CPU: {:.1}%, Memory: {:.1}MB, Threads: {}",
                reading.cpu_percent,
                megabytes(reading.rss_bytes),
                reading.threads
            )
        });
        self.verbose(|| format!("[Metrics Thread] Recorded (#{number})"));
        if self.detail == Detail::Quiet {
            return;
        }
        self.say(sample_line(label, reading));
        // Most samples of a short interval come without: a line of dashes would look like a refusal.
        let has_details = reading.measures.get(Measure::MinorFaults).is_some();
        if matches!(self.detail, Detail::Measures | Detail::Verbose) && has_details {
            self.say(measures_line(label, reading));
        }
    }

    pub(super) fn line(&self, label: &Label, text: &str, number: u64) {
        self.verbose(|| format!("[Log Thread] New line detected: {}", sanitize(text)));
        self.verbose(|| format!("[Log Thread] Recorded (#{number})"));
        if self.detail != Detail::Quiet {
            self.say(log_line(label, text));
        }
    }

    /// A watched program has started a process.
    pub(super) fn child_started(&self, label: &Label, parent: u32) {
        if self.detail != Detail::Quiet {
            let what = label.after("Child started");
            self.say(tagged(format_args!("{what}: parent {parent}")));
        }
    }

    /// A program that had ended is back.
    pub(super) fn restarted(&self, label: &Label, pid: u32, down: Duration) {
        let seconds = down.as_secs_f64();
        let what = label.after("Process restarted");
        self.say(tagged(format_args!(
            "{what}: PID {pid}, down for {seconds:.1} seconds"
        )));
    }

    /// A program has ended that may come back.
    pub(super) fn waits_for(&self, label: &Label) {
        let what = label.after("Waiting");
        self.say(tagged(format_args!("{what} to come back")));
    }

    /// An alert has fired or is over.
    pub(super) fn alert(&self, label: &Label, text: &str) {
        let (what, text) = (label.after("Alert"), sanitize(text));
        self.say(tagged(format_args!("{what}: {text}")));
    }

    /// One of several processes has ended.
    pub(super) fn terminated(&self, label: &Label, code: Option<i32>) {
        self.say(tagged(label.after(terminated(code))));
    }

    /// Says the last words and waits until they are out.
    pub(super) fn conclude(self, summary: &Summary<'_>) {
        let left_out = self.printer.left_out();
        let left_out = (left_out > 0).then(|| {
            tagged(format_args!(
                "{left_out} lines were not shown, but recorded"
            ))
            .to_string()
        });
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let summary = summary_lines(summary, home.as_deref());
        self.printer.conclude(left_out.into_iter().chain(summary));
    }

    fn verbose(&self, line: impl FnOnce() -> String) {
        if self.detail == Detail::Verbose {
            self.say(tagged(line()));
        }
    }

    fn say(&self, line: impl Display) {
        self.printer.say(line);
    }

    /// Has everything printed that was said so far. To wake the printer for each of fifty processes'
    /// lines would cost as much as to measure them, so this comes once for a passage through a loop.
    pub(super) fn release(&self) {
        self.printer.release();
    }
}

/// A warning, on standard error.
pub(crate) fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "[Gaze] Warning: {}", sanitize(message));
}

fn tagged(text: impl Display) -> impl Display {
    from_fn(move |f| write!(f, "[Gaze] {text}"))
}

fn header_lines(watched: &[Introduction<'_>], timestamp: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, process) in watched.iter().enumerate() {
        lines.push(format!(
            "Starting monitoring: {}",
            sanitize(process.app_name)
        ));
        let name = sanitize(process.process_name);
        lines.push(format!("Process: {name} (PID: {})", process.pid));
        for path in process.logfiles {
            lines.push(format!("Log file: {}", sanitize(&path.to_string_lossy())));
        }
        // What goes for several is said once, behind the last of them.
        let next = watched.get(index + 1);
        if next.is_none_or(|next| next.interval != process.interval) {
            lines.push(format!("Collection interval: {}", process.interval));
        }
    }
    lines.push(format!("Timestamp: {timestamp}"));
    let mut lines: Vec<_> = lines.iter().map(|line| tagged(line).to_string()).collect();
    lines.push(String::new());
    lines
}

fn sample_line(label: &Label, reading: &Reading) -> impl Display {
    tagged(from_fn(move |f| {
        let what = label.after("Metrics");
        let (cpu, memory) = (reading.cpu_percent, megabytes(reading.rss_bytes));
        let threads = reading.threads;
        write!(
            f,
            "{what}: CPU={cpu:.1}% | Memory={memory:.1}MB | Threads={threads}"
        )
    }))
}

/// Every measure that was taken, and those that this user may not see.
fn measures_line(label: &Label, reading: &Reading) -> impl Display {
    let shown = |(name, measure)| {
        let value = reading.measures.get(measure);
        format!("{name}={}", format::measure(measure, value))
    };
    let measures: Vec<_> = SHOWN.into_iter().map(shown).collect();
    let (what, measures) = (label.after("Details"), measures.join(" | "));
    tagged(from_fn(move |f| write!(f, "{what}: {measures}")))
}

/// The measures in the order in which they are shown, with short names.
const SHOWN: [(&str, Measure); 14] = [
    ("CPU of allowed", Measure::CpuNormalized),
    ("Read", Measure::DiskReadRate),
    ("Written", Measure::DiskWriteRate),
    ("Received", Measure::NetworkReceiveRate),
    ("Sent", Measure::NetworkSendRate),
    ("Descriptors", Measure::Descriptors),
    ("Children", Measure::Children),
    ("Faults", Measure::MinorFaults),
    ("Major faults", Measure::MajorFaults),
    ("Switches", Measure::VoluntarySwitches),
    ("Forced switches", Measure::InvoluntarySwitches),
    ("Waited for CPU", Measure::RunQueueWait),
    ("PSS", Measure::Pss),
    ("Interval", Measure::Interval),
];

fn log_line(label: &Label, text: &str) -> impl Display {
    let (what, text) = (label.after("Log"), sanitize(text));
    tagged(from_fn(move |f| write!(f, "{what}: {text}")))
}

fn terminated(code: Option<i32>) -> String {
    match code {
        Some(code) => format!("Process terminated (exit code: {code})"),
        None => "Process terminated (exit code: unknown)".into(),
    }
}

fn summary_lines(summary: &Summary<'_>, home: Option<&Path>) -> Vec<String> {
    let ending = match summary.ending {
        Ending::Terminated(code) => terminated(code),
        Ending::AllTerminated(count) => format!("Processes terminated: {count}"),
        Ending::Stopped => "Monitoring stopped".into(),
    };
    let mut lines = vec![
        ending,
        format!(
            "Total monitoring time: {:.1} seconds",
            summary.time.as_secs_f64()
        ),
        format!("Metrics collected: {}", summary.samples),
        format!("Log entries captured: {}", summary.lines),
    ];
    if let Some(database) = summary.database {
        lines.push(format!("Data saved to: {}", from_home(database, home)));
    }
    if let Some(command) = &summary.autopsy {
        lines.push(format!("How it ended, and what it was doing: {command}"));
    }
    let lines = lines.into_iter().map(|line| tagged(line).to_string());
    std::iter::once(String::new()).chain(lines).collect()
}

/// The path with `~` for the home folder.
fn from_home(path: &Path, home: Option<&Path>) -> String {
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

/// Mebibytes, which is what psutil's users call megabytes.
#[expect(clippy::cast_precision_loss, reason = "exact up to eight pebibytes")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use argus_model::{Measures, Monotonic};

    use super::*;

    const READING: Reading = Reading {
        at: Monotonic::from_nanos(0),
        cpu_percent: 45.23,
        rss_bytes: 269_274_317,
        threads: 4,
        measures: Measures::NONE,
    };

    #[test]
    fn the_lines_are_those_of_the_specification() {
        let logfiles = [PathBuf::from("/home/user/projects/terrain/terrain_sim.log")];
        let introduction = Introduction {
            app_name: "TerrainSimulation",
            process_name: "terrain_sim",
            pid: 12345,
            logfiles: &logfiles,
            interval: "5".parse().unwrap(),
        };
        let mut lines = header_lines(&[introduction], "2026-01-27 14:23:40");
        lines.push(sample_line(&Label::NONE, &READING).to_string());
        lines.push(log_line(&Label::NONE, "[INFO] Terrain generation started").to_string());
        let summary = Summary {
            ending: Ending::Terminated(Some(0)),
            time: Duration::from_millis(45_620),
            samples: 10,
            lines: 15,
            database: Some(Path::new("/home/user/.argus/argus_runtime.db")),
            autopsy: None,
        };
        lines.extend(summary_lines(&summary, Some(Path::new("/home/user"))));
        let expected = "\
[Gaze] Starting monitoring: TerrainSimulation
[Gaze] Process: terrain_sim (PID: 12345)
[Gaze] Log file: /home/user/projects/terrain/terrain_sim.log
[Gaze] Collection interval: 5 seconds
[Gaze] Timestamp: 2026-01-27 14:23:40

[Gaze] Metrics: CPU=45.2% | Memory=256.8MB | Threads=4
[Gaze] Log: [INFO] Terrain generation started

[Gaze] Process terminated (exit code: 0)
[Gaze] Total monitoring time: 45.6 seconds
[Gaze] Metrics collected: 10
[Gaze] Log entries captured: 15
[Gaze] Data saved to: ~/.argus/argus_runtime.db";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn among_several_processes_a_line_says_whose_it_is() {
        let introduction = |app_name, pid, seconds: &str| Introduction {
            app_name,
            process_name: app_name,
            pid,
            logfiles: &[],
            interval: seconds.parse().unwrap(),
        };
        let watched = [
            introduction("nginx", 7, "1"),
            introduction("redis", 8, "1"),
            introduction("java", 9, "5"),
        ];
        let mut lines = header_lines(&watched, "2026-01-27 14:23:40");
        let label = Label::of("nginx", 7);
        lines.push(sample_line(&label, &READING).to_string());
        lines.push(log_line(&label, "GET /").to_string());
        lines.push(tagged(label.after(terminated(Some(-9)))).to_string());
        let expected = "\
[Gaze] Starting monitoring: nginx
[Gaze] Process: nginx (PID: 7)
[Gaze] Starting monitoring: redis
[Gaze] Process: redis (PID: 8)
[Gaze] Collection interval: 1 second
[Gaze] Starting monitoring: java
[Gaze] Process: java (PID: 9)
[Gaze] Collection interval: 5 seconds
[Gaze] Timestamp: 2026-01-27 14:23:40

[Gaze] Metrics (nginx 7): CPU=45.2% | Memory=256.8MB | Threads=4
[Gaze] Log (nginx 7): GET /
[Gaze] Process terminated (exit code: -9) (nginx 7)";
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn other_endings_say_so() {
        let check = |ending: Ending, expected: &str| {
            let summary = Summary {
                ending,
                time: Duration::ZERO,
                samples: 0,
                lines: 0,
                database: None,
                autopsy: None,
            };
            let lines = summary_lines(&summary, None);
            assert_eq!(lines[1], expected);
            assert_eq!(lines.len(), 5, "nothing is claimed to be saved");
        };
        check(
            Ending::Terminated(Some(-9)),
            "[Gaze] Process terminated (exit code: -9)",
        );
        check(
            Ending::Terminated(None),
            "[Gaze] Process terminated (exit code: unknown)",
        );
        check(Ending::AllTerminated(3), "[Gaze] Processes terminated: 3");
        check(Ending::Stopped, "[Gaze] Monitoring stopped");
    }

    #[test]
    fn a_log_line_cannot_move_the_cursor() {
        assert_eq!(
            log_line(&Label::NONE, "a\u{1b}[2Jb\u{202e}c").to_string(),
            "[Gaze] Log: a[2Jbc"
        );
    }

    #[test]
    fn only_paths_at_home_are_shortened() {
        let home = Some(Path::new("/home/user"));
        let check = |path: &str, expected: &str| {
            assert_eq!(from_home(Path::new(path), home), expected);
        };
        check("/home/user/.argus/a.db", "~/.argus/a.db");
        check("/home/username/a.db", "/home/username/a.db");
        check("/data/a.db", "/data/a.db");
        assert_eq!(from_home(Path::new("/data/a.db"), None), "/data/a.db");
    }
}
