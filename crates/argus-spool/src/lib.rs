//! The flight recorder: what a program emits is in memory-mapped files the moment the emit returns.
//!
//! A page of a mapped file belongs to the kernel. Whatever kills the process, an unhandled
//! exception, `SIGKILL`, `_exit`, the out-of-memory killer, the pages stay and the collector reads
//! them. Nothing is ever fsynced here: a power loss may cost what was not yet drained and synced.
//!
//! This crate is a guest in strangers' programs. It starts no thread, keeps no descriptor open,
//! never blocks, never panics, prints nothing; what it cannot record it counts.
//!
//! # Files
//!
//! Each process that emits makes one directory, exclusively, in `<database>.d/spool/`, named by its
//! [`ProducerId`](argus_model::ProducerId). In it stand chunks, `00000001.chunk`, `00000002.chunk`,
//! …, one file each. A chunk has one writer at a time: the thread that owns it. A file is allocated
//! whole by `fallocate` (a sparse file on a full disk would kill the host with `SIGBUS`), mapped,
//! and its descriptor closed. It is unlinked, never truncated.
//!
//! The events of sessions, whose order over all threads is their sense, share a chunk of their own,
//! which its writers take turns with under a lock.
//!
//! Chunks start at 64 KiB and double, up to 4 MiB, while a thread fills one in under 50 ms.
//!
//! # A chunk
//!
//! ```text
//! offset  size  who writes  what
//!      0    96  producer    head: who, which generation, clocks, thread; ends with its CRC
//!    128    96  producer    the head again (a damaged byte must not cost a chunk)
//!    256    16  producer    seal: generation (low 32 bits) << 32 | end offset; and its complement
//!    272     8  producer    records: accepted so far in this generation, bookkeeping left out
//!    280    40  producer    loss tally of the whole process, in chunk 1 only (see Losses)
//!    384    16  collector   committed: generation (low 32 bits) << 32 | offset; and its complement
//!    400    16  collector   released: generation; and its complement
//!    416     8  collector   drained: records of the whole process committed, in chunk 1 only
//!    512     …  producer    records, each at a multiple of 8
//! ```
//!
//! All integers are little-endian. A word with a complement counts only when both agree: the
//! collector writes with `pwrite`, which promises no atomicity.
//!
//! Head: magic `ARGSPL01`, format version u32, chunk number u32, capacity u32, thread id u32,
//! generation u64, producer's nonce u64, clock anchor (monotonic u64, wall i64), thread name
//! (24 bytes, zero-padded UTF-8), CRC32C u32 of all before.
//!
//! # A record
//!
//! ```text
//!  0  state u64   magic 0xA26B << 48 | generation (low 16 bits) << 32 | kind << 24 | length
//!  8  crc   u32   CRC32C, see below
//! 12  payload     `length` bytes, first a 32-bit word; zeros up to the next multiple of 8
//! ```
//!
//! The payload is written first, then the CRC, and the state word last, with Release order. It is
//! the moment of acceptance: a process killed before it has not emitted the record, killed after
//! it has. What stands at the next record's place meanwhile is zero, or of an older generation;
//! neither has this generation's tag in its state word, so the reader stops there.
//!
//! The CRC's register starts from a seed made of nonce, chunk number and generation, then takes
//! the record's offset, the state word, and the rest with the CRC field as zero. A record copied
//! elsewhere, or left over from an older generation, does not verify.
//!
//! # Generations
//!
//! Fresh file pages cost 70–260 ns a span, resident ones 3–5, so chunks are re-used in place. When
//! a chunk is full its owner *seals* it and takes another: one that the collector has *released*,
//! else a new one. The collector releases a sealed generation when all of it is committed and the
//! store was synced. Taking a released chunk raises its generation by one and rewrites the heads;
//! positions in the store name the generation.
//!
//! A reader that finds no valid record where the seal (or the process's death) says there should be
//! one *resynchronises*: it goes on at the next multiple of 8 that holds a record of this generation
//! with a valid CRC. One damaged byte costs the record it stands in.
//!
//! Because one thread writes one chunk from front to back, the records of a chunk are accepted in
//! order and without holes.
//!
//! # Definitions
//!
//! Names and observed processes are numbered by the process and defined by a record of their own,
//! once per chunk generation, before their first use there. Every chunk can be read alone.
//!
//! # Losses
//!
//! What finds no room is counted at once in the loss tally of chunk 1, which survives the process:
//!
//! ```text
//! 280  number u32, reason u32    the running gap
//! 288  normal u64, errors u64    records lost in it
//! 304  from u64, to u64          monotonic time of the first and last
//! ```
//!
//! When room returns, a gap record with the same number is written and the tally starts anew: first
//! the counts are zeroed, then the number is raised. A reader that sees both counts it once.
//!
//! # Fork
//!
//! A child inherits the mappings; writing to them would corrupt both. All process-wide state hangs
//! on one private page marked `MADV_WIPEONFORK`: in the child it is zero, which reads as "this
//! process has not opened a spool", however the child was made. It opens its own at its first emit.
//!
//! # Who may do what
//!
//! | | producer | collector |
//! |---|---|---|
//! | create directory, chunks | yes | no |
//! | write heads, records, seal, tally | yes | no |
//! | write committed, released, drained | no | yes |
//! | unlink | own released chunks | all, once the process is dead and everything is synced |

mod checksum;
mod chunk;
mod clock;
pub mod control;
mod definition;
mod emit;
mod flush;
mod fork;
pub mod format;
mod futex;
pub mod host;
mod kept;
mod life;
mod map;
pub mod place;
pub mod probe;
mod process;
pub mod read;
pub mod remote;
pub mod starter;
mod thread;
mod writer;

#[cfg(debug_assertions)]
pub use clock::shift_wall_clock;
pub use clock::{boot_anchor, monotonic_now, source as clock_source};
pub use definition::{Definition, define, describe, describe_log_file};
pub use emit::{Appended, Offered, Weight, append, append_in_order, offer, span_end, span_start};
pub use flush::{Flushed, flush};
pub use kept::KeptCurrent;
pub use life::life;
pub use process::{Configuration, Stats, configure, disabled, stats};
pub use thread::{Current, Step, Thread};
