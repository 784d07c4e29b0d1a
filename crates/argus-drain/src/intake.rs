//! One producer's spool, read on and on.
//!
//! An [`Intake`] holds a reader per chunk and the [`Fold`] that their records go through. It reads
//! what is new into a batch, knows what to tell the producer after the commit, what to release after
//! the sync, and removes the spool when the producer is dead and everything is durable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use argus_model::time::ClockAnchor;
use argus_model::{ProducerId, Timestamp};
use argus_spool::control::ControlPage;
use argus_spool::read::{ChunkReader, Producer, Progress, chunks};
use argus_store::batch::{Batch, OpenSpan, Position, Thread};
use argus_store::sink::KnownProducer;

use crate::fold::{ChunkContext, Fold};

/// Within one tick of the file system's clock a new file does not change its folder's time.
const MTIME_GRAIN_MS: u128 = 50;

/// How much is read for one batch from one chunk before the others have their turn.
const TURN_BYTES: u32 = 256 * 1024;

/// How far is read on in search of the starts of spans that have ended.
const MOST_AHEAD: u32 = 256 << 20;

/// Where a chunk's generation stands on its way back to the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Being read.
    Reading,
    /// Read to its end in the batch that is not committed yet.
    Ended,
    /// Committed, not yet synced.
    Committed,
    /// Given back.
    Released,
}

#[derive(Debug)]
struct Chunk {
    reader: ChunkReader,
    context: ChunkContext,
    stage: Stage,
    /// The offset up to which the producer was told that its records are committed.
    told: u32,
}

/// What a chunk's turn brought.
#[derive(Debug, Clone, Copy)]
struct Turn {
    bytes: u32,
    progress: Progress,
}

/// One producer's spool.
#[derive(Debug)]
pub struct Intake {
    producer: ProducerId,
    directory: PathBuf,
    chunks: BTreeMap<u32, Chunk>,
    fold: Fold,
    /// Where the store says that reading goes on.
    positions: BTreeMap<u32, Position>,
    listed_at: Option<SystemTime>,
    drained: u64,
    state: Producer,
    anchor: ClockAnchor,
    /// Chunks of a dead producer that can never be read, counted and yet to be noted in the store.
    written_off: Vec<u32>,
    behind: bool,
}

impl Intake {
    /// Begins to read the spool in `directory` where the store's positions say.
    pub fn new(
        producer: ProducerId,
        directory: PathBuf,
        known: Option<KnownProducer>,
        positions: &[Position],
        open: Vec<OpenSpan>,
        anchor: ClockAnchor,
    ) -> Self {
        let mut fold = Fold::new(producer);
        let drained = known.as_ref().map_or(0, |known| known.drained);
        fold.resume(known, open);
        let by_chunk = |position: &Position| (position.chunk, *position);
        Self {
            producer,
            directory,
            chunks: BTreeMap::new(),
            fold,
            positions: positions.iter().map(by_chunk).collect(),
            listed_at: None,
            drained,
            state: Producer::Living,
            anchor,
            written_off: Vec::new(),
            behind: false,
        }
    }

    /// Whose spool this is.
    pub fn producer(&self) -> ProducerId {
        self.producer
    }

    /// The fold of its records.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// The producer is dead: what is in the spool now is all there will be.
    pub fn declare_dead(&mut self) {
        self.state = Producer::Dead;
        self.listed_at = None;
    }

    /// Whether the producer is dead and everything it wrote has been read.
    pub fn is_exhausted(&self) -> bool {
        let read = |chunk: &Chunk| chunk.stage != Stage::Reading;
        self.state == Producer::Dead && self.listed_at.is_some() && self.chunks.values().all(read)
    }

    /// Reads what is new, about `most` bytes of it. Answers how many bytes there were.
    pub fn read(&mut self, most: u32, now: Timestamp, batch: &mut Batch) -> io::Result<u32> {
        let mut total = self.read_round(most, now, batch)?;
        // An end was read before its start, from a chunk whose turn came earlier: as the start was
        // accepted first, it must be there now.
        while self.fold.has_orphans() {
            let more = self.read_round(most, now, batch)?;
            // A producer that never stops could keep this up for ever.
            if more == 0 || total > MOST_AHEAD {
                self.fold.give_up_orphans(batch);
            }
            total = total.saturating_add(more);
        }
        for number in std::mem::take(&mut self.written_off) {
            batch.positions.extend(self.positions.get(&number));
        }
        if total > 0 || self.fold.has_accounts() {
            self.fold.finish(batch);
        }
        Ok(total)
    }

    /// Gives each chunk a turn, in the order in which they were begun. A thread's next chunk has to
    /// wait for the one before: spans that begin in one and end in the other would pile up as ends
    /// without a start.
    fn read_round(&mut self, most: u32, now: Timestamp, batch: &mut Batch) -> io::Result<u32> {
        self.look_for_generations()?;
        let mut order: Vec<_> = self
            .chunks
            .iter()
            .map(|(number, chunk)| (chunk.reader.head().anchor.monotonic, *number))
            .collect();
        order.sort_unstable();
        let mut total = 0_u32;
        self.behind = false;
        let mut behind: Vec<u32> = Vec::new();
        for (_, number) in order {
            if total >= most {
                self.behind = true;
                break;
            }
            let Some(chunk) = self.chunks.get_mut(&number) else {
                continue;
            };
            let tid = chunk.reader.head().tid;
            if behind.contains(&tid) {
                continue;
            }
            let turn = TURN_BYTES.min(most - total);
            let Some(read) = chunk.read(self.state, turn, &mut self.fold, now, batch)? else {
                continue;
            };
            if read.progress == Progress::More {
                behind.push(tid);
            }
            self.behind |= read.progress == Progress::More;
            total = total.saturating_add(read.bytes.max(1));
            batch.positions.push(Position {
                producer: self.producer,
                chunk: number,
                generation: chunk.reader.head().generation,
                offset: chunk.reader.offset(),
                ended: chunk.stage == Stage::Ended,
            });
            if read.progress == Progress::Retaken {
                // It now holds something younger than its place in this round.
                self.behind = true;
                break;
            }
        }
        Ok(total)
    }

    /// Finds what was begun since the last look, and with each everything begun before it: a chunk
    /// taken again, or made, behind the back of this look must not be read before the one that its
    /// thread had until then. So it looks until there is nothing new.
    fn look_for_generations(&mut self) -> io::Result<()> {
        loop {
            let newest = self.chunks.keys().next_back().copied();
            let mut found = false;
            for chunk in self.chunks.values_mut() {
                found |= chunk.look_for_next_generation()?;
            }
            self.look_for_chunks()?;
            found |= self.chunks.keys().next_back().copied() > newest;
            if !found {
                return Ok(());
            }
        }
    }

    fn look_for_chunks(&mut self) -> io::Result<()> {
        let modified = std::fs::metadata(&self.directory)?.modified()?;
        let settled = modified
            .elapsed()
            .is_ok_and(|age| age.as_millis() > MTIME_GRAIN_MS);
        if settled && self.listed_at == Some(modified) {
            return Ok(());
        }
        let mut incomplete = false;
        for (number, path) in chunks(&self.directory)? {
            if self.chunks.contains_key(&number) {
                continue;
            }
            match ChunkReader::open(&path, self.producer) {
                Ok(Some(reader)) => {
                    let chunk = Chunk::resume(reader, self.positions.get(&number));
                    self.chunks.insert(number, chunk);
                }
                // Its first generation may begin at any moment, and that leaves the folder as it is.
                Ok(None) => incomplete |= self.state == Producer::Living,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if is_unreadable(&error, &path) => match self.state {
                    Producer::Living => incomplete = true,
                    Producer::Dead => self.write_off(number),
                },
                // Not the chunk's fault (no descriptor, no memory): it has yet to be read.
                Err(_) => incomplete = true,
            }
        }
        self.forget_removed_chunks();
        // What comes within the same tick as the last change does not show later, either.
        let certain = settled || self.state == Producer::Dead;
        self.listed_at = (certain && !incomplete).then_some(modified);
        Ok(())
    }

    /// Counts a chunk that can never be read as one damaged record: nobody knows how many it held.
    fn write_off(&mut self, number: u32) {
        let noted = self.positions.get(&number);
        if noted.is_some_and(|position| position.ended) {
            return;
        }
        let position = Position {
            producer: self.producer,
            chunk: number,
            generation: noted.map_or(0, |position| position.generation),
            offset: noted.map_or(0, |position| position.offset),
            ended: true,
        };
        self.positions.insert(number, position);
        self.written_off.push(number);
        self.fold.count_damaged(1);
    }

    /// A living producer removes chunks it no longer needs.
    fn forget_removed_chunks(&mut self) {
        let gone = |number: &u32| {
            !self
                .directory
                .join(argus_spool::format::chunk_file_name(*number))
                .exists()
        };
        self.chunks
            .retain(|number, chunk| chunk.stage != Stage::Released || !gone(number));
    }

    /// After the commit: tells the producer how far it is safe, which is what flushing waits for.
    pub fn committed(&mut self, stored: u64) {
        self.drained += stored;
        for (number, chunk) in &mut self.chunks {
            if chunk.stage == Stage::Ended {
                chunk.stage = Stage::Committed;
            }
            let offset = chunk.reader.offset();
            if chunk.told != offset {
                // What cannot be told to a producer delays its flush, nothing else.
                let _ = chunk.reader.write_committed(offset);
                chunk.told = offset;
            }
            if *number == 1 && stored > 0 {
                let _ = chunk.reader.write_drained(self.drained);
            }
        }
    }

    /// Whether a sync would let a chunk be used again.
    pub fn awaits_sync(&self) -> bool {
        self.chunks
            .values()
            .any(|chunk| chunk.stage == Stage::Committed)
    }

    /// After the sync: gives the chunks back that it covers.
    pub fn synced(&mut self) {
        for chunk in self.chunks.values_mut() {
            if chunk.stage == Stage::Committed {
                let _ = chunk.reader.write_released();
                chunk.stage = Stage::Released;
            }
        }
    }

    /// The running gap, if records are being lost; into `batch`.
    pub fn note_running_gap(&self, now: Timestamp, batch: &mut Batch) {
        let gap = self
            .chunks
            .get(&1)
            .and_then(|chunk| chunk.reader.running_gap().ok().flatten());
        if let Some(gap) = gap {
            batch.gaps.push(self.fold.gap_row(gap, self.anchor, now));
        }
    }

    /// Removes the spool of a dead producer and gives its bytes back to the budget.
    pub fn remove(&mut self, control: ControlPage) -> io::Result<()> {
        // First, because the removal itself needs a descriptor.
        self.chunks.clear();
        for (_, path) in chunks(&self.directory)? {
            let bytes = size_of(&path);
            if std::fs::remove_file(&path).is_ok() {
                control.give_back(bytes);
            }
        }
        remove_folder(&self.directory)
    }

    /// Bytes of the spool's files, as far as they are known.
    pub fn size(&self) -> u64 {
        let sizes = self.chunks.values().map(|chunk| chunk.reader.size());
        sizes.map(u64::from).sum()
    }

    /// Whether the last read left something for the next one.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Bytes that may still be to read: everything behind the readers in chunks that are not done.
    pub fn backlog(&self) -> u64 {
        let unread =
            |chunk: &Chunk| u64::from(chunk.reader.size().saturating_sub(chunk.reader.offset()));
        self.chunks
            .values()
            .filter(|chunk| chunk.stage == Stage::Reading)
            .map(unread)
            .sum()
    }
}

/// Whether the chunk is no chunk of ours, so that trying again is no use.
fn is_unreadable(error: &io::Error, path: &Path) -> bool {
    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind()) || path.is_symlink()
}

/// Bytes of the chunks in a producer's folder, as the file system says.
pub fn size_on_disk(directory: &Path) -> u64 {
    let files = chunks(directory).unwrap_or_default();
    files.iter().map(|(_, path)| size_of(path)).sum()
}

fn size_of(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).map_or(0, |data| data.len())
}

/// Removes what strangers put there too: a spool's folder is ours.
fn remove_folder(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            std::fs::remove_dir_all(directory)
        }
        other => other,
    }
}

impl Chunk {
    /// Goes on where a collector before this one left off.
    fn resume(mut reader: ChunkReader, saved: Option<&Position>) -> Self {
        let mut stage = Stage::Reading;
        if let Some(saved) = saved {
            reader.resume(saved.generation, saved.offset);
            // Read to its end means counted, too, and a second count would be one too many.
            if saved.ended && saved.generation == reader.head().generation {
                stage = Stage::Committed;
            }
        }
        Self {
            context: context(&reader),
            reader,
            stage,
            told: 0,
        }
    }

    /// Reads on; nothing when there was no news at all.
    fn read(
        &mut self,
        producer: Producer,
        most: u32,
        fold: &mut Fold,
        now: Timestamp,
        batch: &mut Batch,
    ) -> io::Result<Option<Turn>> {
        if self.stage != Stage::Reading {
            return Ok(None);
        }
        let before = self.reader.offset();
        let context = &mut self.context;
        let mut progress = self
            .reader
            .read(producer, most, |raw| fold.take(raw, context, now, batch))
            // What was handed over before an error is in the batch, so its position must be too; the
            // rest is tried again with the next round.
            .unwrap_or(Progress::CaughtUp);
        let bytes = self.reader.offset().saturating_sub(before);
        match progress {
            Progress::CaughtUp | Progress::More => {}
            Progress::Retaken => self.begin_generation(),
            Progress::Ended => match self.reader.damaged() {
                Ok(records) => {
                    fold.count_damaged(records);
                    self.stage = Stage::Ended;
                }
                // Asked again with the next round.
                Err(_) => progress = Progress::CaughtUp,
            },
        }
        let news = bytes > 0 || progress != Progress::CaughtUp;
        Ok(news.then_some(Turn { bytes, progress }))
    }

    /// Whether a chunk given back was taken again since. A collector before this one may have given it
    /// back, so it need not be this one that has: until its own sync, what its thread wrote next, into
    /// another chunk, would be read first.
    fn look_for_next_generation(&mut self) -> io::Result<bool> {
        let begun = self.stage != Stage::Reading && self.reader.look_for_next_generation()?;
        if begun {
            self.begin_generation();
        }
        Ok(begun)
    }

    fn begin_generation(&mut self) {
        self.context = context(&self.reader);
        self.stage = Stage::Reading;
        self.told = 0;
    }
}

fn context(reader: &ChunkReader) -> ChunkContext {
    let head = reader.head();
    ChunkContext::new(
        head.anchor,
        Thread {
            tid: head.tid,
            name: head.thread_name(),
        },
    )
}
