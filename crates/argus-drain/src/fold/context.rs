//! What a record's words mean in the chunk it stands in: names, subjects, thread, clocks.

use std::sync::Arc;
use std::time::Duration;

use argus_model::time::ClockAnchor;
use argus_model::{Monotonic, NameKind, NameNumber, NameText, Timestamp};
use argus_store::batch::{LogFile, Subject, Thread};
use foldhash::HashMap;

/// A record this far ahead of the collector's clock is put back to it: on one machine there is no
/// such thing.
const TOLERATED_AHEAD: Duration = Duration::from_secs(5);

/// What holds for one generation of one chunk.
#[derive(Debug)]
pub struct ChunkContext {
    pub(super) anchor: ClockAnchor,
    pub(super) thread: Arc<Thread>,
    pub(super) names: HashMap<NameNumber, Arc<NameText>>,
    pub(super) subjects: HashMap<u32, Arc<Subject>>,
    pub(super) files: HashMap<u32, Arc<LogFile>>,
}

impl ChunkContext {
    /// The context with which a generation begins.
    pub fn new(anchor: ClockAnchor, thread: Thread) -> Self {
        Self {
            anchor,
            thread: Arc::new(thread),
            names: HashMap::default(),
            subjects: HashMap::default(),
            files: HashMap::default(),
        }
    }

    pub(super) fn name(&self, number: NameNumber) -> Arc<NameText> {
        self.names
            .get(&number)
            .cloned()
            .unwrap_or_else(|| Arc::new(NameText::plain(NameKind::Span, format!("?{}", number.0))))
    }
}

/// Wall time by a chunk's anchor, never ahead of the collector's.
pub(super) struct Clock {
    pub(super) anchor: ClockAnchor,
    pub(super) now: Timestamp,
    pub(super) clamped: u64,
}

impl Clock {
    pub(super) fn wall(&mut self, at: Monotonic) -> Timestamp {
        let wall = self.anchor.wall_at(at);
        if wall > self.now.plus(TOLERATED_AHEAD) {
            self.clamped += 1;
            return self.now;
        }
        wall
    }
}
