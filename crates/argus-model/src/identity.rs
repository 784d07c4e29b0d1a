//! Who wrote a record, and which span it speaks of.
//!
//! A process id alone names nobody: it is re-used, and every container has a pid 1. A
//! [`ProducerId`] is the machine, its boot, the pid namespace, the pid, the process's start time,
//! and a random part, because `exec` keeps the pid and the start time. Its text form is the name
//! of the producer's spool directory.

use std::fmt;
use std::str::FromStr;

/// The identity of one run of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProducerId {
    /// A hash of the machine's id (never the id itself, which is confidential).
    pub machine: u64,
    /// The first half of the kernel's boot id.
    pub boot: u64,
    /// Inode of the pid namespace in which `pid` has its meaning.
    pub pid_namespace: u64,
    /// Process id inside its namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
    /// Random: tells two programs apart that `exec` ran in one process.
    pub nonce: u64,
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:016x}-{:016x}-{}-{}-{}-{:016x}",
            self.machine, self.boot, self.pid_namespace, self.pid, self.start_ticks, self.nonce
        )
    }
}

/// A text that is not the name of a producer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a producer id: {0:?}")]
pub struct InvalidProducerId(pub String);

impl FromStr for ProducerId {
    type Err = InvalidProducerId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_producer(text).ok_or_else(|| InvalidProducerId(text.to_owned()))
    }
}

fn parse_producer(text: &str) -> Option<ProducerId> {
    let mut parts = text.split('-');
    let hex = |part: &str| (part.len() == 16).then(|| u64::from_str_radix(part, 16).ok())?;
    let id = ProducerId {
        machine: hex(parts.next()?)?,
        boot: hex(parts.next()?)?,
        pid_namespace: parts.next()?.parse().ok()?,
        pid: parts.next()?.parse().ok()?,
        start_ticks: parts.next()?.parse().ok()?,
        nonce: hex(parts.next()?)?,
    };
    parts.next().is_none().then_some(id)
}

/// A span's number, given by its producer, unique within it. Zero means "no span".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanNumber(pub u64);

impl SpanNumber {
    /// The number that stands for "no span", for example the parent of a root.
    pub const NONE: Self = Self(0);

    /// Whether this names no span.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// A span's identity across all producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanKey {
    /// Who opened it.
    pub producer: ProducerId,
    /// Its number there.
    pub number: SpanNumber,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProducerId = ProducerId {
        machine: 0x0123_4567_89ab_cdef,
        boot: 7,
        pid_namespace: 4_026_531_836,
        pid: 4711,
        start_ticks: 998_877,
        nonce: u64::MAX,
    };

    #[test]
    fn a_producer_id_survives_its_text_form() {
        assert_eq!(ID.to_string().parse(), Ok(ID));
    }

    #[test]
    fn other_directory_names_are_no_producers() {
        for text in [
            "",
            ".",
            "a-b-c-d-e-f",
            "0123456789abcdef",
            &format!("{ID}-1"),
        ] {
            assert!(text.parse::<ProducerId>().is_err(), "{text:?}");
        }
    }
}
