//! What is asked and told about processes that were born.

use std::os::fd::OwnedFd;
use std::time::Duration;

use argus_model::Monotonic;

use crate::process::{Instance, Target};

/// What is known at once of a process that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newborn {
    /// Which process; of one that has [passed](Occasion::Passed), its start time to a tick or two.
    pub instance: Instance,
    /// The kernel's name for it; empty for one that has passed.
    pub name: String,
    /// Its parent.
    pub parent: Parent,
    /// The leader of its process group; 0 when not known.
    pub group: u32,
    /// The leader of its session; 0 when not known.
    pub session: u32,
    /// Why it is asked about.
    pub occasion: Occasion,
}

/// Why a process is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It was born, or found by [`Births::scan`](super::Births::scan).
    Birth,
    /// It was born and is gone already.
    Passed,
    /// It became another program.
    Exec,
}

/// A process's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its id; 0 for none, and for one outside of our pid namespace.
    pub pid: u32,
    /// Its start time in ticks since boot, if it still lives.
    pub start_ticks: Option<u64>,
    /// Who says so.
    pub origin: Origin,
}

/// Who says who is whose parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The report of its birth: the parent that made it.
    Report,
    /// `/proc`: the parent that it has now, which may have adopted it.
    Look,
}

/// What a caller thinks of a newborn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// It is to be told.
    Wanted,
    /// It is not.
    None,
}

impl Interest {
    /// Wanted by either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Wanted => self,
            Self::None => other,
        }
    }
}

/// What there is to tell.
#[derive(Debug)]
pub enum News {
    /// A process was born.
    Born(Birth),
    /// A process that was born, or told of, before became another program.
    Became(Target),
    /// A process was born and was gone before it could be looked at.
    Passed(Brief),
    /// Reports were lost. What can still be found follows; what ended meanwhile is not known of.
    Lost,
}

/// A process that was born.
#[derive(Debug)]
pub struct Birth {
    /// The process. Its name is the kernel's, and the rest is empty, if it ended at once.
    pub target: Target,
    /// Its parent.
    pub parent: Parent,
    /// Whether it is a mere copy of its parent, as far as could be seen: what it is called says who
    /// made it, and not what it will be.
    pub is_copy: bool,
    /// When it was born, to a hundredth of a second where nobody reported it.
    pub at: Monotonic,
    /// Names it for good, alive or not; `None` where the kernel or a sandbox has no pidfds, or no
    /// descriptor was left.
    pub pidfd: Option<OwnedFd>,
}

/// A life too short to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief {
    /// Which process, its start time to a tick or two.
    pub instance: Instance,
    /// Its parent.
    pub parent: Parent,
    /// When it was born.
    pub at: Monotonic,
    /// How long it lived, if its end was reported.
    pub lifetime: Option<Duration>,
    /// Its exit code, or −N when signal N killed it, if its end was reported.
    pub code: Option<i32>,
}
