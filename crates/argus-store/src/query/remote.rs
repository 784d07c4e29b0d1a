//! Parents in other programs, as they are asked for.

use argus_model::{SpanKey, Timestamp};

/// Which spans with a parent in another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteParents {
    /// Those of a trace.
    Trace(u128),
    /// Those below the span with this id, see [`argus_model::trace::span_id`].
    Below(u64),
}

/// A span's parent in another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRemoteParent {
    /// The span.
    pub key: SpanKey,
    /// When it began.
    pub at: Timestamp,
    /// The trace's id.
    pub trace: u128,
    /// The parent's id within it.
    pub parent: u64,
}
