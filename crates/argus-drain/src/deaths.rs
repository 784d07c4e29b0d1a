//! Whether a producer lives.
//!
//! A pid means something only on the machine, in the boot and in the pid namespace that gave it.
//! A producer of an earlier boot of this machine is dead. Of one in another namespace nothing can
//! be known: its records are stored as they come, and nothing of it is removed.
//!
//! Pid and start time name a process to a hundredth of a second, and they outlive an `exec`. What
//! tells a producer from another program with the same two is that it has its spool mapped: its first
//! chunk stays mapped from its first record on, and neither an `exec` nor a death leaves it so.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use argus_model::ProducerId;
use argus_spool::read::chunks;
use argus_spool::{host, read::ChunkReader};

/// Whether a process executed another program, without recording there, is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// This machine, as the producers' identities name it.
#[derive(Debug, Clone, Copy)]
pub struct Here {
    machine: u64,
    boot: u64,
    pid_namespace: u64,
}

/// What can be said of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its process exists.
    Alive,
    /// Its process does not exist any more.
    Dead,
    /// Its process cannot be seen from here.
    Unknown,
}

impl Here {
    /// Reads some files of `/proc`.
    pub fn read() -> Self {
        Self {
            machine: host::machine(),
            boot: host::boot(),
            pid_namespace: host::pid_namespace(),
        }
    }

    /// Judges by the process table.
    pub fn judge(&self, producer: ProducerId) -> Life {
        // Without `/proc` nothing can be known, of the producer or of oneself.
        let blind = self.boot == 0 || self.pid_namespace == 0 || producer.boot == 0;
        if blind || producer.machine != self.machine {
            return Life::Unknown;
        }
        if producer.boot != self.boot {
            return Life::Dead;
        }
        if producer.pid_namespace != self.pid_namespace {
            return Life::Unknown;
        }
        match host::start_ticks(producer.pid) {
            Ok(Some(ticks)) if ticks == producer.start_ticks => Life::Alive,
            // In a time namespace of its own it has counted from another zero.
            Ok(Some(_)) if self.has_other_time(producer.pid) => Life::Unknown,
            Ok(_) => Life::Dead,
            // Whoever watches it will learn of its end; a spool once removed does not come back.
            Err(_) => Life::Alive,
        }
    }

    fn has_other_time(&self, pid: u32) -> bool {
        let theirs = fs::read_link(format!("/proc/{pid}/ns/time"));
        theirs.is_ok_and(|theirs| fs::read_link("/proc/self/ns/time").is_ok_and(|it| it != theirs))
    }
}

/// Whether the process with the producer's pid runs another program, or is over: it has the
/// producer's spool, which lies in `directory`, no longer mapped. Costs a look into the process's
/// map; what cannot be told is no.
pub(crate) fn has_let_go(producer: ProducerId, directory: &Path) -> bool {
    // Until the first chunk is begun, it may be about to be mapped.
    let first = chunks(directory).unwrap_or_default().into_iter().next();
    let begun = first
        .is_some_and(|(_, path)| !matches!(ChunkReader::open(&path, producer), Ok(None) | Err(_)));
    begun && maps(producer).is_ok_and(|maps| !maps)
}

/// Whether the process with the producer's pid certainly has its spool mapped.
pub(crate) fn holds(producer: ProducerId) -> bool {
    maps(producer).is_ok_and(|maps| maps)
}

fn maps(producer: ProducerId) -> io::Result<bool> {
    let maps = match fs::read(format!("/proc/{}/maps", producer.pid)) {
        Err(error) if error.raw_os_error() == Some(ESRCH) => return Ok(false),
        maps => maps?,
    };
    let folder = format!("/{producer}/");
    Ok(maps
        .windows(folder.len())
        .any(|part| part == folder.as_bytes()))
}

const ESRCH: i32 = 3;

/// Looks now and then whether processes run another program than they did.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// Where each program's stack begins, which is elsewhere for the next one.
    stacks: HashMap<ProducerId, u64>,
    looked_at: Option<Instant>,
}

impl Programs {
    /// Those of `living` whose process seems to run another program; no more often than once a
    /// second.
    pub(crate) fn changed(&mut self, living: &BTreeSet<ProducerId>) -> Vec<ProducerId> {
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Vec::new();
        }
        self.looked_at = Some(Instant::now());
        self.stacks.retain(|producer, _| living.contains(producer));
        let mut changed = Vec::new();
        for producer in living {
            // Of a process that may not be looked into, it is zero.
            let Some(stack) = host::stack_start(producer.pid).filter(|stack| *stack != 0) else {
                continue;
            };
            let before = self.stacks.insert(*producer, stack);
            // At the first look, too: it may have happened before.
            if before != Some(stack) {
                changed.push(*producer);
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_at_when_it_is_new_and_when_it_has_changed() {
        let me = host::producer_id();
        let living = BTreeSet::from([me]);
        let mut programs = Programs::default();
        let mut look = |stack: Option<u64>| {
            programs.looked_at = None;
            if let Some(stack) = stack {
                programs.stacks.insert(me, stack);
            }
            programs.changed(&living)
        };
        // It may have executed another program between being found and this.
        assert_eq!(look(None), [me]);
        assert_eq!(look(None), []);
        assert_eq!(look(Some(1)), [me], "its stack was elsewhere");
        assert_eq!(look(None), []);
    }

    #[test]
    fn life_is_judged_only_where_the_pid_has_its_meaning() {
        let here = Here::read();
        let me = host::producer_id();
        assert_eq!(here.judge(me), Life::Alive);
        assert_eq!(
            here.judge(ProducerId {
                start_ticks: 1,
                ..me
            }),
            Life::Dead
        );
        assert_eq!(
            here.judge(ProducerId {
                boot: me.boot ^ 1,
                ..me
            }),
            Life::Dead
        );
        assert_eq!(
            here.judge(ProducerId {
                pid_namespace: 1,
                ..me
            }),
            Life::Unknown
        );
        let blind = Here { boot: 0, ..here };
        assert_eq!(blind.judge(me), Life::Unknown);
        assert_eq!(
            here.judge(ProducerId {
                machine: me.machine ^ 1,
                ..me
            }),
            Life::Unknown
        );
    }
}
