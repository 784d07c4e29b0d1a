//! Reading spools. The files may be damaged, or made by a hostile program: they are read with
//! `pread`, never mapped, every length is bounded by the file's size, and nothing here panics.
//!
//! A [`ChunkReader`] stands at one place of one chunk generation and goes on whenever asked. Where
//! it stands is the position that the drain stores with the rows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argus_model::record::{Gap, LossReason};
use argus_model::{Kind, Monotonic, ProducerId};

use crate::checksum;
use crate::format::{
    self, COMMITTED, DRAINED, FIRST_RECORD, HEADS, Head, MAX_CHUNK, RECORD_HEAD, RECORDS, RELEASED,
    SEAL, SMALLEST_RECORD, TALLY, TALLY_LEN,
};

/// The window that is read at once when records flow.
const WINDOW: u32 = 256 * 1024;
/// The window that is read to see whether anything is new.
const GLANCE: u32 = 4 * 1024;

/// How many times its own size a generation may be checksummed in vain in search of valid records,
/// then the rest of it is given up. One flipped bit costs such a search only where it makes a record's
/// length larger; but a hostile chunk could announce a long record at every other place.
const RESYNC_EFFORT: u64 = 64;

/// So many records may have been lost behind the last one that is found without leaving a trace that
/// announces them. A count of accepted records that says more is itself damaged.
const LOST_UNANNOUNCED: u64 = 16;
/// A loss takes longer than this.
const QUICKEST_LOSS_NS: u64 = 1;
/// So many may be counted in one go.
const LOST_AT_ONCE: u64 = 1 << 16;

/// The producers' directories in a spool folder. Other names are passed over.
pub fn producers(spool: &Path) -> io::Result<Vec<(ProducerId, PathBuf)>> {
    let mut found = Vec::new();
    for entry in spool.read_dir()? {
        let entry = entry?;
        if let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            found.push((id, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The chunks in a producer's directory, by number. Other names are passed over.
pub fn chunks(directory: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(format::chunk_number) {
            found.push((number, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether more can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Producer {
    /// It may still write.
    Living,
    /// It is dead, or judged so: what is there is all.
    Dead,
}

/// Whether a record is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It lies before the stored position: its rows are in the store, but it may define names that
    /// later records use.
    Before,
    /// It is to be stored.
    New,
}

/// A record as it stands in the spool.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// News or not.
    pub phase: Phase,
    /// The kind's number; it may be one that this version does not know.
    pub kind: u8,
    /// The payload, verified by its CRC.
    pub payload: &'a [u8],
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing more for now.
    CaughtUp,
    /// Stopped because enough was read; there is more.
    More,
    /// The generation is over and read to its end.
    Ended,
    /// The producer has taken the chunk again: everything before was released, by a collector before
    /// this one. The reader stands at the start of the new generation; definitions begin anew.
    Retaken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seal {
    Open,
    At(u32),
    Retaken,
}

/// A reader of one chunk.
#[derive(Debug)]
pub struct ChunkReader {
    file: File,
    size: u32,
    nonce: u64,
    head: Head,
    prefix: u64,
    seed: u32,
    offset: u32,
    new_from: u32,
    window: Vec<u8>,
    window_at: u32,
    records: u64,
    damaged_places: u64,
    skipped: u64,
    /// Bytes that the last look for a record checksummed.
    checksummed: u32,
    /// Bytes checksummed in vain while searching.
    in_vain: u64,
    ended: bool,
}

impl ChunkReader {
    /// Opens a chunk of `producer`. Nothing while its first generation has not begun; then it holds no
    /// record. A head that is there and not believable is an error of kind `InvalidData`.
    pub fn open(path: &Path, producer: ProducerId) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(path)?;
        let data = file.metadata()?;
        if !data.is_file() {
            return Ok(None);
        }
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX).min(MAX_CHUNK) & !7;
        let Some(head) = read_head(&file, producer.nonce)? else {
            return Ok(None);
        };
        let mut reader = Self {
            file,
            size,
            nonce: producer.nonce,
            head,
            prefix: 0,
            seed: 0,
            offset: FIRST_RECORD,
            new_from: FIRST_RECORD,
            window: Vec::new(),
            window_at: 0,
            records: 0,
            damaged_places: 0,
            skipped: 0,
            checksummed: 0,
            in_vain: 0,
            ended: false,
        };
        reader.begin(head, FIRST_RECORD);
        Ok(Some(reader))
    }

    fn begin(&mut self, head: Head, new_from: u32) {
        self.head = head;
        self.prefix = format::state_prefix(head.generation);
        self.seed = checksum::seed(self.nonce, head.chunk, head.generation);
        self.offset = FIRST_RECORD;
        self.new_from = new_from;
        self.window.clear();
        self.records = 0;
        self.damaged_places = 0;
        self.skipped = 0;
        self.in_vain = 0;
        self.ended = false;
    }

    /// Starts over, with everything before `offset` of `generation` known to be stored. A position of
    /// another generation means nothing now.
    pub fn resume(&mut self, generation: u64, offset: u32) {
        let same = generation == self.head.generation;
        self.begin(self.head, if same { offset } else { FIRST_RECORD });
    }

    /// The head of the generation being read.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Everything before this has been read.
    pub fn offset(&self) -> u32 {
        self.offset.max(self.new_from)
    }

    /// Whether the generation was read to its end.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Looks whether the producer has taken the chunk again; if so, starts with the new generation.
    pub fn look_for_next_generation(&mut self) -> io::Result<bool> {
        // A head that cannot be believed now (it is being rewritten) is looked at again later.
        match read_head(&self.file, self.nonce).unwrap_or_default() {
            Some(head) if head.generation > self.head.generation => {
                self.begin(head, FIRST_RECORD);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Reads on, at most about `most` bytes, and hands each record to `take`.
    pub fn read(
        &mut self,
        producer: Producer,
        most: u32,
        take: impl FnMut(RawRecord<'_>),
    ) -> io::Result<Progress> {
        let progress = self.read_window(producer, most, take);
        // A collector keeps readers by the thousand; only those with news need space.
        if self.window.capacity() > GLANCE as usize {
            self.window = Vec::new();
        }
        progress
    }

    fn read_window(
        &mut self,
        producer: Producer,
        most: u32,
        mut take: impl FnMut(RawRecord<'_>),
    ) -> io::Result<Progress> {
        if self.ended {
            return Ok(Progress::Ended);
        }
        let stop = self.offset.saturating_add(most);
        self.load(self.offset, GLANCE)?;
        let mut doubted = false;
        while self.offset < stop {
            if let Some((kind, length)) = self.record_at(self.offset)? {
                self.hand_over(kind, length, &mut take);
                doubted = false;
                continue;
            }
            let sealed = match self.seal()? {
                Seal::Retaken => {
                    self.look_for_next_generation()?;
                    return Ok(Progress::Retaken);
                }
                Seal::At(end) => Some(end),
                Seal::Open => None,
            };
            let end = match (sealed, producer) {
                (Some(end), _) => end,
                (None, Producer::Dead) => self.size,
                (None, Producer::Living) => return Ok(Progress::CaughtUp),
            };
            if self.offset >= end {
                self.ended = true;
                return Ok(Progress::Ended);
            }
            if doubted {
                self.resynchronise(end)?;
                doubted = false;
            } else {
                // What was read may be older than the seal.
                self.load(self.offset, GLANCE)?;
                doubted = true;
            }
        }
        Ok(Progress::More)
    }

    fn hand_over(&mut self, kind: u8, length: u32, take: &mut impl FnMut(RawRecord<'_>)) {
        let at = (self.offset - self.window_at + RECORD_HEAD) as usize;
        let phase = if self.offset < self.new_from {
            Phase::Before
        } else {
            Phase::New
        };
        if Kind::from_byte(kind).is_none_or(|kind| !kind.is_bookkeeping()) {
            self.records += 1;
        }
        take(RawRecord {
            phase,
            kind,
            payload: &self.window[at..at + length as usize],
        });
        self.offset += format::padded(RECORD_HEAD + length);
    }

    /// How the generation being read stands, in one look at the chunk's head area.
    fn seal(&self) -> io::Result<Seal> {
        let mut bytes = [0; SEAL as usize + 16];
        if !read_fully(&self.file, &mut bytes, 0)? {
            return Ok(Seal::Open);
        }
        if newest_head(&bytes, self.nonce)
            .is_some_and(|head| head.generation > self.head.generation)
        {
            return Ok(Seal::Retaken);
        }
        let mark = format::checked_word(&bytes[SEAL as usize..]);
        let end = mark.and_then(|mark| format::offset_in_mark(mark, self.head.generation));
        Ok(end.map_or(Seal::Open, |end| Seal::At(end.min(self.size))))
    }

    /// Goes to the next valid record before `end`, or to `end`.
    fn resynchronise(&mut self, end: u32) -> io::Result<()> {
        let from = self.offset;
        let (mut at, mut announced) = (from + 8, u32::from(self.checksummed > 0));
        let most = RESYNC_EFFORT * u64::from(self.size);
        self.in_vain += u64::from(self.checksummed);
        while at + SMALLEST_RECORD <= end && self.in_vain < most {
            if self.record_at(at)?.is_some() {
                self.damaged_places += 1;
                self.skipped += u64::from(at - from);
                self.offset = at;
                return Ok(());
            }
            self.in_vain += u64::from(self.checksummed);
            announced += u32::from(self.checksummed > 0);
            at += 8;
        }
        // Behind the last record of a process that died there is nothing; before a seal there is.
        if self.seal()? == Seal::Open {
            let lost = u64::from(announced) + LOST_UNANNOUNCED;
            self.skipped += u64::from(end - from).min(lost * u64::from(SMALLEST_RECORD));
        } else {
            self.skipped += u64::from(end - from);
            self.damaged_places += 1;
        }
        self.offset = end;
        Ok(())
    }

    /// Kind and payload length of the valid record at `at`, which is then in the window.
    fn record_at(&mut self, at: u32) -> io::Result<Option<(u8, u32)>> {
        self.checksummed = 0;
        if at + SMALLEST_RECORD > self.size {
            return Ok(None);
        }
        let (prefix, seed) = (self.prefix, self.seed);
        let Some(head) = self.bytes(at, SMALLEST_RECORD)? else {
            return Ok(None);
        };
        let Some((state, rest)) = head.split_first_chunk() else {
            return Ok(None);
        };
        let state = u64::from_le_bytes(*state);
        let Some((kind, length)) = format::parse_state(state, prefix) else {
            return Ok(None);
        };
        let sum = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        let total = format::padded(RECORD_HEAD + length);
        if total > self.size - at {
            return Ok(None);
        }
        self.checksummed = total;
        let Some(record) = self.bytes(at, total)? else {
            return Ok(None);
        };
        let first = u64::from(u32::from_le_bytes([
            record[12], record[13], record[14], record[15],
        ]));
        let found = checksum::words(seed, &[u64::from(at), state, first << 32]);
        let found = checksum::word_bytes(found, &record[SMALLEST_RECORD as usize..]);
        Ok((found == sum).then_some((kind, length)))
    }

    /// `length` bytes at `at`, loading them if need be; nothing when the file is too short.
    fn bytes(&mut self, at: u32, length: u32) -> io::Result<Option<&[u8]>> {
        let loaded_to = self.window_at + self.window.len() as u32;
        if at < self.window_at || at + length > loaded_to {
            self.load(at, length.max(WINDOW))?;
        }
        let start = (at - self.window_at) as usize;
        Ok(self.window.get(start..start + length as usize))
    }

    fn load(&mut self, at: u32, length: u32) -> io::Result<()> {
        let length = length.min(self.size.saturating_sub(at)) as usize;
        self.window.resize(length, 0);
        self.window_at = at;
        let mut filled = 0;
        while filled < length {
            match self
                .file
                .read_at(&mut self.window[filled..], u64::from(at) + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.window.clear();
                    return Err(error);
                }
            }
        }
        self.window.truncate(filled);
        Ok(())
    }

    /// Records of this generation that were accepted and not found, so far as the producer's own
    /// count can be believed; else the number of damaged places. Final once the generation ended.
    pub fn damaged(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let counted = read_fully(&self.file, &mut bytes, RECORDS)?;
        let accepted = u64::from_le_bytes(bytes);
        let most = self.records + self.skipped / u64::from(SMALLEST_RECORD) + 1;
        if counted && (self.records..=most).contains(&accepted) {
            return Ok(accepted - self.records);
        }
        Ok(self.damaged_places)
    }

    /// Tells the producer how far this generation is committed.
    pub fn write_committed(&self, offset: u32) -> io::Result<()> {
        let mark = format::mark(self.head.generation, offset);
        self.file
            .write_all_at(&format::word_bytes(mark), COMMITTED.into())
    }

    /// Gives this generation back to the producer. Only once all of it is committed and synced.
    pub fn write_released(&self) -> io::Result<()> {
        self.file
            .write_all_at(&format::word_bytes(self.head.generation), RELEASED.into())
    }

    /// Tells the producer how many of its records are committed; on chunk 1.
    pub fn write_drained(&self, records: u64) -> io::Result<()> {
        self.file
            .write_all_at(&records.to_le_bytes(), DRAINED.into())
    }

    /// The process's running gap; on chunk 1. The tally has no sum of its own: what could not have been
    /// lost in its time is damage, and no gap.
    pub fn running_gap(&self) -> io::Result<Option<Gap>> {
        let mut bytes = [0; TALLY_LEN];
        if !read_fully(&self.file, &mut bytes, TALLY)? {
            return Ok(None);
        }
        let word = |at: usize| {
            let part = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u64::from(u32::from_le_bytes(part))
        };
        let long = |at: usize| word(at) | word(at + 4) << 32;
        let gap = Gap {
            number: word(0) as u32,
            reason: LossReason::from_byte(bytes[4]),
            normal: long(8),
            errors: long(16),
            from: Monotonic::from_nanos(long(24)),
            to: Monotonic::from_nanos(long(32)),
        };
        Ok(is_believable(&gap).then_some(gap))
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u32 {
        self.size
    }
}

fn is_believable(gap: &Gap) -> bool {
    let lost = gap.normal.saturating_add(gap.errors);
    let (from, to) = (gap.from.nanos(), gap.to.nanos());
    let possible = (to.saturating_sub(from) / QUICKEST_LOSS_NS).saturating_add(LOST_AT_ONCE);
    lost > 0 && from > 0 && from <= to && lost <= possible
}

fn read_head(file: &File, nonce: u64) -> io::Result<Option<Head>> {
    let mut bytes = [0; SEAL as usize];
    if !read_fully(file, &mut bytes, 0)? {
        return Ok(None);
    }
    let head = newest_head(&bytes, nonce);
    // The second copy is written after the first and before any record.
    let begun = bytes[HEADS[1] as usize..].iter().any(|byte| *byte != 0);
    if head.is_none() && begun {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(head)
}

/// The newest valid copy of the head in a chunk's first bytes.
fn newest_head(bytes: &[u8], nonce: u64) -> Option<Head> {
    HEADS
        .iter()
        .filter_map(|copy| Head::decode(bytes.get(*copy as usize..)?))
        .filter(|head| head.nonce == nonce)
        .max_by_key(|head| head.generation)
}

/// Whether `bytes` could be filled from `offset`.
fn read_fully(file: &File, bytes: &mut [u8], offset: u32) -> io::Result<bool> {
    match file.read_exact_at(bytes, offset.into()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
