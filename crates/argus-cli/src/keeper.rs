//! Sees to it that a collector runs while a command needs one.
//!
//! A command never becomes the collector: it starts `argus collector`, and another one when that
//! has died. Nothing here happens with `ARGUS_COLLECTOR=off`.
//!
//! - [`catch_up`]: before a command reads, what lies in the spools is moved to the store.
//! - [`keep`]: while a command watches, a collector that dies gets a successor. Programs that
//!   record call one themselves at their next emit; while none of them emits, whoever watches is
//!   the only one to notice.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use argus_model::Timestamp;
use argus_model::paths::DataDir;
use argus_observe::platform;
use argus_observe::wake::wait_any;
use argus_spool::control::ControlPage;
use argus_spool::read::producers;
use argus_spool::starter::{self, StartError};
use argus_store::batch::CollectorState;

use crate::moment;
use crate::open::store_if_any;
use crate::output;

/// How long a command waits for the store to hold everything; then it shows what there is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a command waits that cannot go on without: a full spool takes a minute to store.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// How long a collector that lives is given to store something new; it stays silent when there is
/// nothing. Emit to commit takes 40 ms at most in 95 of 100 cases.
const GRACE: Duration = Duration::from_millis(100);
/// How often a waiting command looks.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// How often a watching command looks after a collector that does not answer. With the heartbeat's 1 s
/// this makes a takeover in under 2 s.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it looks while the collector's process lives, whose end the kernel tells: the process may
/// be another that has its id in another container.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// The longest pause after starts that came to nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a command waits.
struct Wait {
    /// For everything to be stored.
    for_all: Duration,
    /// For a collector that has stored nothing since it was asked to say that there is nothing.
    for_news: Duration,
}

/// Who reads is content with what there probably is.
const QUICKLY: Wait = Wait {
    for_all: PATIENCE,
    for_news: GRACE,
};

/// Who goes on where something stopped must know.
const SURELY: Wait = Wait {
    for_all: LONG_PATIENCE,
    for_news: LONG_PATIENCE,
};

/// Waits until the store holds what producers had written when this was called: 5 s at most, then
/// it says on standard error that something may be missing.
///
/// Without producers there is nothing to wait for, and nothing is made or started.
///
/// # Errors
/// When the store, or the folder beside it, cannot be used; nothing is changed then.
pub(crate) fn catch_up(data: &DataDir) -> Result<()> {
    if let Some(command) = command().filter(|_| has_producers(data)) {
        let missing = match wait_until_stored(data, &command, &QUICKLY)? {
            Progress::CaughtUp | Progress::NoNews => return Ok(()),
            Progress::Behind => "the collector is behind",
            Progress::Silent => "the collector does not answer",
        };
        output::note(&format!(
            "argus: {missing}; the newest records may be missing"
        ));
    }
    Ok(())
}

/// Waits until the store holds what producers had written when this was called, for as long as there is
/// progress to hope for.
///
/// # Errors
/// When that cannot be waited for, or the store cannot be used.
pub(crate) fn await_stored(data: &DataDir) -> Result<()> {
    if !has_producers(data) {
        return Ok(());
    }
    let lives = || ControlPage::open(&data.control()).ok()?.living_collector();
    let Some(command) = command().or_else(|| lives().and_then(|_| std::env::current_exe().ok()))
    else {
        bail!("records wait to be stored, and ARGUS_COLLECTOR is off");
    };
    match wait_until_stored(data, &command, &SURELY)? {
        Progress::CaughtUp => Ok(()),
        Progress::NoNews | Progress::Behind => {
            bail!("the records of an earlier run are not stored yet")
        }
        Progress::Silent => bail!("the collector does not answer"),
    }
}

fn wait_until_stored(data: &DataDir, command: &Path, wait: &Wait) -> Result<Progress> {
    store_if_any(data)?;
    let asked = (Instant::now(), moment::now());
    let control = match starter::ensure(data, command, PATIENCE) {
        Err(StartError::Silent) => return Ok(Progress::Silent),
        ensured => ensured?,
    };
    loop {
        control.wake_collector();
        let waited = asked.0.elapsed();
        match progress(data, control, asked.1)? {
            Progress::NoNews if waited < wait.for_news => {}
            Progress::Behind if waited < wait.for_all => {}
            progress => return Ok(progress),
        }
        thread::sleep(ASK_EVERY);
    }
}

/// How far the collector that lives now is, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It has looked at every spool since it was asked, and left nothing behind.
    CaughtUp,
    /// It had left nothing behind before, and has written nothing since.
    NoNews,
    /// There is more, or it has not begun.
    Behind,
    /// There is none.
    Silent,
}

fn progress(data: &DataDir, control: ControlPage, asked: Timestamp) -> Result<Progress> {
    let state = match store_if_any(data)? {
        Some(store) => store.collector()?,
        None => None,
    };
    let lives = |state: &CollectorState| control.living_collector() == Some(state.pid);
    Ok(match state.filter(lives) {
        Some(state) if state.backlog_bytes > 0 || state.held.is_some() => Progress::Behind,
        Some(state) if state.heartbeat >= asked => Progress::CaughtUp,
        Some(_) => Progress::NoNews,
        None => Progress::Behind,
    })
}

fn has_producers(data: &DataDir) -> bool {
    producers(&data.spool()).is_ok_and(|found| !found.is_empty())
}

/// Keeps a collector running from now on, in a thread that ends with the process. That none
/// answers shows on the screen, by the age of its heartbeat.
///
/// # Errors
/// When the folder beside the database cannot be used.
pub(crate) fn keep(data: &DataDir) -> Result<(), StartError> {
    let Some(command) = command() else {
        return Ok(());
    };
    let control = match starter::ensure(data, &command, Duration::ZERO) {
        Err(StartError::Silent) => {
            let path = data.control();
            ControlPage::open(&path).map_err(|source| StartError::Control { path, source })?
        }
        ensured => ensured?,
    };
    let data = data.clone();
    thread::spawn(move || look_after(control, &data, &command));
    Ok(())
}

fn look_after(control: ControlPage, data: &DataDir, command: &Path) -> ! {
    let mut pause = LOOK_EVERY;
    loop {
        match control.living_collector() {
            Some(pid) => {
                pause = LOOK_EVERY;
                await_end_of(pid);
            }
            None => {
                // Every try maps the control page anew, for good: those that fail become rare.
                let _ = starter::ensure(data, command, LOOK_EVERY);
                pause = (pause * 2).min(LONGEST_PAUSE);
                thread::sleep(pause);
            }
        }
    }
}

/// Returns soon after the process has ended, after [`LOOK_SELDOM`] at the latest. To sleep through that
/// costs a tenth of looking five times a second.
fn await_end_of(pid: u32) {
    let ended = platform::pidfd_open(pid);
    if let Ok(ended) = &ended
        && let Ok([false]) = wait_any([ended.as_fd()], Some(LOOK_SELDOM))
    {
        return;
    }
    // It is gone, and its heartbeat is good for a while; or the kernel tells no ends.
    thread::sleep(LOOK_EVERY);
}

/// What starts a collector, if that is allowed.
fn command() -> Option<PathBuf> {
    let off = std::env::var_os("ARGUS_COLLECTOR").as_deref() == Some(OsStr::new("off"));
    std::env::current_exe().ok().filter(|_| !off)
}
