//! Processes to be watched, of several kinds.
//!
//! `gaze_crowd COUNT` starts so many, prints their ids as a JSON array, and stays until it is killed.
//! Of fifty, thirty-six wait, eight compute for half a millisecond in every fifty, and six have eight
//! threads that wait and one that wakes ten times a second. Each ends as soon as its parent is gone.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A kind of process for every place of a round of twenty-five.
const KINDS: [(&str, usize); 3] = [("worker", 4), ("threads", 3), ("sleeper", 18)];
const ROUND: usize = 25;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("sleeper") => {}
        Some("worker") => drop(std::thread::spawn(work)),
        Some("threads") => threads(),
        Some(count) => return crowd(count.parse()?),
        None => return Err("usage: gaze_crowd COUNT".into()),
    }
    // Nobody writes: this returns when the parent is gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn crowd(count: usize) -> Result<(), Box<dyn Error>> {
    let members: Vec<Child> = (0..count).map(member).collect::<Result<_, _>>()?;
    let pids: Vec<u32> = members.iter().map(Child::id).collect();
    println!("{}", serde_json::json!(pids));
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

fn member(place: usize) -> std::io::Result<Child> {
    let mut place = place % ROUND;
    let kind = KINDS.iter().find(|(_, many)| {
        let is_here = place < *many;
        place = place.saturating_sub(*many);
        is_here
    });
    let (name, _) = kind.expect("the kinds fill a round");
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    command.spawn()
}

/// Uses one per cent of a core.
fn work() {
    loop {
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(500) {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn threads() {
    for _ in 0..8 {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
}
