//! The exit codes of `argus`, all of them.
//!
//! Scripts act on these numbers; they never change their meaning.

use std::process::ExitCode;

/// How a command ended, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done; an empty listing is fine as well.
    Fine,
    /// 1: what was asked for does not exist, the check failed, or a search was ended before it
    /// was through.
    NotFound,
    /// 2: the command line makes no sense, or this machine cannot observe what was asked.
    Usage,
    /// 3: the store cannot be used: from a newer Argus, another user's, damaged, unreadable.
    Store,
    /// The code of the program that `argus run` started; 128 + N when signal N ended it.
    Child(u8),
}

impl Exit {
    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::NotFound => 1,
            Self::Usage => 2,
            Self::Store => 3,
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
