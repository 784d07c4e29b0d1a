//! A thread's pen: where records become bytes.
//!
//! The path of an ordinary record takes no lock and makes no system call: look at the fork page,
//! read the clock, encode into the chunk behind the last record, checksum, publish, look whether
//! the collector wants to be woken.

use std::collections::BTreeSet;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use argus_model::codec::{Encoder, Full};
use argus_model::record::{LossReason, ProcessInfo};
use argus_model::{Kind, Monotonic, Record, SpanNumber};

use crate::chunk::Chunk;
use crate::clock::{ThreadClock, Tick};
use crate::control::Reserve;
use crate::definition::Definition;
use crate::emit::{Appended, Offered, Weight};
use crate::fork::{ForkPage, page};
use crate::format::{
    self, FIRST_RECORD, MAX_CHUNK, MIN_CHUNK, RECORD_HEAD, RECORDS, SMALLEST_RECORD,
};
use crate::process::{self, Account, Process};
use crate::thread::{Refused, Thread};
use crate::{boot_anchor, checksum, host, starter};

mod small;

/// A chunk that fills up sooner than this makes the next one twice as large.
const FAST_FILL: Duration = Duration::from_millis(50);
/// How long a thread that found no room waits before it looks for some again.
const NO_ROOM_RETRY_NS: u64 = 10_000_000;
/// The wall clock is noted anew when it has moved this far against the monotonic one.
const WALL_TOLERANCE_NS: u64 = 100_000;
/// Span numbers are handed to threads in blocks of this size.
const SPAN_BLOCK: u64 = 1 << 20;

thread_local! {
    static FAREWELL: Farewell = const { Farewell };
}

/// Seals the pen when the thread ends.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        Thread::mine().put_pen_away();
    }
}

/// One thread's writer.
#[derive(Debug)]
pub(crate) struct Writer {
    page: &'static ForkPage,
    process: &'static Process,
    account: &'static Account,
    clock: ThreadClock,
    chunk: Option<Chunk>,
    start: *mut u8,
    position: u32,
    /// Where ordinary records end: at `end`, or here and now in a chunk of the errors' reserve.
    normal_end: u32,
    end: u32,
    prefix: u64,
    seed: u32,
    /// Records accepted in this generation.
    records: u64,
    /// Wall minus monotonic time, as last noted in this chunk.
    wall_offset: i64,
    opened_at: Monotonic,
    wanted: u32,
    /// By definition number: the generation serial in which it was last defined.
    defined: Vec<u32>,
    /// What comes and goes, as defined in the generation with the serial `passing_of`.
    passing: BTreeSet<u32>,
    passing_of: u32,
    serial: u32,
    /// Until when not to look for room again, and why there was none.
    no_room: Option<(u64, LossReason)>,
    /// What is written can wait.
    is_patient: bool,
    /// Whether the collector wants to be woken.
    sleeping: &'static AtomicU32,
    next_span: u64,
    last_span: u64,
}

impl std::fmt::Debug for ForkPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForkPage").finish_non_exhaustive()
    }
}

/// A pen that a thread has just been given.
pub(crate) struct Attached {
    pub(crate) pen: *mut Writer,
    /// The thread is being torn down and says farewell no more: the pen is for one use.
    pub(crate) parting: bool,
}

/// Makes a pen for the calling thread. One inherited from a parent process is left as it is: its
/// memory is a copy, its chunk is not.
#[cold]
pub(crate) fn attach() -> Result<Attached, Refused> {
    let pen = make()?;
    let parting = FAREWELL.try_with(|_| ()).is_err();
    Ok(Attached { pen, parting })
}

/// Makes a pen of this process.
#[cold]
pub(crate) fn make() -> Result<*mut Writer, Refused> {
    if process::disabled() {
        return Err(Refused::Disabled);
    }
    let opened = page().and_then(|page| {
        let process = process::opened(page)?;
        Some((page, process, process.account()?))
    });
    let Some((page, process, account)) = opened else {
        return Err(Refused::Lost(LossReason::Disk));
    };
    starter::start_if_none(process);
    Ok(Box::into_raw(Box::new(Writer::new(page, process, account))))
}

impl Writer {
    fn new(page: &'static ForkPage, process: &'static Process, account: &'static Account) -> Self {
        Self {
            page,
            process,
            account,
            clock: ThreadClock::new(process.clock),
            chunk: None,
            start: ptr::null_mut(),
            position: 0,
            normal_end: 0,
            end: 0,
            prefix: 0,
            seed: 0,
            records: 0,
            wall_offset: 0,
            opened_at: Monotonic::default(),
            wanted: MIN_CHUNK,
            defined: Vec::new(),
            passing: BTreeSet::new(),
            passing_of: 0,
            serial: 0,
            no_room: None,
            is_patient: false,
            sleeping: process.control.sleeping(),
            next_span: 0,
            last_span: 0,
        }
    }

    /// The process describes itself, in the first chunk that has room for it.
    fn introduce(&mut self) {
        if self.process.mark_introduced() {
            return;
        }
        let configuration = process::configuration();
        let environment = std::env::var("ARGUS_APP_NAME")
            .ok()
            .filter(|name| !name.is_empty());
        let process_name = host::process_name();
        let app_name = configuration.app_name.clone().or(environment);
        let command_line = host::command_line();
        let hostname = host::hostname();
        let runtime = match configuration.runtime.as_str() {
            "" => "rust",
            runtime => runtime,
        };
        let record = Record::Process(ProcessInfo {
            app_name: app_name.as_deref().unwrap_or(&process_name),
            process_name: &process_name,
            command_line: starter::cut(&command_line, 4096),
            runtime,
            hostname: &hostname,
            argus_version: env!("CARGO_PKG_VERSION"),
            parent_pid: std::os::unix::process::parent_id(),
        });
        let written = self.write(Kind::Process, self.end, |out| record.encode(out));
        if written.is_err() {
            self.process.unmark_introduced();
        }
    }

    /// Whether this is the process that the pen was made in, not a child of it.
    #[inline]
    pub(crate) fn is_of_this_life(&self) -> bool {
        ptr::eq(self.page.process.load(Ordering::Relaxed), self.process)
    }

    /// Appends one record. `body` may be called more than once and must run no foreign code.
    #[inline]
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        weight: Weight,
        definitions: &[&Definition],
        body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
    ) -> Appended {
        let reading = self.clock.now();
        self.append_at(reading, kind, weight, definitions, body)
    }

    #[inline]
    fn append_at(
        &mut self,
        reading: (Monotonic, Tick),
        kind: Kind,
        weight: Weight,
        definitions: &[&Definition],
        body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
    ) -> Appended {
        match self.try_append(reading, kind, weight, definitions, body) {
            Ok(()) => Appended::Accepted,
            Err(reason) => {
                self.page.lose(weight, reason, reading.0);
                Appended::Lost
            }
        }
    }

    /// Appends one record if there is room for it; otherwise nothing is lost, and nothing counted.
    /// What can never fit is lost.
    pub(crate) fn offer(
        &mut self,
        kind: Kind,
        definitions: &[&Definition],
        body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
    ) -> Offered {
        let reading = self.clock.now();
        self.is_patient = true;
        let written = self.try_append(reading, kind, Weight::Normal, definitions, body);
        self.is_patient = false;
        match written {
            Ok(()) => Offered::Accepted,
            Err(LossReason::TooLarge) => {
                self.page
                    .lose(Weight::Normal, LossReason::TooLarge, reading.0);
                Offered::Lost
            }
            Err(_) => Offered::NoRoom,
        }
    }

    #[inline]
    fn try_append(
        &mut self,
        (now, tick): (Monotonic, Tick),
        kind: Kind,
        weight: Weight,
        definitions: &[&Definition],
        mut body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
    ) -> Result<(), LossReason> {
        let mut least = MIN_CHUNK;
        // A loop and not a call with `body`: its captures can then stay in registers.
        let written = loop {
            let limit = self.limit(weight);
            let written = self
                .define(definitions, limit)
                .and_then(|()| self.write(kind, limit, |out| body(out, now)));
            if written.is_ok() {
                break Ok(());
            }
            if let Err(reason) = self.make_room(weight, &mut least, now) {
                break Err(reason);
            }
        };
        if tick == Tick::StretchOver {
            self.look_around();
        }
        written?;
        if !kind.is_bookkeeping() {
            self.count_accepted();
        }
        self.nudge();
        Ok(())
    }

    /// Wakes the collector if it sleeps.
    #[inline]
    fn nudge(&self) {
        if self.sleeping.load(Ordering::Relaxed) != 0 {
            self.process.control.wake_collector();
        }
    }

    /// How far a record of this weight may reach.
    #[inline]
    fn limit(&self, weight: Weight) -> u32 {
        match weight {
            Weight::Normal => self.normal_end,
            Weight::Error => self.end,
        }
    }

    #[inline]
    fn count_accepted(&mut self) {
        self.records += 1;
        // SAFETY: `start` is the mapping of the chunk that this thread owns.
        let records = unsafe { AtomicU64::from_ptr(self.start.add(RECORDS as usize).cast()) };
        records.store(self.records, Ordering::Relaxed);
        // Only this thread writes its account, so load and store need not be one step.
        let accepted = self.account.accepted.load(Ordering::Relaxed);
        self.account.accepted.store(accepted + 1, Ordering::Relaxed);
    }

    /// Writes the definitions that this generation does not have yet.
    #[inline]
    fn define(&mut self, definitions: &[&Definition], limit: u32) -> Result<(), Full> {
        for definition in definitions {
            if !self.has_defined(definition) {
                self.define_first(definition, limit)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn has_defined(&self, definition: &Definition) -> bool {
        let index = definition.number().0 as usize;
        self.defined.get(index) == Some(&self.serial)
    }

    #[cold]
    fn define_first(&mut self, definition: &Definition, limit: u32) -> Result<(), Full> {
        let index = definition.number().0 as usize;
        if matches!(definition.kind(), Kind::Subject | Kind::LogFile) {
            return self.define_passing(definition, limit);
        }
        self.write(definition.kind(), limit, |out| definition.encode(out))?;
        if self.defined.len() <= index {
            self.defined.resize(index + 64, 0);
        }
        self.defined[index] = self.serial;
        Ok(())
    }

    /// Subjects and log files come and go: those of a generation are kept in a set that ends with it.
    fn define_passing(&mut self, definition: &Definition, limit: u32) -> Result<(), Full> {
        if self.passing_of != self.serial {
            self.passing.clear();
            self.passing_of = self.serial;
        }
        let number = definition.number().0;
        if !self.passing.contains(&number) {
            self.write(definition.kind(), limit, |out| definition.encode(out))?;
            self.passing.insert(number);
        }
        Ok(())
    }

    /// Writes one record at the current position, if it fits before `limit`.
    #[inline]
    fn write(
        &mut self,
        kind: Kind,
        limit: u32,
        mut body: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        if limit < self.position + SMALLEST_RECORD {
            return Err(Full);
        }
        // SAFETY: `start` is the mapping of the chunk that this thread owns, `position` a multiple of
        // 8 and `limit` an offset inside it; the space between is unpublished, so nobody reads it
        // as anything but bytes that may be torn.
        unsafe {
            let record = self.start.add(self.position as usize);
            let room = (limit - self.position - RECORD_HEAD) as usize;
            let payload = std::slice::from_raw_parts_mut(record.add(RECORD_HEAD as usize), room);
            let mut out = Encoder::new(payload);
            body(&mut out)?;
            let length = out.used();
            let total = format::padded(RECORD_HEAD + length as u32);
            let padding = record.add((RECORD_HEAD + length as u32) as usize);
            if room >= length + 8 {
                // Whole, without a look at what is there: reading back bytes that were just stored one
                // by one holds the processor up. What is zeroed beyond the padding is unpublished.
                padding.cast::<u64>().write_unaligned(0);
            } else {
                // `limit` is a multiple of 8, so the padding fits too.
                padding.write_bytes(0, (total - RECORD_HEAD) as usize - length);
            }
            let state = format::state_word(self.prefix, kind as u8, length as u32);
            let words = std::slice::from_raw_parts(record.cast::<u64>(), total as usize / 8);
            let first = words[1] & 0xffff_ffff_0000_0000;
            let head = [u64::from(self.position), state, first];
            let sum = checksum::record(self.seed, head, &words[2..]);
            record.add(8).cast::<u32>().write(sum.to_le());
            AtomicU64::from_ptr(record.cast()).store(state.to_le(), Ordering::Release);
            self.advance(self.position + total);
        }
        Ok(())
    }

    /// What stands before `position` is published.
    #[inline]
    fn advance(&mut self, position: u32) {
        self.position = position;
        self.account.position.store(position, Ordering::Release);
    }

    /// A record did not fit: takes another chunk, of at least `least` bytes, and asks for twice as
    /// much the next time.
    #[cold]
    fn make_room(
        &mut self,
        weight: Weight,
        least: &mut u32,
        now: Monotonic,
    ) -> Result<(), LossReason> {
        if let Some((until, reason)) = self.no_room
            && weight == Weight::Normal
            && now.nanos() < until
        {
            return Err(reason);
        }
        if *least > MAX_CHUNK {
            return Err(LossReason::TooLarge);
        }
        self.rotate(weight, *least, now)?;
        let capacity = self.chunk.map_or(MAX_CHUNK, |chunk| chunk.capacity());
        *least = capacity * 2;
        Ok(())
    }

    fn rotate(&mut self, weight: Weight, least: u32, now: Monotonic) -> Result<(), LossReason> {
        if self.chunk.is_some() && now.since(self.opened_at) < FAST_FILL {
            self.wanted = (self.wanted * 2).min(MAX_CHUNK);
        }
        let taken = self.take(weight, least);
        let (chunk, granted) = taken.inspect_err(|reason| {
            // Of those who cannot wait there may be room for the next.
            if !self.is_patient {
                self.no_room = Some((now.nanos() + NO_ROOM_RETRY_NS, *reason));
            }
        })?;
        self.no_room = None;
        let sealed = self.seal(now);
        self.process.exchange(self.account, sealed, Some(chunk));
        self.adopt(chunk, granted, now);
        self.introduce();
        self.close_gap();
        Ok(())
    }

    /// A chunk, and for whom: an error takes from the errors' reserve only when it has to.
    fn take(&self, weight: Weight, least: u32) -> Result<(Chunk, Weight), LossReason> {
        let reserve = if self.is_patient {
            Reserve::Patient
        } else {
            Reserve::Normal
        };
        let taken = self.process.take(reserve, least, self.wanted);
        match (taken, weight) {
            (Ok(chunk), _) => Ok((chunk, Weight::Normal)),
            (Err(reason), Weight::Normal) => Err(reason),
            (Err(_), Weight::Error) => self
                .process
                .take(Reserve::Errors, least, MIN_CHUNK)
                .map(|chunk| (chunk, Weight::Error)),
        }
    }

    fn seal(&mut self, now: Monotonic) -> Option<Chunk> {
        let mut chunk = self.chunk.take()?;
        chunk.seal(self.position, now);
        Some(chunk)
    }

    fn adopt(&mut self, chunk: Chunk, granted: Weight, now: Monotonic) {
        self.start = chunk.mapping.at(0);
        self.position = FIRST_RECORD;
        self.end = chunk.capacity();
        self.normal_end = if granted == Weight::Error {
            0
        } else {
            self.end
        };
        self.prefix = format::state_prefix(chunk.generation);
        self.seed = checksum::seed(self.process.id.nonce, chunk.number, chunk.generation);
        self.records = 0;
        self.opened_at = now;
        self.serial = self.serial.wrapping_add(1).max(1);
        self.wall_offset = wall_offset();
        self.chunk = Some(chunk);
    }

    /// There is room again: tells what was lost meanwhile.
    fn close_gap(&mut self) {
        let page = self.page;
        // Under the lock from the look to the end: a loss in between would be counted nowhere.
        page.locked(|| {
            let Some(gap) = page.tally().gap() else {
                return;
            };
            let record = Record::Gap(gap);
            if self
                .write(Kind::Gap, self.end, |out| record.encode(out))
                .is_ok()
            {
                page.tally().close();
            }
        });
    }

    /// Every tenth of a second, while records flow.
    #[cold]
    fn look_around(&mut self) {
        let offset = wall_offset();
        if self.chunk.is_some() && offset.abs_diff(self.wall_offset) > WALL_TOLERANCE_NS {
            self.wall_offset = offset;
            let record = Record::Anchor(boot_anchor());
            let _ = self.write(Kind::Anchor, self.end, |out| record.encode(out));
        }
        starter::start_if_none(self.process);
    }

    /// Counts the end of a span whose start found no room.
    #[cold]
    pub(crate) fn lose(&mut self, weight: Weight) -> Appended {
        let (now, _) = self.clock.now();
        let reason = self
            .no_room
            .map_or(LossReason::Budget, |(_, reason)| reason);
        self.page.lose(weight, reason, now);
        Appended::Lost
    }

    /// A span number that no other thread of the process has had, above the parent's: of two places
    /// that one thread is in, the one with the higher number is inside the other.
    #[inline]
    pub(crate) fn span_number(&mut self, parent: SpanNumber) -> SpanNumber {
        if self.next_span == self.last_span || parent.0 > self.next_span {
            self.next_span = self.process.span_block(SPAN_BLOCK);
            self.last_span = self.next_span + SPAN_BLOCK;
        }
        self.next_span += 1;
        SpanNumber(self.next_span)
    }

    /// Seals the chunk; the thread ends.
    pub(crate) fn finish(&mut self) {
        let (now, _) = self.clock.now();
        let sealed = self.seal(now);
        self.process.exchange(self.account, sealed, None);
        self.process.close_account(self.account);
        self.process.control.nudge();
    }
}

fn wall_offset() -> i64 {
    let anchor = boot_anchor();
    anchor.wall.nanos() - anchor.monotonic.nanos().cast_signed()
}
