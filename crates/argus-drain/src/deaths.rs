//! Whether a producer lives.
//!
//! A pid means something only on the machine, in the boot and in the pid namespace that gave it.
//! A producer of an earlier boot of this machine is dead. Of one in another namespace nothing can
//! be known: its records are stored as they come, and nothing of it is removed.

use argus_model::ProducerId;
use argus_spool::host;

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
            Ok(_) => Life::Dead,
            // Whoever watches it will learn of its end; a spool once removed does not come back.
            Err(_) => Life::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
