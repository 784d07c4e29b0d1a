//! How fast the library's follower splits a burst: `tail_burst MEGABYTES FOLDER`. Prints JSON.
//!
//! A file of lines of some 100 bytes is written under another name, moved to the path that is followed,
//! and read to its end by a receiver that counts: MB/s from the move to the last line, and lines/s.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use argus_observe::line::Taken;
use argus_observe::tail::{Follower, StartAt, Told};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [megabytes, folder] = &words[..] else {
        return Err("usage: tail_burst MEGABYTES FOLDER".into());
    };
    let folder = Path::new(folder);
    let (prepared, path) = (folder.join("prepared"), folder.join("burst.log"));
    let lines = prepare(&prepared, megabytes.parse::<u64>()? * 1_000_000)?;
    let bytes = std::fs::metadata(&prepared)?.len();
    // That there is no such file yet is a warning.
    let (mut follower, _) = Follower::open(std::slice::from_ref(&path), StartAt::End);
    let (mut counted, mut text_bytes) = (0_u64, 0_u64);
    let began = Instant::now();
    std::fs::rename(&prepared, &path)?;
    while counted < lines {
        if began.elapsed() > PATIENCE {
            return Err(format!("{counted} of {lines} lines in time").into());
        }
        follower.wait(PATIENCE, None)?;
        follower.read(|told| {
            if let Told::Line(told) = told {
                counted += 1;
                text_bytes += told.line.text.len() as u64;
            }
            Taken::Yes
        });
    }
    let seconds = began.elapsed().as_secs_f64();
    if text_bytes + counted != bytes {
        return Err(
            format!("{text_bytes} bytes of text in {counted} lines of {bytes} bytes").into(),
        );
    }
    let answer = json!({
        "megabytes_per_second": bytes as f64 / 1e6 / seconds,
        "lines_per_second": counted as f64 / seconds,
    });
    println!("{answer}");
    std::fs::remove_file(&path)?;
    Ok(())
}

/// Writes so many bytes, or a few more; how many lines.
fn prepare(path: &Path, bytes: u64) -> std::io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut written, mut lines) = (0_u64, 0_u64);
    while written < bytes {
        let padding = "x".repeat(15 + (lines % 40) as usize);
        let text =
            format!("2026-01-27 14:23:45,123 - shop.cart - INFO - item {lines} added {padding}\n");
        file.write_all(text.as_bytes())?;
        written += text.len() as u64;
        lines += 1;
    }
    file.flush()?;
    Ok(lines)
}
