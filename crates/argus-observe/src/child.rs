//! A program run under observation: its streams pass through, a copy of their lines is handed over.
//!
//! The program must not notice. It gets a terminal if its caller has one ([`Streams::of_caller`])
//! and pipes otherwise, the signals its caller gets, and its output is passed on before anything
//! else is done with it. When the reader of our output goes away, the program's next write fails as
//! it would without us.
//!
//! On a terminal, standard output and error are one stream, as the screen shows them, and count as
//! output; an error stream redirected elsewhere stays apart. What the program's own children print
//! after it has ended is no longer passed on.

mod relay;
mod terminal;

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use argus_model::record::LogSource;

use crate::line::Line;
use crate::platform::Signals;
use crate::process::Target;
use crate::stat;
use terminal::Terminal;

pub use relay::FORWARDED;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The program, a path or a name to be found on the `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables it gets besides the caller's.
    pub environment: Vec<(OsString, OsString)>,
}

/// How the program's streams are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// A terminal of its own, which shows on the caller's.
    Terminal,
    /// Standard input is the caller's, output and error are pipes.
    Pipes,
}

impl Streams {
    /// A terminal if the caller stands in the foreground of one, pipes otherwise.
    pub fn of_caller() -> Self {
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let foreground = rustix::termios::tcgetpgrp(rustix::stdio::stdin()).ok();
        if is_terminal && foreground == Some(rustix::process::getpgrp()) {
            Self::Terminal
        } else {
            Self::Pipes
        }
    }
}

/// A program was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program; shells say 127.
    #[error("command not found: {}", .0.display())]
    NotFound(OsString),
    /// It is there and cannot be executed; shells say 126.
    #[error("not executable: {}", .program.display())]
    NotExecutable {
        /// What was to be run.
        program: OsString,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The means to run any program are missing.
    #[error("cannot start {}", .program.display())]
    Failed {
        /// What was to be run.
        program: OsString,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, or −N when signal N killed it.
    pub code: i32,
    /// The kernel wrote its memory to a file, or to a program that takes such.
    pub core_dumped: bool,
}

impl Ended {
    /// The code a shell would report: 128 + N for signal N.
    pub fn shell_code(self) -> u8 {
        let code = if self.code < 0 {
            128 - self.code
        } else {
            self.code
        };
        u8::try_from(code & 0xff).unwrap_or(u8::MAX)
    }

    pub(crate) fn of(status: ExitStatus) -> Self {
        let signal = status.signal().unwrap_or(0);
        Self {
            code: status.code().unwrap_or(-signal),
            core_dumped: status.core_dumped(),
        }
    }
}

/// A running program.
#[derive(Debug)]
pub struct Child<'a> {
    signals: &'a Signals,
    process: std::process::Child,
    target: Target,
    terminal: Option<Terminal>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
}

impl<'a> Child<'a> {
    /// Starts a program; `signals` collects [`FORWARDED`], for as long as it runs.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(
        launch: &Launch,
        streams: Streams,
        signals: &'a Signals,
    ) -> Result<Self, SpawnError> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments);
        command.envs(launch.environment.iter().map(|(key, value)| (key, value)));
        let terminal = match streams {
            Streams::Terminal => Some(connect_terminal(&mut command)),
            Streams::Pipes => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
        };
        crate::platform::start_with_mask_before(&mut command, signals);
        let failed = |source| SpawnError::Failed {
            program: launch.program.clone(),
            source,
        };
        let terminal = terminal.transpose().map_err(failed)?;
        let spawned = command.spawn();
        // The command holds the terminal's other end; kept, its end would never be seen.
        drop(command);
        let mut process = spawned.map_err(|source| refusal(launch, source))?;
        Ok(Self {
            signals,
            target: describe(&process, launch),
            terminal,
            output: process.stdout.take().map(OwnedFd::from),
            error: process.stderr.take().map(OwnedFd::from),
            process,
        })
    }

    /// Which process it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Passes streams and signals through until the program has ended; returns how.
    ///
    /// Every line of output is handed to `each` after it has been
    /// passed on. The caller's terminal gets its mode back, whatever happens.
    ///
    /// # Errors
    /// When the system calls for waiting fail; the program then goes on alone.
    pub fn relay(self, each: &mut dyn FnMut(LogSource, Line<'_>)) -> io::Result<Ended> {
        relay::run(self, each)
    }
}

fn connect_terminal(command: &mut Command) -> io::Result<Terminal> {
    let (terminal, inner) = Terminal::open()?;
    command.stdin(inner.try_clone()?);
    if io::stderr().is_terminal() {
        command.stderr(inner.try_clone()?);
    } else {
        command.stderr(Stdio::piped());
    }
    command.stdout(inner);
    crate::platform::start_in_terminal_session(command);
    Ok(terminal)
}

fn refusal(launch: &Launch, source: io::Error) -> SpawnError {
    let program = launch.program.clone();
    match (source.kind(), source.raw_os_error()) {
        (ErrorKind::NotFound, _) => SpawnError::NotFound(program),
        (ErrorKind::PermissionDenied | ErrorKind::IsADirectory, _)
        | (_, Some(libc::ENOEXEC | libc::EISDIR | libc::ENOTDIR)) => {
            SpawnError::NotExecutable { program, source }
        }
        _ => SpawnError::Failed { program, source },
    }
}

/// It may have ended already; as long as it is not collected, `/proc` still knows name and start.
fn describe(process: &std::process::Child, launch: &Launch) -> Target {
    let pid = process.id();
    crate::process::find_by_pid(pid).unwrap_or_else(|_| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let stat = stat::parse(&stat);
        let words = std::iter::once(&launch.program).chain(&launch.arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        Target {
            pid,
            start_ticks: stat.as_ref().map_or(0, |stat| stat.start_ticks),
            process_name: stat.map_or_else(String::new, |stat| stat.name),
            command_line: words.join(" "),
            exe: None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_code_follows_the_shells() {
        let check = |code: i32, shell: u8| {
            let ended = Ended {
                code,
                core_dumped: false,
            };
            assert_eq!(ended.shell_code(), shell);
        };
        check(0, 0);
        check(7, 7);
        check(255, 255);
        check(-9, 137);
        check(-15, 143);
    }

    #[test]
    fn a_status_becomes_a_code() {
        assert_eq!(Ended::of(ExitStatus::from_raw(3 << 8)).code, 3);
        let killed = Ended::of(ExitStatus::from_raw(9));
        assert_eq!((killed.code, killed.core_dumped), (-9, false));
        let dumped = Ended::of(ExitStatus::from_raw(6 | 0x80));
        assert_eq!((dumped.code, dumped.core_dumped), (-6, true));
    }
}
