//! `--stacks HZ`: the stacks of a Python program, sampled and recorded.
//!
//! A thread is recorded when its stack, its state or its name has changed, and every ten seconds
//! though nothing has, so that a thread that hangs costs next to nothing and one that is sampled can
//! be told from one that is not. A thread that is there no more is recorded as ended; a process that
//! ends, or is no longer watched, leaves its last stacks as they were.
//!
//! What cannot be read is said once for each cause, and everything else goes on. A program that is
//! just starting, or is still the shell that will execute it, is looked at again for half a minute.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use argus_model::Monotonic;
use argus_model::record::{STACK_REPEATED_EVERY, ThreadState};
use argus_observe::process::Target;
use argus_observe::stack::{Activity, StackError, StackSampler, Stacks, ThreadStack};

use super::console;
use super::plan::Plan;
use super::recorder::{Recorder, Stack, Subject};

/// How long a process must have been watched before its stacks are.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// The wait before the second attempt to find an interpreter; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Attempts: half a minute in all.
const ATTEMPTS: u32 = 8;
/// Bytes of a stack that are recorded, from the innermost call on.
const MAX_STACK: usize = 16_384;

/// Samples and records the stacks of one process.
#[derive(Debug)]
pub(super) struct StackRecorder {
    target: Target,
    period: Duration,
    /// When it is due; never again once it was given up.
    due: Option<Monotonic>,
    reader: Reader,
    changes: Changes,
    missed: u64,
    has_told_of_depth: bool,
}

#[derive(Debug)]
enum Reader {
    /// So many attempts have been made.
    Sought(u32),
    Found(Box<StackSampler>),
}

impl StackRecorder {
    /// Will sample `target`, if the plan wants that. Nothing is done yet: most children do not live
    /// until it is due.
    pub(super) fn of(plan: &Plan, target: &Target, now: Monotonic) -> Option<Self> {
        let period = 1.0 / plan.stacks?.hertz();
        Some(Self {
            target: target.clone(),
            period: Duration::try_from_secs_f64(period).unwrap_or(Duration::MAX),
            due: Some(now.plus(FIRST_LOOK)),
            reader: Reader::Sought(0),
            changes: Changes::default(),
            missed: 0,
            has_told_of_depth: false,
        })
    }

    /// When there is something to do; never again once there is nothing to read.
    pub(super) fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Samples, if it is time, and records what has changed. Warns of what keeps it from reading,
    /// each cause once. Costs up to 100 ms when the interpreter is sought, some microseconds a call
    /// afterwards.
    pub(super) fn work(&mut self, now: Monotonic, recorder: &Recorder, subject: &Subject) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = Some(now.plus(self.period));
        let told = match self.read() {
            Ok(stacks) => {
                let record = |stack: &Stack<'_>| recorder.stack(subject, stack);
                self.changes.take(&stacks, record);
                None
            }
            Err(error) => self.judge(error, now),
        };
        if let Some(error) = told {
            let advice = error.advice().map(|advice| format!("; {advice}"));
            let advice = advice.unwrap_or_default();
            console::warn(&format!("stacks are not recorded: {error}{advice}"));
        }
    }

    /// Warns that samples fell apart and were left out, if some did.
    pub(super) fn tell_missed(&self) {
        let (missed, pid) = (self.missed, self.target.pid);
        if missed > 0 {
            console::warn(&format!(
                "{missed} samples of the stacks of process {pid} fell apart and were left out"
            ));
        }
    }

    fn read(&mut self) -> Result<Stacks, StackError> {
        if let Reader::Sought(attempts) = self.reader {
            self.reader = Reader::Sought(attempts + 1);
            let found = StackSampler::attach(&self.target)?;
            self.reader = Reader::Found(Box::new(found));
        }
        match &mut self.reader {
            Reader::Found(sampler) => sampler.sample(),
            Reader::Sought(_) => Err(StackError::Ended(self.target.pid)),
        }
    }

    /// What follows from an error; what of it is to be said.
    fn judge(&mut self, error: StackError, now: Monotonic) -> Option<StackError> {
        match (&error, &self.reader) {
            // Whoever waits for its end hears of it by itself.
            (StackError::Ended(_), _) => {
                self.due = None;
                None
            }
            (
                StackError::NotPython(_) | StackError::NoInterpreter { .. },
                Reader::Sought(tried),
            ) if *tried < ATTEMPTS => {
                let wait = FIRST_RETRY.saturating_mul(1 << (tried - 1));
                self.due = Some(now.plus(wait));
                None
            }
            (StackError::TooDeep(_), _) => {
                self.missed += 1;
                let told = std::mem::replace(&mut self.has_told_of_depth, true);
                (!told).then_some(error)
            }
            (error, Reader::Found(_)) if error.is_passing() => {
                self.missed += 1;
                None
            }
            _ => {
                self.due = None;
                Some(error)
            }
        }
    }
}

/// What was recorded of the threads of a process: what need not be said again.
#[derive(Debug, Default)]
struct Changes {
    threads: HashMap<u32, Told>,
}

/// What was last recorded of a thread.
#[derive(Debug)]
struct Told {
    at: Monotonic,
    digest: u64,
    name: String,
}

impl Changes {
    /// Hands what is to be recorded of these stacks to `record`. Threads without an id are left out:
    /// nothing would tell one from another.
    fn take(&mut self, stacks: &Stacks, mut record: impl FnMut(&Stack<'_>)) {
        for thread in &stacks.threads {
            if let Some(tid) = thread.tid {
                self.take_thread(tid, thread, stacks.at, &mut record);
            }
        }
        let is_there = |tid: u32| stacks.threads.iter().any(|thread| thread.tid == Some(tid));
        self.threads.retain(|&tid, told| {
            let stays = is_there(tid);
            // Of threads that found no place in the sample nothing is known.
            if !stays && stacks.left_out == 0 {
                record(&Stack {
                    at: stacks.at,
                    tid,
                    thread: &told.name,
                    state: ThreadState::Ended,
                    holds_gil: false,
                    frames: "",
                });
            }
            stays
        });
    }

    fn take_thread(
        &mut self,
        tid: u32,
        thread: &ThreadStack,
        at: Monotonic,
        record: &mut impl FnMut(&Stack<'_>),
    ) {
        let digest = digest(thread);
        let is_news =
            |told: &Told| told.digest != digest || at.since(told.at) >= STACK_REPEATED_EVERY;
        match self.threads.entry(tid) {
            Entry::Occupied(told) if !is_news(told.get()) => return,
            entry => entry.insert_entry(Told {
                at,
                digest,
                name: thread.name.clone(),
            }),
        };
        record(&Stack {
            at,
            tid,
            thread: &thread.name,
            state: match thread.activity {
                Activity::Active => ThreadState::Active,
                Activity::Idle => ThreadState::Idle,
            },
            holds_gil: thread.holds_gil,
            frames: &frames(thread),
        });
    }
}

/// Differs when what would be recorded does.
fn digest(thread: &ThreadStack) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&thread.name, thread.activity, thread.holds_gil).hash(&mut hasher);
    (&thread.frames, thread.left_out).hash(&mut hasher);
    hasher.finish()
}

/// A line for each call, innermost first; the outermost ones are only counted when it gets long.
fn frames(thread: &ThreadStack) -> String {
    let mut text = String::new();
    let mut left_out = thread.left_out;
    for (index, frame) in thread.frames.iter().enumerate() {
        let line = frame.to_string().replace(['\n', '\r'], " ");
        if text.len() + line.len() >= MAX_STACK {
            left_out += thread.frames.len() - index;
            break;
        }
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    if left_out > 0 {
        let _ = write!(text, "\n… and {left_out} outer calls");
    }
    text
}

#[cfg(test)]
mod tests {
    use argus_observe::stack::Frame;

    use super::*;

    fn thread(tid: u32, functions: &[&str]) -> ThreadStack {
        let frames = functions.iter().map(|function| Frame {
            function: (*function).to_owned(),
            file: "shop.py".into(),
            line: Some(12),
        });
        ThreadStack {
            tid: Some(tid),
            name: format!("thread{tid}"),
            activity: Activity::Idle,
            holds_gil: false,
            frames: frames.collect(),
            left_out: 0,
        }
    }

    fn stacks(seconds: u64, threads: Vec<ThreadStack>) -> Stacks {
        Stacks {
            at: Monotonic::from_nanos(seconds * 1_000_000_000),
            threads,
            left_out: 0,
        }
    }

    /// What is recorded of these: thread, state, frames.
    fn recorded(changes: &mut Changes, stacks: &Stacks) -> Vec<String> {
        let mut out = Vec::new();
        changes.take(stacks, |stack| {
            let state = stack.state.word();
            out.push(format!("{} {state} {}", stack.tid, stack.frames));
        });
        out
    }

    #[test]
    fn only_what_has_changed_is_recorded() {
        let mut changes = Changes::default();
        let mut check = |seconds, threads, expected: &[&str]| {
            assert_eq!(recorded(&mut changes, &stacks(seconds, threads)), expected);
        };
        let wait = || thread(1, &["wait", "main"]);
        check(
            0,
            vec![wait()],
            &["1 idle wait (shop.py:12)\nmain (shop.py:12)"],
        );
        check(1, vec![wait()], &[]);
        check(
            1,
            vec![wait(), thread(2, &["f"])],
            &["2 idle f (shop.py:12)"],
        );
        let mut active = thread(2, &["f"]);
        active.activity = Activity::Active;
        check(
            2,
            vec![wait(), active.clone()],
            &["2 active f (shop.py:12)"],
        );
        active.frames[0].line = Some(13);
        check(3, vec![wait(), active], &["2 active f (shop.py:13)"]);
    }

    #[test]
    fn a_thread_that_hangs_is_recorded_every_ten_seconds() {
        let mut changes = Changes::default();
        let hung = |seconds| stacks(seconds, vec![thread(1, &["wait"])]);
        let count: usize = (0..=30)
            .map(|seconds| recorded(&mut changes, &hung(seconds)).len())
            .sum();
        assert_eq!(count, 4);
    }

    #[test]
    fn a_thread_that_ends_is_recorded_once() {
        let mut changes = Changes::default();
        recorded(
            &mut changes,
            &stacks(0, vec![thread(1, &["f"]), thread(2, &["g"])]),
        );
        let alone = stacks(1, vec![thread(1, &["f"])]);
        assert_eq!(recorded(&mut changes, &alone), ["2 ended "]);
        assert_eq!(recorded(&mut changes, &alone), [""; 0]);
    }

    #[test]
    fn a_thread_that_found_no_place_has_not_ended() {
        let mut changes = Changes::default();
        recorded(
            &mut changes,
            &stacks(0, vec![thread(1, &["f"]), thread(2, &["g"])]),
        );
        let mut cut = stacks(1, vec![thread(1, &["f"])]);
        cut.left_out = 1;
        assert_eq!(recorded(&mut changes, &cut), [""; 0]);
    }

    #[test]
    fn threads_without_an_id_are_left_out() {
        let mut nameless = thread(1, &["f"]);
        nameless.tid = None;
        let mut changes = Changes::default();
        assert_eq!(recorded(&mut changes, &stacks(0, vec![nameless])), [""; 0]);
    }

    #[test]
    fn a_long_stack_keeps_its_innermost_calls() {
        let long = "f".repeat(199);
        let mut deep = thread(1, &[long.as_str(); 128]);
        deep.frames[0].function = "in\nmost".into();
        deep.left_out = 7;
        let text = frames(&deep);
        assert!(text.len() <= MAX_STACK + 40, "{}", text.len());
        assert!(text.starts_with("in most (shop.py:12)\nfff"));
        let lines = text.lines().count();
        let rest = format!("… and {} outer calls", 7 + 128 - (lines - 1));
        assert_eq!(text.lines().last(), Some(rest.as_str()));
    }
}
