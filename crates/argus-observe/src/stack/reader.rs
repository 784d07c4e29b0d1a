//! The only place that knows `py-spy`, and what is kept from it.
//!
//! It is used without pauses, without native frames, and without variables. Of a program that goes on
//! it may read nonsense: its own bounds on texts, frames and threads hold, and where it panics (an
//! index into a table that has changed) the panic ends here, silently.

use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

use py_spy::config::LockingStrategy;
use py_spy::{Config, PythonSpy, StackTrace};

use super::{
    Activity, Broken, Cause, Frame, MAX_FRAMES, MAX_TEXT, StackError, States, ThreadStack,
};
use crate::platform;

/// Attempts at finding the interpreter of a program that goes on.
const ATTEMPTS: u32 = 3;
/// How long the names of threads are believed while no thread comes or goes.
const NAMES_HOLD: Duration = Duration::from_secs(10);
/// Where glibc keeps the kernel's id in what `pthread_self` points to.
const TID_OFFSET: Option<u64> = if cfg!(target_arch = "x86_64") {
    Some(0x2d0)
} else if cfg!(target_arch = "aarch64") {
    Some(0xd0)
} else {
    None
};

/// A thread as Python and as the kernel know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    pthread: u64,
    tid: Option<u32>,
}

/// Reads one interpreter.
pub(super) struct Reader {
    spy: PythonSpy,
    /// The threads at the last read.
    last_seen: Vec<Seen>,
    names_read: Instant,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader of {} ({})", self.spy.pid, self.spy.version)
    }
}

impl Reader {
    /// Finds the interpreter.
    pub(super) fn open(pid: u32) -> Result<Self, StackError> {
        let config = Config {
            blocking: LockingStrategy::NonBlocking,
            native: false,
            // Shortening looks for files, and keeps what it found for ever.
            full_filenames: true,
            ..Config::default()
        };
        let raw_pid = pid.try_into().map_err(|_| StackError::Ended(pid))?;
        let mut attempt = 1;
        loop {
            let opened = quietly(|| PythonSpy::new(raw_pid, &config));
            let cause: Cause = match opened {
                Ok(Ok(spy)) => {
                    return Ok(Self {
                        spy,
                        last_seen: Vec::new(),
                        names_read: Instant::now(),
                    });
                }
                Ok(Err(error)) => error.into(),
                Err(panicked) => panicked.into(),
            };
            if let Some(version) = unsupported(&*cause) {
                return Err(StackError::Unsupported { pid, version });
            }
            if attempt == ATTEMPTS {
                return Err(StackError::NoInterpreter { pid, source: cause });
            }
            attempt += 1;
        }
    }

    /// Reads all threads, whose states were looked at before.
    pub(super) fn read(&mut self, states: &States) -> Result<Vec<ThreadStack>, Broken> {
        let mut traces = self.traces()?;
        let mut seen = self.identify(&traces, states);
        if seen != self.last_seen || self.names_read.elapsed() >= NAMES_HOLD {
            // Names are kept by an id that the next thread may get.
            self.spy.python_thread_names.clear();
            self.names_read = Instant::now();
            traces = self.traces()?;
            seen = self.identify(&traces, states);
            self.last_seen.clone_from(&seen);
        }
        let threads = traces.into_iter().zip(seen);
        Ok(threads
            .map(|(trace, seen)| tell(trace, seen.tid, states))
            .collect())
    }

    fn traces(&mut self) -> Result<Vec<StackTrace>, Broken> {
        let read = quietly(|| self.spy.get_stack_traces());
        let cause: Cause = match read {
            Ok(Ok(traces)) => return Ok(traces),
            Ok(Err(error)) => error.into(),
            Err(panicked) => panicked.into(),
        };
        if chain(&*cause).any(|text| text.contains("Max frame recursion depth")) {
            return Err(Broken::TooDeep);
        }
        Err(Broken::Torn(cause))
    }
    /// Which thread is which for the kernel.
    fn identify(&self, traces: &[StackTrace], states: &States) -> Vec<Seen> {
        let pid = self.spy.pid.cast_unsigned();
        let outer = |inner: u32| {
            let same = |(tid, state): (&u32, &super::threads::State)| {
                (state.inner == inner).then_some(*tid)
            };
            states.iter().find_map(same)
        };
        let find = |trace: &StackTrace| {
            let noted = trace.os_thread_id.and_then(|tid| tid.try_into().ok());
            noted
                .and_then(outer)
                .or_else(|| outer(kernel_id(pid, trace.thread_id)?))
                .or_else(|| (traces.len() == 1).then_some(pid))
        };
        let identified = traces.iter().map(|trace| Seen {
            pthread: trace.thread_id,
            tid: find(trace),
        });
        identified.collect()
    }
}

/// The kernel's id of the thread with this `pthread_self`, if its C library is glibc. What is read
/// means nothing unless a thread with this id exists.
fn kernel_id(pid: u32, pthread: u64) -> Option<u32> {
    let mut space = [0; 4];
    let address = pthread.checked_add(TID_OFFSET?)?;
    platform::read_memory(pid, address, &mut space).ok()?;
    Some(u32::from_ne_bytes(space))
}

fn tell(trace: StackTrace, tid: Option<u32>, states: &States) -> ThreadStack {
    let state = tid.and_then(|tid| states.get(&tid));
    let activity = state.map_or(
        if trace.active {
            Activity::Active
        } else {
            Activity::Idle
        },
        |state| state.activity,
    );
    let name = trace.thread_name.filter(|name| !name.is_empty());
    let name = name.or_else(|| state.map(|state| state.name.clone()));
    ThreadStack {
        tid,
        name: beginning(name.unwrap_or_default()),
        activity,
        holds_gil: trace.owns_gil,
        left_out: trace.frames.len().saturating_sub(MAX_FRAMES),
        frames: trace
            .frames
            .into_iter()
            .take(MAX_FRAMES)
            .map(|frame| Frame {
                function: beginning(frame.name),
                file: end(frame.filename),
                line: u32::try_from(frame.line).ok().filter(|line| *line > 0),
            })
            .collect(),
    }
}

/// The first bytes of a text that is too long.
fn beginning(text: String) -> String {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let cut = text.floor_char_boundary(MAX_TEXT - "…".len());
    format!("{}…", &text[..cut])
}

/// The last bytes of a path that is too long.
fn end(path: String) -> String {
    if path.len() <= MAX_TEXT {
        return path;
    }
    let cut = path.ceil_char_boundary(path.len() - (MAX_TEXT - "…".len()));
    format!("…{}", &path[cut..])
}

/// The version that is said not to be known; the library has no other way of saying it.
fn unsupported(error: &(dyn Error + Send + Sync + 'static)) -> Option<String> {
    chain(error).find_map(|text| {
        let version = text.strip_prefix("Unsupported version of Python: ")?;
        Some(version.to_owned())
    })
}

fn chain<'a>(error: &'a (dyn Error + Send + Sync + 'static)) -> impl Iterator<Item = String> + 'a {
    let first: &'a (dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
    .map(ToString::to_string)
}

/// The reading code panicked.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stacks came apart: {0}")]
struct Panicked(String);

thread_local! {
    /// Whether a panic of this thread is expected, and nobody is to hear of it.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does work that may panic without harm: the panic is an error, and is not printed.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    // What a panic leaves behind is thrown away, or (caches of names) read again.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    outcome.map_err(|payload| Panicked(said(payload.as_ref())))
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let table = [1, 2, 3];
        let outcome = quietly(|| table[std::hint::black_box(7)]);
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "the reader of stacks came apart: index out of bounds: the len is 3 but the index is 7"
        );
        assert_eq!(quietly(|| 7).unwrap(), 7);
    }

    #[test]
    fn long_names_keep_their_beginning_and_long_paths_their_end() {
        assert_eq!(beginning("price".into()), "price");
        let long = "é".repeat(MAX_TEXT);
        let cut = beginning(long.clone());
        assert!(cut.len() <= MAX_TEXT && cut.ends_with("é…"), "{cut}");
        let cut = end(format!("{long}/shop.py"));
        assert!(cut.len() <= MAX_TEXT && cut.starts_with('…'), "{cut}");
        assert!(cut.ends_with("é/shop.py"), "{cut}");
    }

    #[test]
    fn a_version_that_is_not_known_is_told() {
        let error = std::io::Error::other("Unsupported version of Python: 3.99.0");
        assert_eq!(unsupported(&error), Some("3.99.0".into()));
        assert_eq!(unsupported(&std::io::Error::other("no")), None);
    }
}
