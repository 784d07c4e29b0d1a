//! Processes that end one after the other, each in a way of its own.
//!
//! `gaze_deaths COUNT` starts so many, prints their ids as a JSON array, and waits for a line. Then it
//! ends them: with exit codes of all values and with signals, some collected at once and some left for
//! a while as a zombie. At last it prints what became of them: id, exit code (−N for signal N), and the
//! wall clock in nanoseconds that each read as the last thing it did.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

/// Every fourth dies of one of these.
const SIGNALS: [Signal; 7] = [
    Signal::KILL,
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::SEGV,
    Signal::ABORT,
    Signal::USR1,
];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [count] => govern(count.parse()?),
        ["victim", way] => die(way.parse()?),
        _ => Err("usage: gaze_deaths COUNT".into()),
    }
}

/// One that is to end, and how: its exit code, or minus the number of its signal.
struct Victim {
    child: Child,
    way: i32,
}

fn govern(count: usize) -> Result<(), Box<dyn Error>> {
    let victims: Vec<Victim> = (0..count).map(victim).collect::<Result<_, _>>()?;
    let pids: Vec<u32> = victims.iter().map(|victim| victim.child.id()).collect();
    println!("{}", serde_json::json!(pids));
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    let mut ends = Vec::new();
    for (place, mut victim) in victims.into_iter().enumerate() {
        // Never in step with anybody's interval.
        std::thread::sleep(Duration::from_micros(5_000 + 7_919 * (place as u64 % 3)));
        // The end of its input is the sign.
        drop(victim.child.stdin.take());
        let mut stamp = [0; 8];
        let said = victim
            .child
            .stdout
            .as_mut()
            .ok_or("a victim has no voice")?;
        said.read_exact(&mut stamp)?;
        if place % 5 == 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
        victim.child.wait()?;
        ends.push((victim.child.id(), victim.way, u64::from_le_bytes(stamp)));
    }
    println!("{}", serde_json::json!(ends));
    Ok(())
}

fn victim(place: usize) -> std::io::Result<Victim> {
    let way = match place % 4 {
        3 => -SIGNALS[place / 4 % SIGNALS.len()].as_raw(),
        _ => i32::try_from(place * 37 % 256).unwrap_or(0),
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["victim", &way.to_string()]);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(Victim { child, way })
}

fn die(way: i32) -> Result<(), Box<dyn Error>> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let mut said = std::io::stdout();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    said.write_all(&u64::try_from(now.as_nanos())?.to_le_bytes())?;
    said.flush()?;
    let Some(signal) = Signal::from_named_raw(-way).filter(|_| way < 0) else {
        std::process::exit(way);
    };
    loop {
        // Rust's own handler takes the first SIGSEGV that is no fault, and leaves it at that.
        kill_process(getpid(), signal)?;
    }
}
