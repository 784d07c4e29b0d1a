//! The reader of spools. The input is a script of what a producer and a collector do, and what
//! happens to the file meanwhile.
//!
//! While the producer is honest and at most [`MOST_FLIPS`] bits have flipped:
//! - what is yielded was written, in this generation, in this order, bit for bit;
//! - nothing is new twice, whatever the moments at which collectors die and resume;
//! - in the end every record is yielded in which no bit flipped, if a copy of the head and the seal
//!   are whole; and then the damage that is counted is the number of those that were not.
//!
//! A hostile producer writes whatever it likes, right sums included, and cuts or grows the file:
//! - the reader never panics, and what it yields lies inside the file;
//! - it comes to an end: every call goes on, and none goes back;
//! - all it yields can be decoded, or refused, and put into words.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use argus_model::{Kind, ProducerId, Record};
use argus_spool::read::{ChunkReader, Phase, Producer, Progress, RawRecord};

use super::codec::put_into_words;
use super::paper::{self, FIRST_RECORD, HEAD_LEN, HEADS, RECORDS, SEAL};

/// So many in a record are noticed for certain by a CRC32C.
const MOST_FLIPS: usize = 5;
const SMALLEST: usize = FIRST_RECORD + 64;
const LARGEST: usize = 16 * 1024;
/// Where generations begin: at the first, and where words of 16, 32 and 64 bits turn over.
const BEGINNINGS: [u64; 4] = [1, 0xfffe, 0xffff_fffe, u64::MAX - 2];

pub(crate) fn check(input: &[u8]) {
    thread_local! {
        static CHUNK: RefCell<Option<ChunkFile>> = const { RefCell::new(None) };
    }
    CHUNK.with_borrow_mut(|chunk| {
        let chunk = chunk.get_or_insert_with(ChunkFile::new);
        let mut script = Script(input);
        let mut world = World::new(chunk, &mut script);
        while world.step(&mut script).is_some() {}
        world.end();
    });
}

/// One file for all inputs of a thread.
struct ChunkFile {
    path: PathBuf,
    file: File,
}

impl ChunkFile {
    fn new() -> Self {
        let name = format!(
            "argus-fuzz-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).unwrap();
        Self { path, file }
    }
}

impl Drop for ChunkFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The input, taken bit by bit; nothing at its end.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) << 8 | usize::from(self.byte()?))
    }

    /// Bytes, with their number in front.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::from(self.byte()?).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(bytes)
    }
}

/// A record as the honest producer wrote it.
struct Written {
    at: usize,
    end: usize,
    kind: u8,
    payload: Vec<u8>,
    /// It was handed over as new.
    stored: bool,
}

struct World<'a> {
    chunk: &'a ChunkFile,
    image: Vec<u8>,
    generation: u64,
    position: usize,
    sealed: bool,
    /// The collector has read the generation to its end and given it back.
    released: bool,
    written: Vec<Written>,
    accepted: u64,
    /// Bytes in which a bit flipped since they were written.
    flips: Vec<usize>,
    flipped: usize,
    hostile: bool,
    reader: Option<ChunkReader>,
    saved: Option<(u64, u32)>,
    /// The record of this generation after the last one that this reader yielded.
    next: usize,
    /// Records, bookkeeping left out, that this reader yielded of this generation.
    yielded: u64,
}

impl<'a> World<'a> {
    fn new(chunk: &'a ChunkFile, script: &mut Script<'_>) -> Self {
        let first = script.byte().unwrap_or(0);
        let size = SMALLEST + usize::from(script.byte().unwrap_or(16)) * 16;
        // Written all over below; cutting it off first would cost most of the time.
        if chunk.file.metadata().unwrap().len() != size as u64 {
            chunk.file.set_len(size as u64).unwrap();
        }
        let mut world = Self {
            chunk,
            image: vec![0; size],
            generation: BEGINNINGS[usize::from(first) % BEGINNINGS.len()] - 1,
            position: FIRST_RECORD,
            sealed: true,
            released: true,
            written: Vec::new(),
            accepted: 0,
            flips: Vec::new(),
            flipped: 0,
            hostile: first & 0x80 != 0,
            reader: None,
            saved: None,
            next: 0,
            yielded: 0,
        };
        world.put(0, &vec![0; size]);
        world.take_chunk();
        world
    }

    fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        let act = script.byte()? % if self.hostile { 32 } else { 23 };
        match act {
            0..=7 => {
                let kind = script.byte()?;
                self.append(kind, script.bytes()?);
            }
            8 => self.tear(script.bytes()?),
            9 | 10 => self.seal(),
            11 | 12 => self.take_chunk(),
            13..=17 => self.read(Producer::Living, 1 + script.number()? as u32),
            18 | 19 => self.reader = None,
            20..=22 => self.flip(script.number()?, script.byte()?),
            _ => return self.mistreat(act, script),
        }
        Some(())
    }

    /// What only a hostile producer does.
    fn mistreat(&mut self, act: u8, script: &mut Script<'_>) -> Option<()> {
        let within = |number: usize, image: &[u8]| number % image.len();
        match act {
            23 => {
                let at = within(script.number()?, &self.image);
                self.put(at, script.bytes()?);
            }
            24 => {
                let generation = self.generation.wrapping_add(u64::from(script.byte()?));
                let copy = HEADS[usize::from(script.byte()?) % 2];
                let capacity = script.number()? as u32;
                self.put(copy, &paper::head(generation, capacity, 0));
            }
            25 | 26 => {
                let at = within(script.number()?, &self.image) & !7;
                let (kind, payload) = (script.byte()?, script.bytes()?);
                self.put(at, &paper::record(self.generation, at, kind, payload));
            }
            27 => {
                let mark = paper::mark(self.generation, script.number()?);
                self.put(SEAL, &paper::checked_word(mark));
            }
            28 => {
                let size = script.number()? % LARGEST;
                self.image.resize(size.max(1), 0);
                self.chunk.file.set_len(size as u64).unwrap();
            }
            29 => {
                let from = within(script.number()?, &self.image);
                let to = (from + script.number()? % 512).min(self.image.len());
                let part = self.image[from..to].to_vec();
                let at = within(script.number()?, &self.image);
                self.put(at, &part);
            }
            30 => self.saved = Some((self.generation, script.number()? as u32)),
            _ => self.read(Producer::Dead, 1 + script.number()? as u32),
        }
        Some(())
    }

    /// Writes to the file, as far as that is large.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = (at + bytes.len()).min(self.image.len());
        if at >= end {
            return;
        }
        let bytes = &bytes[..end - at];
        self.image[at..end].copy_from_slice(bytes);
        self.chunk.file.write_all_at(bytes, at as u64).unwrap();
        self.flips.retain(|flip| !(at..end).contains(flip));
    }

    fn append(&mut self, kind: u8, content: &[u8]) {
        // Kind 0 is none; the serial number makes every record one of its kind.
        let kind = kind.max(1);
        let mut payload = (self.written.len() as u64).to_le_bytes().to_vec();
        payload.extend(content);
        let bytes = paper::record(self.generation, self.position, kind, &payload);
        let end = self.position + bytes.len();
        if self.sealed || end > self.image.len() {
            return;
        }
        self.put(self.position, &bytes);
        let at = std::mem::replace(&mut self.position, end);
        if is_counted(kind) {
            self.accepted += 1;
            self.put(RECORDS, &self.accepted.to_le_bytes());
        }
        self.written.push(Written {
            at,
            end,
            kind,
            payload,
            stored: false,
        });
    }

    /// The producer is killed, or stands still, before the state word.
    fn tear(&mut self, content: &[u8]) {
        if !self.sealed {
            let bytes = paper::record(self.generation, self.position, 4, content);
            self.put(self.position + 8, &bytes[8..]);
        }
    }

    fn seal(&mut self) {
        if !self.sealed {
            self.sealed = true;
            let mark = paper::mark(self.generation, self.position);
            self.put(SEAL, &paper::checked_word(mark));
        }
    }

    fn take_chunk(&mut self) {
        let Some(generation) = self.generation.checked_add(1) else {
            return;
        };
        if !self.sealed || !self.released {
            return;
        }
        self.check_complete();
        self.generation = generation;
        self.position = FIRST_RECORD;
        (self.sealed, self.released) = (false, false);
        self.written.clear();
        (self.accepted, self.yielded, self.next) = (0, 0, 0);
        self.put(RECORDS, &[0; 8]);
        let head = paper::head(generation, self.image.len() as u32, 7);
        for copy in HEADS {
            self.put(copy, &head);
        }
    }

    fn flip(&mut self, at: usize, bit: u8) {
        let at = at % self.image.len();
        self.image[at] ^= 1 << (bit % 8);
        self.chunk
            .file
            .write_all_at(&self.image[at..=at], at as u64)
            .unwrap();
        self.flips.push(at);
        self.flipped += 1;
    }

    /// Whether what an honest producer is promised still has to hold.
    fn is_promised(&self) -> bool {
        !self.hostile && self.flipped <= MOST_FLIPS
    }

    /// One turn of a collector.
    fn read(&mut self, producer: Producer, most: u32) {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => match self.open() {
                Some(reader) => reader,
                None => return,
            },
        };
        let before = (reader.head().generation, reader.offset());
        if reader.has_ended() && !reader.look_for_next_generation().unwrap() {
            self.reader = Some(reader);
            return;
        }
        // A collector before this one gave the generation back, and the producer took it again.
        let overtaken = reader.head().generation < self.generation;
        let (size, promised) = (reader.size(), self.is_promised());
        let progress = reader.read(producer, most, |raw| {
            assert!(raw.payload.len() <= size as usize, "inside the file");
            if let Some(kind) = Kind::from_byte(raw.kind)
                && let Ok(record) = Record::decode(kind, raw.payload)
            {
                put_into_words(&record);
            }
            if promised && overtaken {
                assert_eq!(raw.phase, Phase::Before, "all of it was stored");
            } else if promised {
                self.take(raw);
            }
        });
        let progress = progress.unwrap();
        let after = (reader.head().generation, reader.offset());
        assert!(after >= before, "{before:?} to {after:?}");
        if progress == Progress::More {
            assert!(after > before || after.1 >= before.1, "it goes on");
        }
        if progress == Progress::Retaken {
            assert!(after.0 > before.0);
            assert!(overtaken || !promised);
        }
        self.saved = Some(after);
        if progress == Progress::Ended && producer == Producer::Living {
            self.released = true;
            reader.write_released().unwrap();
        }
        reader.write_committed(after.1).unwrap();
        reader.running_gap().unwrap();
        reader.damaged().unwrap();
        self.reader = Some(reader);
    }

    fn open(&mut self) -> Option<ChunkReader> {
        let id = ProducerId {
            nonce: paper::NONCE,
            ..ProducerId::default()
        };
        // Refused when no head can be believed.
        let mut reader = ChunkReader::open(&self.chunk.path, id).ok()??;
        if let Some((generation, offset)) = self.saved {
            reader.resume(generation, offset);
        }
        (self.next, self.yielded) = (0, 0);
        Some(reader)
    }

    /// Holds a record against what was written.
    fn take(&mut self, raw: RawRecord<'_>) {
        let rest = &mut self.written[self.next..];
        let same = |it: &Written| it.kind == raw.kind && it.payload == raw.payload;
        let index = rest.iter().position(same);
        let index = index.expect("what is yielded was written, after what was yielded before");
        let found = &mut rest[index];
        if raw.phase == Phase::New {
            assert!(!found.stored, "new once");
            found.stored = true;
        }
        self.next += index + 1;
        self.yielded += u64::from(is_counted(raw.kind));
    }

    /// The producer dies; all there is to read is read.
    fn end(&mut self) {
        self.chunk.file.set_len(self.image.len() as u64).unwrap();
        let mut turns = 0;
        loop {
            self.read(Producer::Dead, 1 << 16);
            match &self.reader {
                Some(reader) if !reader.has_ended() => turns += 1,
                _ => break,
            }
            assert!(turns < 70_000, "it comes to an end");
        }
        self.check_complete();
    }

    /// Every whole record was handed over, and the others are counted.
    fn check_complete(&self) {
        let touches = |from: usize, to: usize| {
            let within = self.flips.iter().filter(|flip| (from..to).contains(flip));
            within.count()
        };
        let headless = HEADS.iter().all(|copy| touches(*copy, copy + HEAD_LEN) > 0);
        if !self.is_promised() || headless || touches(SEAL, RECORDS) > 0 {
            return;
        }
        for record in &self.written {
            let whole = touches(record.at, record.end) == 0;
            assert!(
                record.stored || !whole,
                "record at {} is missing",
                record.at
            );
        }
        let counted = touches(RECORDS, RECORDS + 8) == 0;
        if let Some(reader) = self
            .reader
            .as_ref()
            .filter(|reader| reader.has_ended() && counted)
        {
            assert_eq!(reader.head().generation, self.generation);
            assert_eq!(reader.damaged().unwrap(), self.accepted - self.yielded);
        }
    }
}

fn is_counted(kind: u8) -> bool {
    Kind::from_byte(kind).is_none_or(|kind| !kind.is_bookkeeping())
}
