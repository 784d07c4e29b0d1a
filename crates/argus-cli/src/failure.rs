//! From an error to one clear sentence, a hint, and an exit code.
//!
//! What to try next and which code to leave with belong to the error's type: [`Advice`] says both.
//! [`report`] is the only place where an error is printed.

use std::error::Error;
use std::io::{self, Write};

use argus_observe::AttachError;
use argus_observe::child::SpawnError;
use argus_observe::stack::StackError;
use argus_spool::place::PlaceError;
use argus_spool::starter::StartError;
use argus_store::salvage::SalvageError;
use argus_store::{OpenError, ReadError};

use crate::exit::Exit;
use argus_tui::sanitize;

/// What an error type knows beyond its message.
trait Advice {
    /// The code to leave with.
    fn exit(&self) -> Exit;
    /// A command worth trying.
    fn hint(&self) -> Option<String>;
}

/// A command declines to do what it was asked, for a reason of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// A refusal that leaves with this code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a command worth trying.
    pub(crate) fn hint(mut self, command: impl Into<String>) -> Self {
        self.hint = Some(command.into());
        self
    }
}

impl Advice for Refusal {
    fn exit(&self) -> Exit {
        self.exit
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl Advice for OpenError {
    fn exit(&self) -> Exit {
        match self {
            Self::Missing(_) => Exit::NotFound,
            Self::Older { .. }
            | Self::Newer { .. }
            | Self::NotOurs(_)
            | Self::Network { .. }
            | Self::Damaged { .. }
            | Self::Io { .. } => Exit::Store,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) => "argus run -- COMMAND   (records a program)".into(),
            Self::Older { .. } => {
                "argus collector   (brings it up to date, or says why not)".into()
            }
            Self::Newer { .. } => "argus --version   (a newer one is installed somewhere)".into(),
            Self::NotOurs(_) => "argus status --db FILE   (name a database of your own)".into(),
            Self::Network { .. } => "argus status --db FILE   (name one on a local disk)".into(),
            Self::Damaged { path, .. } => {
                let path = path.display();
                format!("mv {path} {path}.damaged   (keeps it, and starts a new one)")
            }
            Self::Io { path, .. } => format!("ls -l {}", path.display()),
        })
    }
}

impl Advice for SalvageError {
    fn exit(&self) -> Exit {
        match self {
            Self::Open(error) => error.exit(),
            Self::Exists(_) => Exit::Usage,
            Self::Write(_) => Exit::Store,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists(_) => Some("argus export --salvage --into NEW   (names another)".into()),
            Self::Open(_) | Self::Write(_) => None,
        }
    }
}

impl Advice for ReadError {
    fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) => Exit::Usage,
            Self::Failed(_) => Exit::Store,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Invalid(_) => "argus query --help   (names the tables)".into(),
            Self::Failed(_) => "argus status".into(),
        })
    }
}

impl Advice for PlaceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unnamed => Exit::Usage,
            Self::NotOurs(_) | Self::Network { .. } | Self::Io { .. } => Exit::Store,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unnamed => "argus status --db FILE".into(),
            Self::Network { .. } => "argus status --db FILE   (name one on a local disk)".into(),
            Self::NotOurs(_) => "argus status --db FILE   (name a database of your own)".into(),
            Self::Io { path, .. } => format!("ls -ld {}", path.display()),
        })
    }
}

impl Advice for StartError {
    fn exit(&self) -> Exit {
        match self {
            Self::Place(error) => error.exit(),
            Self::Control { .. } | Self::Silent => Exit::Store,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Place(error) => error.hint(),
            Self::Control { path, .. } => Some(format!("ls -l {}", path.display())),
            Self::Silent => Some("argus collector   (says why it does not start)".into()),
        }
    }
}

impl Advice for AttachError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoSuchProcess(_)
            | Self::InOtherNamespace { .. }
            | Self::NotInThisNamespace(_)
            | Self::NoSuchName(_)
            | Self::NoSuchCommandLine(_)
            | Self::Thread { .. }
            | Self::Zombie { .. }
            | Self::OnlyArgus { .. }
            | Self::EndedMeanwhile(_) => Exit::NotFound,
            Self::KernelThread { .. }
            | Self::Oneself(_)
            | Self::NotPermitted(_)
            | Self::ForeignProc
            | Self::Unobservable(_) => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchProcess(_)
            | Self::NotInThisNamespace(_)
            | Self::NoSuchName(_)
            | Self::NoSuchCommandLine(_)
            | Self::KernelThread { .. }
            | Self::Oneself(_)
            | Self::EndedMeanwhile(_) => Some("ps -e   (lists all processes)".into()),
            Self::InOtherNamespace { here, .. } => here
                .first()
                .map(|target| format!("argus gaze --pid {}", target.pid)),
            Self::OnlyArgus { pids, .. } => pids
                .iter()
                .find(|pid| **pid != std::process::id())
                .map(|pid| format!("argus gaze --pid {pid}")),
            Self::Thread { process: pid, .. } | Self::Zombie { parent: pid, .. } => {
                Some(format!("argus gaze --pid {pid}"))
            }
            Self::NotPermitted(pid) => Some(format!("sudo argus gaze --pid {pid}")),
            Self::ForeignProc => Some("sudo mount -t proc proc /proc".into()),
            Self::Unobservable(_) => None,
        }
    }
}

impl Advice for StackError {
    fn exit(&self) -> Exit {
        match self {
            Self::Ended(_) => Exit::NotFound,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        self.advice().map(str::to_owned)
    }
}

impl Advice for SpawnError {
    /// The codes that shells give.
    fn exit(&self) -> Exit {
        match self {
            Self::NotFound(_) => Exit::Child(127),
            Self::NotExecutable { .. } => Exit::Child(126),
            Self::Failed { .. } => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        None
    }
}

/// Prints `argus: <chain>` and `hint: …` to standard error; the code to leave with.
///
/// A reader of our output that went away (`argus logs | head`) is no failure and prints nothing.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    if error.chain().any(is_closed_pipe) {
        return Exit::Fine;
    }
    let advice = error.chain().find_map(advice);
    let mut text = format!("argus: {}\n", sanitize(&chain(error)));
    if let Some(hint) = advice.and_then(Advice::hint) {
        text.push_str(&format!("hint: {}\n", sanitize(&hint)));
    }
    // Nobody is left to tell when standard error is closed.
    let _ = io::stderr().write_all(text.as_bytes());
    advice.map_or(Exit::NotFound, Advice::exit)
}

fn chain(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    parts.join(": ")
}

fn advice<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn Advice> {
    fn of<'a, E: Error + Advice + 'static>(
        error: &'a (dyn Error + 'static),
    ) -> Option<&'a dyn Advice> {
        error.downcast_ref::<E>().map(|error| error as &dyn Advice)
    }
    of::<Refusal>(error)
        .or_else(|| of::<SalvageError>(error))
        .or_else(|| of::<OpenError>(error))
        .or_else(|| of::<ReadError>(error))
        .or_else(|| of::<StartError>(error))
        .or_else(|| of::<PlaceError>(error))
        .or_else(|| of::<AttachError>(error))
        .or_else(|| of::<StackError>(error))
        .or_else(|| of::<SpawnError>(error))
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    let kind = match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.kind()),
        None => error
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind),
    };
    kind == Some(io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_known_error_keeps_its_code_under_any_context() {
        let error = anyhow::Error::new(OpenError::NotOurs(PathBuf::from("/x")));
        let wrapped = Err::<(), _>(error).context("looking around").unwrap_err();
        assert_eq!(report(&wrapped), Exit::Store);
    }

    #[test]
    fn who_is_not_there_and_what_cannot_be_observed_leave_with_different_codes() {
        let check = |error: AttachError, code: Exit| assert_eq!(report(&error.into()), code);
        check(AttachError::NoSuchProcess(1), Exit::NotFound);
        check(AttachError::NoSuchName("x".into()), Exit::NotFound);
        check(AttachError::NotPermitted(1), Exit::Usage);
        let source = io::Error::from(io::ErrorKind::NotFound);
        check(AttachError::Unobservable(source), Exit::Usage);
    }

    #[test]
    fn a_reader_that_went_away_is_fine() {
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(report(&gone.into()), Exit::Fine);
    }
}
