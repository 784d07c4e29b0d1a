//! From a write to a log file to whoever follows it.
//!
//! `tail_latency parsed COUNT FILE` writes lines one at a time and follows the file in another thread:
//! the milliseconds from before a write until the library's follower has handed the line over and it is
//! parsed. `tail_latency stored COUNT FILE` writes lines while somebody else's gaze follows the file:
//! until this process finds the line in the store. Prints p50 and p95 as JSON.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use argus_model::Timestamp;
use argus_observe::line::Taken;
use argus_observe::parse::Parser;
use argus_observe::tail::{Follower, StartAt, Told};
use argus_store::Store;
use argus_store::query::Cell;
use jiff::tz::TimeZone;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
/// Not a multiple of the collector's own periods.
const PAUSE: Duration = Duration::from_millis(37);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut latencies = match words[..] {
        ["parsed", count, file] => parsed(count.parse()?, Path::new(file))?,
        ["stored", count, file] => stored(count.parse()?, Path::new(file))?,
        _ => return Err("usage: tail_latency parsed|stored COUNT FILE".into()),
    };
    latencies.sort_by(f64::total_cmp);
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    println!("{}", json!({ "p50_ms": at(50), "p95_ms": at(95) }));
    Ok(())
}

fn line(number: usize) -> String {
    format!("2026-01-27 14:23:45,123 - shop.cart - INFO - item {number} added to the cart")
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn now() -> Timestamp {
    argus_spool::boot_anchor().wall
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

fn parsed(count: usize, path: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut file = open(path)?;
    let paths: [PathBuf; 1] = [path.to_owned()];
    let (mut follower, warnings) = Follower::open(&paths, StartAt::End);
    if let Some(warning) = warnings.into_iter().next() {
        return Err(warning.into());
    }
    // When the line that is under way was written.
    let written = Mutex::new(None::<Instant>);
    let mut latencies = Vec::new();
    std::thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        scope.spawn(|| {
            for number in 0..count {
                std::thread::sleep(PAUSE);
                let text = line(number) + "\n";
                *written.lock().expect("no thread panics") = Some(Instant::now());
                file.write_all(text.as_bytes())
                    .expect("the log is writable");
            }
        });
        let mut parser = Parser::new(TimeZone::UTC);
        let deadline = Instant::now() + PATIENCE;
        while latencies.len() < count {
            if Instant::now() > deadline {
                return Err(format!("only {} lines in time", latencies.len()).into());
            }
            follower.wait(PATIENCE, None)?;
            follower.read(|told| {
                if let Told::Line(told) = told {
                    let meaning = parser.parse(&told.line.text, now());
                    std::hint::black_box(meaning);
                    let since = written.lock().expect("no thread panics").take();
                    latencies.extend(since.map(milliseconds));
                }
                Taken::Yes
            });
        }
        Ok(())
    })?;
    Ok(latencies)
}

fn stored(count: usize, path: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let place = argus_spool::place::from_environment()?;
    let mut follower = argus_read::Follower::bind(&place)?;
    let deadline = Instant::now() + PATIENCE;
    let store = loop {
        match argus_store::open_reader(place.database()) {
            Ok(store) => break store,
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(PAUSE),
        }
    };
    let mut seen = |text: &str, patience: Duration| -> Result<bool, Box<dyn Error>> {
        let deadline = Instant::now() + patience;
        while last(store.as_ref())?.as_deref() != Some(text) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            follower.wait(Some(store.as_ref()), Duration::from_millis(200))?;
        }
        Ok(true)
    };
    let mut file = open(path)?;
    let mut write = |text: &str| file.write_all(format!("{text}\n").as_bytes());
    // Until it is followed; the last of these lines must have come before the first that counts.
    for number in 0.. {
        let text = format!("probe {number}");
        write(&text)?;
        if seen(&text, Duration::from_millis(500))? {
            break;
        }
        if Instant::now() > deadline {
            return Err("nobody follows the log".into());
        }
    }
    let mut latencies = Vec::new();
    for number in 0..count {
        std::thread::sleep(PAUSE);
        let (text, written) = (line(number), Instant::now());
        write(&text)?;
        if !seen(&text, PATIENCE)? {
            return Err(format!("line {number} was not stored in time").into());
        }
        latencies.push(milliseconds(written));
    }
    Ok(latencies)
}

/// The line that was stored last.
fn last(store: &dyn Store) -> Result<Option<String>, Box<dyn Error>> {
    let query = "SELECT log_line FROM log_entries ORDER BY id DESC LIMIT 1";
    let mut table = store.query(query, 1)?;
    let cell = table.rows.pop().and_then(|mut row| row.pop());
    Ok(match cell {
        Some(Cell::Text(text)) => Some(text),
        _ => None,
    })
}
