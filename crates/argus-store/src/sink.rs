//! The writing side of a store. Only the drain uses it, and only the holder of the collector's lock.

use argus_model::{ProducerId, Timestamp};

use crate::batch::{Batch, OpenSpan, Position, Subject};
use crate::error::{CommitError, ReadError};
use crate::query::StoredLogTemplate;
use crate::retention::{Pruned, Retention};

/// What the store remembers of a producer: what a collector needs that takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownProducer {
    /// The process, as the producer described it.
    pub subject: Subject,
    /// It records others and is of no interest by itself.
    pub observer: bool,
    /// Records read from its spool so far: stored, damaged and unknown ones.
    pub drained: u64,
}

/// What an engine must promise to be written by the drain.
///
/// 1. [`commit`](Sink::commit) is atomic: after a crash all of a batch is there or nothing of it.
/// 2. A committed batch is visible to every [`Store`](crate::Store) opened or queried afterwards.
/// 3. After [`sync`](Sink::sync) everything committed before survives a loss of power.
/// 4. Rows get increasing ids in commit order, so that followers miss none.
/// 5. A span that ends leaves the open spans in the same commit; a producer's end turns its open
///    spans into interrupted ones with status ERR, the time until the end as their duration, and
///    an exception beginning with `interrupted:`.
/// 6. What is pruned leaves listings, counts and statistics in the same transaction; ids are never
///    given again.
pub trait Sink: Send {
    /// Commits a batch. One with nothing but the collector's account is taken even when a reader
    /// holds the store back: it is how others learn of that.
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError>;

    /// Makes everything committed so far durable.
    fn sync(&mut self) -> Result<(), CommitError>;

    /// Removes a slice of what is beyond the limits, about `slice` rows, the oldest first, in one
    /// transaction that takes a few milliseconds, and keeps the house: an engine may sum up there
    /// what is over. Call it again while there is more to do; what is committed in between is not
    /// held up.
    fn prune(
        &mut self,
        retention: &Retention,
        now: Timestamp,
        slice: usize,
    ) -> Result<Pruned, CommitError>;

    /// What is remembered of this producer; nothing when it was never heard of.
    fn known(&self, producer: ProducerId) -> Result<Option<KnownProducer>, ReadError>;

    /// How far the spool of this producer has been read.
    fn positions(&self, producer: ProducerId) -> Result<Vec<Position>, ReadError>;

    /// The spans of this producer that are open in the store.
    fn open_spans(&self, producer: ProducerId) -> Result<Vec<OpenSpan>, ReadError>;

    /// The templates of log lines, in the order of their ids.
    fn log_templates(&self) -> Result<Vec<StoredLogTemplate>, ReadError>;

    /// Producers that have a row and no end: after a takeover, those whose death may have been missed.
    fn unended_producers(&self) -> Result<Vec<ProducerId>, ReadError>;
}
