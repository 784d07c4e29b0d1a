//! What this test binary does when it is started as a program under observation.
//!
//! Every host says in the file [`SAID`] what it counted, prints a line of its own, and ends with an
//! exit code of its own, whatever was done to its recording.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argus_client::{Flushed, flush, span};
use argus_spool::{Appended, Weight};

use super::bed::PATIENCE;
use super::ledger::Said;
use super::{children, clock, exec, programs};

pub(crate) const ROLE: &str = "ARGUS_TEST_ROLE";
/// Where hosts say what they emitted.
pub(crate) const SAID: &str = "ARGUS_TORTURE_SAID";
/// What a host says on its own account, and how it ends.
pub(crate) const OWN_WORDS: &str = "the host's own words";
pub(crate) const OWN_CODE: i32 = 7;

/// The test that is no test but a host program.
#[test]
fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let words: Vec<&str> = role.split(':').collect();
    let number = |index: usize| words[index].parse::<u32>().unwrap();
    match words[0] {
        "spans-until-killed" => spans_until_killed(Path::new(words[1])),
        "spans" => spans(number(1), Duration::from_millis(number(2).into())),
        "spans-and-lane" => spans_and_lane(number(1), number(2)),
        "lanes" => lanes(0..number(1), number(2)),
        "lane" => lanes(number(1)..number(1) + 1, number(2)),
        "threads" => threads(number(1), number(2)),
        "children" => families(number(1), number(2)),
        "through-a-shortage" => through_a_shortage(Path::new(words[1])),
        "through-a-breakdown" => through_a_breakdown(Path::new(words[1])),
        "clock" => clock::host(words[1]),
        "suspended" => clock::suspended(words[1]),
        "exec" => exec::host(number(1), Path::new(words[2])),
        "then-until-killed" => exec::then_until_killed(Path::new(words[1])),
        "disk" => programs::disk::host(number(1), Path::new(words[2])),
        "old-format" => super::upgrade::write_fixture(),
        other => panic!("no role {other}"),
    }
    let mut out = std::io::stdout();
    writeln!(out, "{OWN_WORDS}").unwrap();
    out.flush().unwrap();
    std::process::exit(OWN_CODE);
}

pub(crate) fn said() -> PathBuf {
    std::env::var_os(SAID).unwrap().into()
}

/// Opens an outer span and ends inner ones in it, saying after each how many were emitted, in a
/// file that survives as the spool does.
fn spans_until_killed(progress: &Path) {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(progress)
        .unwrap();
    let _outer = span!("outer");
    for ended in 1_u64.. {
        drop(span!("inner", number = ended));
        file.write_all_at(&ended.to_le_bytes(), 0).unwrap();
    }
}

/// Spans one after the other, with a pause after every ten of them.
fn spans(count: u32, pause: Duration) {
    for number in 0..count {
        drop(span!("inner", number = number));
        if !pause.is_zero() && number % 10 == 0 {
            std::thread::sleep(pause);
        }
    }
}

/// Spans one after the other, in each of them a record of one lane, for about a tenth of a
/// millisecond each.
fn spans_and_lane(lane: u32, count: u32) {
    let mut said = Said::default();
    for number in 0..count {
        let _span = span!("inner", number = number);
        said.emit(lane, number, Weight::Normal);
        if number % 10 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    said.say(&self::said());
}

/// Emits these lanes of this many records, one after the other.
fn lanes(lanes: std::ops::Range<u32>, each: u32) {
    let mut said = Said::default();
    for lane in lanes {
        for number in 0..each {
            said.emit(lane, number, Weight::Normal);
        }
    }
    said.say(&self::said());
}

/// Many threads that live for a moment, eight at a time. Now and then they wait for the collector: how
/// much chunks are used again must not depend on who is faster on this machine.
fn threads(count: u32, each: u32) {
    let file = said();
    let mut first = 0;
    while first < count {
        let wave = first..(first + 8).min(count);
        first = wave.end;
        if first % 400 == 0 {
            assert_eq!(flush(PATIENCE), Flushed::Committed);
        }
        std::thread::scope(|scope| {
            let file = &file;
            for lane in wave {
                scope.spawn(move || {
                    let mut said = Said::default();
                    for number in 0..each {
                        said.emit(lane, number, Weight::Normal);
                    }
                    said.say(file);
                });
            }
        });
    }
}

/// Children of every kind; each emits one lane and leaves in its own way.
fn families(count: u32, each: u32) {
    let mut parent = Said::default();
    let file = said();
    for child in 0..count {
        parent.emit(0, child, Weight::Normal);
        let made = children::make(child, || {
            let mut said = Said::default();
            for number in 0..each {
                said.emit(child + 1, number, Weight::Normal);
            }
            said.say(&file);
        });
        assert_eq!(made, 0, "child {child}");
    }
    parent.say(&file);
}

/// Emits until there is no room for ordinary records, then until there is none for errors, waits
/// until `signals` says that there may be room again, and emits until there is.
fn through_a_shortage(signals: &Path) {
    let mut said = Said::default();
    let mut numbers = 0_u32..;
    let mut until = |said: &mut Said, weight: Weight, enough: &mut dyn FnMut(Appended) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        for number in numbers.by_ref() {
            assert!(Instant::now() < deadline, "in time: {said:?}");
            if enough(said.emit(0, number, weight)) {
                return;
            }
        }
    };
    for (weight, signal) in [(Weight::Normal, "normal"), (Weight::Error, "errors")] {
        let mut refused = 0;
        until(&mut said, weight, &mut |appended| {
            refused += u32::from(appended == Appended::Lost);
            refused == 1_000
        });
        std::fs::write(signals.join(signal), "").unwrap();
        wait_for(&signals.join(format!("{signal}-seen")));
    }
    let mut accepted = 0;
    until(&mut said, Weight::Normal, &mut |appended| {
        accepted += u32::from(appended == Appended::Accepted);
        accepted == 1_000
    });
    said.say(&self::said());
    assert_eq!(flush(PATIENCE), Flushed::Committed);
    let told = argus_client::stats();
    assert_eq!(told.lost_normal, said.refused_normal);
    assert_eq!(told.lost_errors, said.refused_errors);
    assert_eq!(
        told.emitted - told.lost_normal - told.lost_errors,
        said.accepted
    );
}

/// Emits on and on, whatever becomes of it, until `signals` says that it is over.
fn through_a_breakdown(signals: &Path) {
    let mut said = Said::default();
    let over = signals.join("over");
    let deadline = Instant::now() + PATIENCE;
    for number in 0.. {
        said.emit(0, number, Weight::Normal);
        if number == 1_000 {
            std::fs::write(signals.join("flowing"), "").unwrap();
        }
        if number % 1_000 == 0 {
            std::thread::sleep(Duration::from_millis(1));
            if over.exists() || Instant::now() > deadline {
                break;
            }
        }
    }
    said.say(&self::said());
}

fn wait_for(file: &Path) {
    super::bed::until(&format!("{} exists", file.display()), || file.exists());
}
