//! A log that is rotated ten times a second while two thousand lines a second are written to it, and what
//! its readers make of that: lines lost, lines doubled, CPU.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::readers::{READERS, Reader, Running};
use crate::bench::Scale;
use crate::bench::figures::{Findings, Target};
use crate::bench::programs::{Programs, until};
use crate::python::{Environment, Purpose};
use crate::step;

const LINE: Duration = Duration::from_micros(500);
const LINES_BETWEEN_ROTATIONS: u64 = 200;
/// How long nothing may come of a reader before that counts as all it has to tell.
const STANDSTILL: Duration = Duration::from_secs(3);

/// A way to rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Renamed, and made anew.
    Rename,
    /// Copied, and emptied, with nothing written in between.
    CopyTruncate,
}

const WAYS: [(Way, &str); 2] = [(Way::Rename, "rename"), (Way::CopyTruncate, "copytruncate")];

/// What a reader made of a storm.
#[derive(Debug, Default)]
struct Outcome {
    written: u64,
    lost: u64,
    doubled: u64,
    cpu_percent: f64,
}

pub(super) fn run(programs: &Programs<'_>, scale: Scale, findings: &mut Findings) -> Result<()> {
    let seconds = scale.pick(2, 5, 10);
    findings.explain(format!(
        "Rotation: 2,000 lines a second are written to a log for {seconds} s, and every 200 lines it is rotated: \
         renamed and made anew, or copied and emptied with nothing written in between; all rotated files \
         stay. Each reader follows alone, once it has told a first line; afterwards it has {} s without news. \
         `lost` and `doubled` are lines of its output, for gaze rows of the store; CPU is that of the reader \
         and its children during the storm. logtail2 and pygtail are run 20 times a second, rsyslog \
         reads with imfile and `reopenOnTruncate`.",
        STANDSTILL.as_secs()
    ));
    let environment = Environment::prepare(programs.workspace, Purpose::Bench)?;
    for reader in READERS {
        if !reader.is_there() {
            continue;
        }
        for (way, way_name) in WAYS {
            let name = format!("{}, {way_name}", reader.name());
            step::note(&name);
            let outcome = storm(programs, &environment, reader, way, seconds)?;
            report(reader, &name, &outcome, findings);
        }
    }
    Ok(())
}

fn report(reader: Reader, name: &str, outcome: &Outcome, findings: &mut Findings) {
    let counts = [("lost", outcome.lost), ("doubled", outcome.doubled)];
    for (word, count) in counts {
        let what = format!("{name}: lines {word} of {}", outcome.written);
        match reader {
            Reader::Gaze => findings.judge(what, count as f64, "", Target::AtMost(0.0)),
            _ => findings.note(what, count as f64, ""),
        }
    }
    findings.note(format!("{name}: CPU"), outcome.cpu_percent, "% of a core");
}

fn storm(
    programs: &Programs<'_>,
    environment: &Environment<'_>,
    reader: Reader,
    way: Way,
    seconds: u64,
) -> Result<Outcome> {
    let folder = programs.folder("tail-storm")?;
    std::fs::create_dir(folder.path("logs"))?;
    let mut log = Log::create(folder.path("logs/app.log"))?;
    let running = reader.start(programs, environment, &folder, &log.path)?;
    // Lines that do not count, until one of them is told.
    let mut due = Instant::now();
    until(&format!("{} follows", reader.name()), || {
        if Instant::now() >= due {
            // What cannot be written now can be the next time.
            let _ = log.file.write_all(b"probe\n");
            due = Instant::now() + Duration::from_millis(200);
        }
        !running.told().unwrap_or_default().is_empty()
    })?;
    let (before, began) = (running.cpu_seconds()?, Instant::now());
    let written = log.write(Duration::from_secs(seconds), way)?;
    let used = running.cpu_seconds()? - before;
    let cpu_percent = 100.0 * used / began.elapsed().as_secs_f64();
    let told = everything(&running, written)?;
    let mut times: HashMap<&str, u64> = HashMap::new();
    for line in told.lines().filter(|line| !line.starts_with("probe")) {
        *times.entry(line.trim()).or_default() += 1;
    }
    let mut outcome = Outcome {
        written,
        cpu_percent,
        ..Outcome::default()
    };
    for number in 0..written {
        match times.get(&*text(number)) {
            None => outcome.lost += 1,
            Some(count) => outcome.doubled += count - 1,
        }
    }
    Ok(outcome)
}

/// What was told once every line is there, or nothing more comes.
fn everything(running: &Running<'_>, written: u64) -> Result<String> {
    let (mut told, mut since) = (String::new(), Instant::now());
    loop {
        let now = running.told()?;
        if now.len() != told.len() {
            (told, since) = (now, Instant::now());
        }
        // Whoever tells a line twice may do so a moment later.
        let lines = told.lines().filter(|line| !line.starts_with("probe"));
        let patience = if lines.count() as u64 >= written {
            STANDSTILL / 3
        } else {
            STANDSTILL
        };
        if since.elapsed() >= patience {
            return Ok(told);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn text(number: u64) -> String {
    format!(
        "{number} {}",
        "x".repeat((number * 7_919 % 160) as usize + 1)
    )
}

/// A log that is written and rotated.
struct Log {
    path: PathBuf,
    file: File,
    rotated: u32,
}

impl Log {
    fn create(path: PathBuf) -> Result<Self> {
        let file = append_to(&path)?;
        Ok(Self {
            path,
            file,
            rotated: 0,
        })
    }

    /// How many lines were written.
    fn write(&mut self, time: Duration, way: Way) -> Result<u64> {
        let began = Instant::now();
        let mut number = 0;
        while began.elapsed() < time {
            for _ in 0..LINES_BETWEEN_ROTATIONS {
                let line = text(number) + "\n";
                self.file.write_all(line.as_bytes())?;
                number += 1;
                let due = began + LINE * u32::try_from(number)?;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            self.rotate(way)?;
        }
        Ok(number)
    }

    fn rotate(&mut self, way: Way) -> Result<()> {
        for number in (1..=self.rotated).rev() {
            std::fs::rename(self.numbered(number), self.numbered(number + 1))?;
        }
        self.rotated += 1;
        match way {
            Way::Rename => {
                std::fs::rename(&self.path, self.numbered(1))?;
                self.file = append_to(&self.path)?;
            }
            Way::CopyTruncate => {
                std::fs::copy(&self.path, self.numbered(1))?;
                self.file.set_len(0)?;
            }
        }
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn append_to(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}
