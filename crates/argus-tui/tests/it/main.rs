//! The real screen on a pseudo-terminal, ended in ways that no command can be asked for.
//!
//! The test runs its own binary again inside the terminal, where `inside` takes its part.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use argus_read::Follower;
use argus_read::stored::OpenError;
use argus_tui::{WatchError, WatchOptions, watch};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Names the ending that `inside` plays.
const PART: &str = "ARGUS_TEST_SCREEN";

/// Runs `inside` in a terminal; what it wrote, once the terminal is found as it was.
fn screen_that_ends_by(part: &str) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let before = tcgetattr(&terminal).unwrap();
    let side = || Stdio::from(terminal.try_clone().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inside", "--nocapture"])
        .env(PART, part)
        .env("RUST_BACKTRACE", "0")
        .stdin(side())
        .stdout(side())
        .stderr(side())
        .spawn()
        .unwrap();
    let reader = std::thread::spawn(move || {
        let mut written = Vec::new();
        // EIO is the end: every side of the terminal has closed it.
        let _ = File::from(master).read_to_end(&mut written);
        String::from_utf8_lossy(&written).into_owned()
    });
    child.wait().unwrap();
    let after = tcgetattr(&terminal).unwrap();
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    assert_eq!(after.local_modes & cooked, before.local_modes & cooked);
    assert_eq!(after.output_modes, before.output_modes);
    drop(terminal);
    reader.join().unwrap()
}

/// Plays the part it is asked for, which outside of a terminal is none.
#[test]
fn inside() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let mut looks = 0;
    let options = WatchOptions {
        database: "/data/argus_runtime.db".into(),
        pid: None,
        open: Box::new(move || {
            looks += 1;
            match (looks, part.as_str()) {
                (1, _) => Ok(None),
                (_, "panic") => panic!("the store has exploded"),
                _ => Err(OpenError::NotOurs("/data".into())),
            }
        }),
    };
    let ended = watch(Follower::polling().unwrap(), options);
    assert!(matches!(ended, Err(WatchError::Open(_))));
    println!("it said why");
}

/// The screen was shown, left for the main screen, and `last_words` came after that.
fn check(part: &str, last_words: &str) {
    let written = screen_that_ends_by(part);
    let entered = written.find("\u{1b}[?1049h").expect(&written);
    let left = written.rfind("\u{1b}[?1049l").expect(&written);
    let words = written.find(last_words).expect(&written);
    assert!(entered < left && left < words, "{written}");
    assert!(written[entered..left].contains("argus run"), "{written}");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    check("panic", "the store has exploded");
}

#[test]
fn an_error_gives_the_terminal_back() {
    check("error", "it said why");
}
