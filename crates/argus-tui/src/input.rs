//! Keys and signals, brought to the loop by two threads.
//!
//! The loop waits in one place, its follower; what happens here wakes it there. A first SIGINT,
//! SIGTERM or SIGHUP asks the loop to end, so that the terminal is restored; a second one, or one
//! after the end, does what it does by default.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use argus_read::Waker;
use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// How long the key thread outlives its screen at most.
const LINGER: Duration = Duration::from_millis(250);

/// What came in.
#[derive(Debug)]
pub(crate) enum Input {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A signal asks for the end.
    Stop,
    /// No key will ever come again.
    Lost(io::Error),
}

/// Keys and signals, until dropped.
pub(crate) struct Inputs {
    received: Receiver<Input>,
    ended: Arc<AtomicBool>,
    signals: Handle,
}

impl Inputs {
    /// Starts listening; `wakers` end the loop's wait, one for each thread.
    pub(crate) fn listen(wakers: [Waker; 2]) -> io::Result<Self> {
        let [for_keys, for_signals] = wakers;
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&ended))?;
        }
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let (sender, received) = channel();
        let inputs = Self {
            received,
            ended: Arc::clone(&ended),
            signals: handle,
        };
        let (keys, stop) = (sender.clone(), Arc::clone(&ended));
        std::thread::Builder::new()
            .name("argus-keys".into())
            .spawn(move || read_keys(&keys, &for_keys, &stop))?;
        std::thread::Builder::new()
            .name("argus-signals".into())
            .spawn(move || read_signals(signals, &sender, &for_signals, &ended))?;
        Ok(inputs)
    }

    /// What has come in since the last call. Never waits.
    pub(crate) fn take(&self) -> impl Iterator<Item = Input> {
        self.received.try_iter()
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.signals.close();
    }
}

fn read_signals(mut signals: Signals, sender: &Sender<Input>, waker: &Waker, ended: &AtomicBool) {
    if signals.forever().next().is_some() {
        ended.store(true, Ordering::SeqCst);
        // A closed channel: the loop has ended already.
        let _ = sender.send(Input::Stop);
        waker.wake();
    }
}

fn read_keys(sender: &Sender<Input>, waker: &Waker, ended: &AtomicBool) {
    while !ended.load(Ordering::SeqCst) {
        let input = match next_key() {
            Ok(None) => continue,
            Ok(Some(input)) => input,
            Err(error) => Input::Lost(error),
        };
        let last = matches!(input, Input::Lost(_));
        let delivered = sender.send(input).is_ok();
        waker.wake();
        if last || !delivered {
            return;
        }
    }
}

fn next_key() -> io::Result<Option<Input>> {
    if !event::poll(LINGER)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Input::Key(key)),
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    })
}
