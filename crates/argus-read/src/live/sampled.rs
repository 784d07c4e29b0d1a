//! What a program that records nothing itself is in the middle of, sampled from outside.

use argus_model::Timestamp;
use argus_model::record::ThreadState;
use argus_store::query::StoredStack;

/// A thread as it was when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampledThread {
    /// Kernel thread id.
    pub tid: u32,
    /// Thread name.
    pub name: String,
    /// What it was at.
    pub state: ThreadState,
    /// It held the interpreter's lock.
    pub holds_gil: bool,
    /// The calls it was in, `function (file:line)`, outermost first as open spans are.
    pub frames: Vec<String>,
    /// When that was; nothing has changed since, as far as is known.
    pub at: Timestamp,
}

impl SampledThread {
    pub(super) fn of(stack: StoredStack) -> Self {
        Self {
            frames: stack.frames.lines().rev().map(str::to_owned).collect(),
            tid: stack.tid,
            name: stack.thread,
            state: stack.state,
            holds_gil: stack.holds_gil,
            at: stack.at,
        }
    }
}
