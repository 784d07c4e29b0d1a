//! `argus watch`: the live screen's edge.
//!
//! One loop: take keys, look for a store, read it when there is news, draw when something changed,
//! wait. What is decided lies elsewhere (`view`, `pace`); this only fetches and calls.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use argus_model::Timestamp;
use argus_read::stored::{OpenError, ReadError, Store};
use argus_read::{Follower, LiveOptions, LiveState, Wake};
use jiff::tz::TimeZone;

use crate::input::{Input, Inputs};
use crate::pace::{Growth, Pace};
use crate::terminal::Screen;
use crate::view::{Drawn, Reaction, Scene, Theme, View};

/// The longest wait: a bound that keeps a wrong schedule from looking like a dead screen.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Opens the store; `None` while there is none yet.
pub type OpenStore = Box<dyn FnMut() -> Result<Option<Box<dyn Store>>, OpenError>>;

/// What to watch.
pub struct WatchOptions {
    /// The store's path, to be shown.
    pub database: PathBuf,
    /// Only this process.
    pub pid: Option<u32>,
    /// Called a few times a second until it gives a store, and again if that cannot be read.
    pub open: OpenStore,
}

/// The screen could not be shown, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Standard output goes elsewhere.
    #[error("the live screen needs a terminal")]
    NotATerminal,
    /// The terminal failed.
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    /// The process can have no further descriptor or thread.
    #[error("the live screen cannot be set up")]
    Setup(#[source] io::Error),
    /// There is a store, and it cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Shows the live screen until the user or a signal (SIGINT, SIGTERM, SIGHUP) ends it.
///
/// Takes the terminal's alternate screen and gives the terminal back as it was, also after a panic.
/// Uses colours unless `NO_COLOR` is set. A store that does not exist yet is waited for.
pub fn watch(follower: Follower, options: WatchOptions) -> Result<(), WatchError> {
    if !io::stdout().is_terminal() {
        return Err(WatchError::NotATerminal);
    }
    let wakers = follower
        .waker()
        .and_then(|first| Ok([first, follower.waker()?]))
        .map_err(WatchError::Setup)?;
    let mut session = Session::new(follower, options);
    session.seek()?;
    // The inputs listen before the terminal is taken: no signal finds it taken and unguarded.
    let inputs = Inputs::listen(wakers).map_err(WatchError::Setup)?;
    let mut screen = Screen::open().map_err(WatchError::Terminal)?;
    session.run(&inputs, &mut screen)
}

struct Session {
    follower: Follower,
    options: WatchOptions,
    live: LiveOptions,
    store: Option<Box<dyn Store>>,
    state: LiveState,
    view: View,
    pace: Pace,
    theme: Theme,
    zone: TimeZone,
    problem: Option<String>,
}

impl Session {
    fn new(follower: Follower, options: WatchOptions) -> Self {
        let live = LiveOptions {
            pid: options.pid,
            ..LiveOptions::default()
        };
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            follower,
            options,
            state: LiveState::new(live.clone()),
            live,
            store: None,
            view: View::default(),
            pace: Pace::default(),
            theme: if no_color {
                Theme::plain()
            } else {
                Theme::colored()
            },
            zone: TimeZone::system(),
            problem: None,
        }
    }

    fn run(&mut self, inputs: &Inputs, screen: &mut Screen) -> Result<(), WatchError> {
        let mut changed = true;
        loop {
            for input in inputs.take() {
                match input {
                    Input::Stop => return Ok(()),
                    Input::Lost(error) => return Err(WatchError::Terminal(error)),
                    Input::Resized => changed = true,
                    Input::Key(key) => match self.view.press(key, &self.state, now()) {
                        Reaction::Quit => return Ok(()),
                        Reaction::Redraw => changed = true,
                        Reaction::Ignore => {}
                    },
                }
            }
            changed |= self.seek()?;
            changed |= self.read();
            let due = self.pace.until_draw(Instant::now()) == Some(Duration::ZERO);
            if changed || due {
                self.draw(screen).map_err(WatchError::Terminal)?;
                changed = false;
            }
            changed |= self.wait();
        }
    }

    /// Looks for a store while there is none. Says whether there is one now.
    fn seek(&mut self) -> Result<bool, OpenError> {
        let now = Instant::now();
        if self.store.is_some() || !self.pace.until_seek(now).is_zero() {
            return Ok(false);
        }
        self.pace.sought(now);
        self.store = match (self.options.open)() {
            // Not there yet, or the collector is about to bring it up to date.
            Err(OpenError::Missing(_) | OpenError::Older { .. }) => None,
            opened => opened?,
        };
        if self.store.is_some() {
            // Cursors belong to the file they were read from.
            self.state = LiveState::new(self.live.clone());
            self.pace.committed();
        }
        Ok(self.store.is_some())
    }

    /// Reads the store if it is time to. Says whether there is something new to show.
    fn read(&mut self) -> bool {
        let began = Instant::now();
        let due = self.pace.until_read(began) == Some(Duration::ZERO);
        let Some(store) = self.store.as_deref().filter(|_| due) else {
            return false;
        };
        if self.view.is_paused() {
            return false;
        }
        match self.state.refresh(store, now()) {
            Ok(refreshed) => {
                self.pace.read(began, Instant::now(), refreshed);
                self.problem = None;
            }
            Err(error) => self.give_up(&error),
        }
        true
    }

    /// Shows what went wrong, and looks for the store anew.
    fn give_up(&mut self, error: &ReadError) {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        self.problem = Some(format!("{error}{}", cause.unwrap_or_default()));
        self.store = None;
        self.pace.sought(Instant::now());
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let scene = Scene {
            state: &self.state,
            now: self.view.paused_at().unwrap_or_else(now),
            zone: &self.zone,
            database: &self.options.database,
            pid: self.options.pid,
            has_store: self.store.is_some(),
            problem: self.problem.as_deref(),
        };
        let mut drawn = Drawn::default();
        screen.draw(|frame| drawn = self.view.draw(frame, &scene, &self.theme))?;
        let growth = match self.view.is_paused() {
            true => Growth::Frozen,
            false => Growth::Growing,
        };
        self.pace.drawn(Instant::now(), drawn.youngest, growth);
        Ok(())
    }

    /// Waits until there is something to do. Says whether a frame must be drawn for it.
    fn wait(&mut self) -> bool {
        let now = Instant::now();
        let read = match self.view.is_paused() {
            true => None,
            false => self.pace.until_read(now),
        };
        let seek = self.store.is_none().then(|| self.pace.until_seek(now));
        let timeout = [read, seek, self.pace.until_draw(now)]
            .into_iter()
            .flatten()
            .fold(LONGEST_WAIT, Duration::min);
        match self.follower.wait(self.store.as_deref(), timeout) {
            Ok(Wake::Committed) => self.pace.committed(),
            Ok(Wake::Called | Wake::TimedOut) => {}
            Err(error) => {
                self.give_up(&error);
                return true;
            }
        }
        false
    }
}

fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::default().plus(since)
}
