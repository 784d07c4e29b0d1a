//! The process's spool: its directory, its chunks, its account.

use std::cell::UnsafeCell;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use argus_model::paths::DataDir;
use argus_model::record::LossReason;
use argus_model::{Monotonic, ProducerId};

use crate::chunk::Chunk;
use crate::clock::ClockBase;
use crate::control::{ControlPage, Reserve};
use crate::fork::{ForkPage, page};
use crate::format::{self, MAX_CHUNK, MIN_CHUNK};
use crate::{host, monotonic_now, place};

/// How long a process waits after it could not open its spool.
const OPENING_RETRY: Duration = Duration::from_secs(1);
/// Of what can wait, one in so many bytes of the budget may wait for the collector.
const PATIENT_SHARE: u64 = 8;
/// Released chunks kept for re-use whatever their age.
const KEPT_CHUNKS: usize = 4;
/// A released chunk unused for this long may go.
const IDLE_CHUNK: Duration = Duration::from_secs(2);

/// What a program says about itself before its first record. What it leaves out comes from the
/// environment and the kernel.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// Application name; else `ARGUS_APP_NAME`, else the process's name.
    pub app_name: Option<String>,
    /// The language runtime and its version.
    pub runtime: String,
    /// Where the `argus` command is, tried after `ARGUS_BIN` and before the PATH.
    pub command: Option<PathBuf>,
    /// Which database it records for; else the one that the environment names.
    pub place: Option<DataDir>,
}

static CONFIGURATION: OnceLock<Configuration> = OnceLock::new();

/// Describes the program. The first call wins; later ones, and any after the first record, are
/// without effect.
pub fn configure(configuration: Configuration) {
    let _ = CONFIGURATION.set(configuration);
}

pub(crate) fn configuration() -> &'static Configuration {
    CONFIGURATION.get_or_init(Configuration::default)
}

/// Whether `ARGUS_DISABLE` turns everything off. Read once; then two loads.
#[inline]
pub fn disabled() -> bool {
    static DISABLED: OnceLock<bool> = OnceLock::new();
    *DISABLED.get_or_init(is_disabled)
}

#[cold]
fn is_disabled() -> bool {
    std::env::var_os("ARGUS_DISABLE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// A thread's account, read by others.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Records accepted, bookkeeping left out.
    pub(crate) accepted: AtomicU64,
    /// Where the thread stands in its chunk.
    pub(crate) position: AtomicU32,
    in_use: AtomicBool,
}

/// What the pool knows of a thread's chunk.
#[derive(Debug)]
struct Owned {
    chunk: Chunk,
    account: &'static Account,
}

#[derive(Debug, Default)]
struct Pool {
    last_number: u32,
    first: Option<Chunk>,
    owned: Vec<Owned>,
    retired: Vec<Chunk>,
    accounts: Vec<&'static Account>,
}

/// An opened spool.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProducerId,
    pub(crate) place: DataDir,
    pub(crate) control: ControlPage,
    pub(crate) clock: ClockBase,
    directory: PathBuf,
    introduced: AtomicBool,
    /// Programs' threads that look at chunks they do not own, which must stay mapped meanwhile.
    flushing: AtomicU32,
    next_span_block: AtomicU64,
    pool: UnsafeCell<Pool>,
}

// SAFETY: `pool` is touched only under the fork page's lock; everything else is read-only.
unsafe impl Sync for Process {}

/// Where a chunk to be flushed has to be committed up to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) chunk: Chunk,
    pub(crate) offset: u32,
}

/// The opened spool of this process, opening it at the first call. Nothing while it cannot be opened.
pub(crate) fn opened(page: &'static ForkPage) -> Option<&'static Process> {
    // SAFETY: set once per process under the lock, to a leaked box.
    if let Some(process) = unsafe { page.process.load(Ordering::Acquire).as_ref() } {
        return Some(process);
    }
    let opened = page.locked(|| {
        // SAFETY: as above.
        if let Some(process) = unsafe { page.process.load(Ordering::Acquire).as_ref() } {
            return Some(process);
        }
        let now = monotonic_now().nanos();
        if now < page.retry_opening_at.load(Ordering::Relaxed) {
            return None;
        }
        let Some(process) = Process::open() else {
            let wait = u64::try_from(OPENING_RETRY.as_nanos()).unwrap_or(u64::MAX);
            page.retry_opening_at.store(now + wait, Ordering::Relaxed);
            return None;
        };
        let process = Box::into_raw(Box::new(process));
        page.process.store(process, Ordering::Release);
        // SAFETY: just leaked.
        unsafe { process.as_ref() }
    });
    opened.flatten()
}

impl Process {
    fn open() -> Option<Self> {
        let place = match &configuration().place {
            Some(place) => place::absolute(place.clone()),
            None => place::from_environment().ok()?,
        };
        place::prepare(&place).ok()?;
        let control = ControlPage::open(&place.control()).ok()?;
        let id = host::producer_id();
        let directory = place.spool().join(id.to_string());
        DirBuilder::new().mode(0o700).create(&directory).ok()?;
        let clock = ClockBase::read();
        Some(Self {
            id,
            place,
            control,
            clock,
            directory,
            introduced: AtomicBool::new(false),
            flushing: AtomicU32::new(0),
            next_span_block: AtomicU64::new(0),
            pool: UnsafeCell::default(),
        })
    }

    /// Whether the process has described itself before this call.
    pub(crate) fn mark_introduced(&self) -> bool {
        self.introduced.swap(true, Ordering::AcqRel)
    }

    /// The description found no room: the next thread tries again.
    pub(crate) fn unmark_introduced(&self) {
        self.introduced.store(false, Ordering::Release);
    }

    /// The number before the first of `size` span numbers that nobody else gets.
    pub(crate) fn span_block(&self, size: u64) -> u64 {
        self.next_span_block.fetch_add(size, Ordering::Relaxed)
    }

    /// Runs `critical` with the pool; nothing in a signal handler that interrupted somebody with it.
    fn with_pool<R>(&self, critical: impl FnOnce(&mut Pool, &'static ForkPage) -> R) -> Option<R> {
        let page = page()?;
        // SAFETY: the lock is held, so nobody else has a reference to the pool.
        page.locked(|| critical(unsafe { &mut *self.pool.get() }, page))
    }

    /// An account for a new thread, one that a dead thread left if there is one.
    pub(crate) fn account(&self) -> Option<&'static Account> {
        self.with_pool(|pool, _| {
            let free = pool
                .accounts
                .iter()
                .find(|account| !account.in_use.load(Ordering::Relaxed));
            let account = free.copied().unwrap_or_else(|| {
                let fresh: &'static Account = Box::leak(Box::default());
                pool.accounts.push(fresh);
                fresh
            });
            account.in_use.store(true, Ordering::Relaxed);
            account
        })
    }

    /// Gives a dead thread's account back.
    pub(crate) fn close_account(&self, account: &'static Account) {
        self.with_pool(|_, _| account.in_use.store(false, Ordering::Relaxed));
    }

    /// Takes a chunk of at least `least` bytes, better `wanted`: a released one, else a new one. Its
    /// next generation has begun when this returns.
    pub(crate) fn take(
        &self,
        reserve: Reserve,
        least: u32,
        wanted: u32,
    ) -> Result<Chunk, LossReason> {
        let taken = self.with_pool(|pool, page| {
            let mut chunk = match pool.take_released(least) {
                Some(chunk) => chunk,
                None => self.allocate(pool, reserve, least, wanted)?,
            };
            chunk.begin(self.id.nonce);
            if pool.first.is_none() {
                page.keep_tally_in(chunk.tally());
                pool.first = Some(chunk);
            }
            Ok(chunk)
        });
        taken.unwrap_or(Err(LossReason::Reentrant))
    }

    /// A thread leaves its chunk, now sealed, for the one it has taken. In one step: at any moment a
    /// flush must find every chunk that holds records.
    pub(crate) fn exchange(
        &self,
        account: &'static Account,
        sealed: Option<Chunk>,
        taken: Option<Chunk>,
    ) {
        self.with_pool(|pool, _| {
            pool.owned
                .retain(|owned| !std::ptr::eq(owned.account, account));
            if let Some(chunk) = taken {
                account
                    .position
                    .store(format::FIRST_RECORD, Ordering::Relaxed);
                pool.owned.push(Owned { chunk, account });
            }
            if let Some(chunk) = sealed {
                pool.retired.push(chunk);
                self.remove_idle(pool, chunk.retired_at);
            }
        });
    }

    fn allocate(
        &self,
        pool: &mut Pool,
        reserve: Reserve,
        least: u32,
        wanted: u32,
    ) -> Result<Chunk, LossReason> {
        let mut refused = LossReason::Budget;
        let smallest = least.max(MIN_CHUNK).next_power_of_two().min(MAX_CHUNK);
        let (_, budget) = self.control.usage();
        if reserve == Reserve::Patient && pool.waiting() >= budget / PATIENT_SHARE {
            return Err(refused);
        }
        for capacity in [wanted.max(smallest), smallest] {
            if !self.control.reserve(capacity.into(), reserve) {
                continue;
            }
            let number = pool.last_number + 1;
            match Chunk::create(&self.directory, number, capacity) {
                Ok(chunk) => {
                    pool.last_number = number;
                    return Ok(chunk);
                }
                Err(_) => {
                    self.control.give_back(capacity.into());
                    refused = LossReason::Disk;
                }
            }
        }
        Err(refused)
    }

    fn remove_idle(&self, pool: &mut Pool, now: Monotonic) {
        if self.flushing.load(Ordering::Relaxed) != 0 {
            return;
        }
        for gone in pool.idle_chunks(now) {
            let path = self.directory.join(format::chunk_file_name(gone.number));
            if std::fs::remove_file(path).is_ok() {
                self.control.give_back(gone.capacity().into());
            }
            // SAFETY: the pool held the only handle to it.
            unsafe { gone.mapping.unmap() };
        }
    }

    /// Every chunk with records that may not be committed, and how far each has been written. The
    /// chunks stay mapped until [`Process::goals_reached`].
    pub(crate) fn goals(&self) -> Option<Vec<Goal>> {
        self.with_pool(|pool, _| {
            self.flushing.fetch_add(1, Ordering::Relaxed);
            let owned = pool.owned.iter().map(|owned| Goal {
                chunk: owned.chunk,
                offset: owned.account.position.load(Ordering::Acquire),
            });
            let retired = pool.retired.iter().map(|chunk| Goal {
                chunk: *chunk,
                offset: chunk.end,
            });
            owned.chain(retired).collect()
        })
    }

    /// Nobody looks at the chunks of a call of [`Process::goals`] any more.
    pub(crate) fn goals_reached(&self) {
        self.flushing.fetch_sub(1, Ordering::Relaxed);
    }

    fn totals(&self) -> (u64, u64) {
        self.with_pool(|pool, _| {
            let accepted = pool
                .accounts
                .iter()
                .map(|account| account.accepted.load(Ordering::Relaxed))
                .sum();
            (accepted, pool.first.as_ref().map_or(0, Chunk::drained))
        })
        .unwrap_or_default()
    }
}

impl Pool {
    /// Bytes of chunks that wait for the collector.
    fn waiting(&self) -> u64 {
        let waiting = self.retired.iter().filter(|chunk| !chunk.is_released());
        waiting.map(|chunk| u64::from(chunk.capacity())).sum()
    }

    fn take_released(&mut self, least: u32) -> Option<Chunk> {
        let fits = |chunk: &Chunk| chunk.capacity() >= least && chunk.is_released();
        let index = self.retired.iter().position(fits)?;
        Some(self.retired.remove(index))
    }

    /// Takes up to two released chunks out of the pool that nobody has needed for a while.
    fn idle_chunks(&mut self, now: Monotonic) -> Vec<Chunk> {
        let mut gone = Vec::new();
        while self.retired.len() > KEPT_CHUNKS && gone.len() < 2 {
            let idle = |chunk: &Chunk| {
                chunk.number != 1 && now.since(chunk.retired_at) > IDLE_CHUNK && chunk.is_released()
            };
            let Some(index) = self.retired.iter().position(idle) else {
                break;
            };
            gone.push(self.retired.remove(index));
        }
        gone
    }
}

/// A process's account of its own records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Records emitted: accepted and lost ones.
    pub emitted: u64,
    /// Accepted and not yet committed.
    pub depth: u64,
    /// Ordinary records that found no room.
    pub lost_normal: u64,
    /// Errors that found no room.
    pub lost_errors: u64,
}

/// This process's account. Takes a lock; not for the hot path.
pub fn stats() -> Stats {
    let Some(page) = page() else {
        return Stats::default();
    };
    let lost_normal = page.lost_normal.load(Ordering::Relaxed);
    let lost_errors = page.lost_errors.load(Ordering::Relaxed);
    // SAFETY: set once per process, to a leaked box.
    let process = unsafe { page.process.load(Ordering::Acquire).as_ref() };
    let (accepted, drained) = process.map_or((0, 0), Process::totals);
    Stats {
        emitted: accepted + lost_normal + lost_errors,
        depth: accepted.saturating_sub(drained),
        lost_normal,
        lost_errors,
    }
}
