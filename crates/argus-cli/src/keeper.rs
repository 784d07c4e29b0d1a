//! Keeps a collector running for as long as a command shows the store.
//!
//! A command never becomes the collector: it starts `argus collector`, and another one when that
//! has died. Programs that record do so themselves at their next emit; while none of them emits,
//! whoever watches is the only one to notice.

use std::ffi::OsStr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use argus_spool::starter::{self, StartError};

/// How often to look. With the heartbeat's 1.5 s this makes a takeover in under 2 s.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest pause after starts that came to nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Keeps a collector running from now on, in a thread that ends with the process; does nothing
/// with `ARGUS_COLLECTOR=off`. That none answers shows on the screen, by the age of its heartbeat.
///
/// # Errors
/// When the folder beside the database cannot be used.
pub(crate) fn keep(data: &DataDir) -> Result<(), StartError> {
    let off = std::env::var_os("ARGUS_COLLECTOR").as_deref() == Some(OsStr::new("off"));
    let Some(command) = std::env::current_exe().ok().filter(|_| !off) else {
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
        thread::sleep(pause);
        if control.living_collector().is_some() {
            pause = LOOK_EVERY;
            continue;
        }
        // Every try maps the control page anew, for good: those that fail become rare.
        let _ = starter::ensure(data, command, LOOK_EVERY);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
