//! Why a process ended: what observers find out, and what the `detail` of a `terminated` event says.
//!
//! The detail is one JSON object of fixed words:
//!
//! ```json
//! {"cause":"oom_kill","evidence":"kernel_log","core_dumped":false}
//! ```
//!
//! `cause` and `evidence` are the words of [`Cause`] and [`Evidence`]. `core_dumped` stands there
//! where the kernel told. A reader takes a word that it does not know for "unknown".

/// Why a process ended, as far as the kernel told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It left by itself, with an exit code.
    Exit,
    /// A signal ended it. SIGKILL among them only if the kernel killed nobody for want of memory.
    Signal,
    /// The kernel killed it because memory ran out.
    OutOfMemory,
    /// SIGKILL, and the kernel has killed for want of memory at that time where this process was; the
    /// victim may have been another one.
    PerhapsOutOfMemory,
    /// SIGKILL, and whether it was the kernel's cannot be told.
    Killed,
    /// How it ended is not known.
    Unknown,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 6] = [
        Self::Exit,
        Self::Signal,
        Self::OutOfMemory,
        Self::PerhapsOutOfMemory,
        Self::Killed,
        Self::Unknown,
    ];

    /// The word stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::OutOfMemory => "oom_kill",
            Self::PerhapsOutOfMemory => "perhaps_oom_kill",
            Self::Killed => "sigkill",
            Self::Unknown => "unknown",
        }
    }

    /// What an exit code alone tells: −N for signal N, absent when unknown.
    pub const fn of_code(code: Option<i32>) -> Self {
        match code {
            Some(-9) => Self::Killed,
            Some(code) if code < 0 => Self::Signal,
            Some(_) => Self::Exit,
            None => Self::Unknown,
        }
    }

    /// The cause that a stored word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.word() == word)
    }
}

/// What a cause is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// How the process ended was told, and that says it all.
    ExitStatus,
    /// The kernel's log names the process, or everybody else that was killed.
    KernelLog,
    /// The count of out-of-memory kills in the process's own control group.
    ControlGroup,
    /// The count of out-of-memory kills on the whole machine.
    Machine,
    /// Nothing could be read.
    None,
}

impl Evidence {
    /// Every kind of evidence.
    pub const ALL: [Self; 5] = [
        Self::ExitStatus,
        Self::KernelLog,
        Self::ControlGroup,
        Self::Machine,
        Self::None,
    ];

    /// The word stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ExitStatus => "exit_status",
            Self::KernelLog => "kernel_log",
            Self::ControlGroup => "control_group",
            Self::Machine => "machine",
            Self::None => "none",
        }
    }

    /// The evidence that a stored word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }
}

/// What is known of a process's end beside its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Death {
    /// Why.
    pub cause: Cause,
    /// How that is known.
    pub evidence: Evidence,
    /// Whether the kernel wrote its memory to a file (or to a program that takes them); absent when
    /// it did not tell.
    pub core_dumped: Option<bool>,
}

impl Death {
    /// What an exit code alone tells: −N for signal N, absent when unknown.
    pub const fn of_code(code: Option<i32>) -> Self {
        let cause = Cause::of_code(code);
        Self {
            cause,
            evidence: match cause {
                Cause::Killed | Cause::Unknown => Evidence::None,
                _ => Evidence::ExitStatus,
            },
            core_dumped: None,
        }
    }

    /// The detail of a `terminated` event.
    pub fn detail(self) -> String {
        let Self {
            cause, evidence, ..
        } = self;
        let core = match self.core_dumped {
            Some(dumped) => format!(",\"core_dumped\":{dumped}"),
            None => String::new(),
        };
        format!(
            "{{\"cause\":\"{}\",\"evidence\":\"{}\"{core}}}",
            cause.word(),
            evidence.word()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_as_what_was_meant() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_word(cause.word()), Some(cause));
        }
        for evidence in Evidence::ALL {
            assert_eq!(Evidence::from_word(evidence.word()), Some(evidence));
        }
        assert_eq!(Cause::from_word("struck by lightning"), None);
    }

    #[test]
    fn a_code_alone_tells_no_out_of_memory_kill() {
        let cause = |code| Death::of_code(code).cause;
        assert_eq!(cause(Some(0)), Cause::Exit);
        assert_eq!(cause(Some(-11)), Cause::Signal);
        assert_eq!(cause(Some(-9)), Cause::Killed);
        assert_eq!(cause(None), Cause::Unknown);
    }

    #[test]
    fn the_detail_is_json_of_fixed_words() {
        let death = Death {
            core_dumped: Some(true),
            ..Death::of_code(Some(-6))
        };
        assert_eq!(
            death.detail(),
            r#"{"cause":"signal","evidence":"exit_status","core_dumped":true}"#
        );
        assert_eq!(
            Death::of_code(None).detail(),
            r#"{"cause":"unknown","evidence":"none"}"#
        );
    }
}
