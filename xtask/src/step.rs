//! Runs the programs that a command is made of, one visible step at a time.
//!
//! A step prints its title and the line that would repeat it by hand, then lets the program write
//! to the terminal as it likes. [`run`] is for a step without which the next makes no sense;
//! [`Checks`] goes on after a failure, so that one look shows everything that is wrong.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs a program to its end; an exit code other than 0 is an error that names the step.
pub(crate) fn run(title: &str, command: &mut Command) -> Result<()> {
    let line = shell_line(command);
    eprintln!("==> {title}\n    $ {line}");
    let started = Instant::now();
    // Nothing here asks a question: a program that waits for an answer would hang CI.
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{title}: cannot start `{}`", program_of(command)))?;
    if !status.success() {
        bail!("{title}: {status}; to repeat it: {line}");
    }
    eprintln!("    done in {}", spoken(started.elapsed()));
    Ok(())
}

/// A line between steps.
pub(crate) fn note(text: &str) {
    eprintln!("    {text}");
}

/// Checks that do not depend on each other.
#[derive(Default)]
pub(crate) struct Checks {
    failures: Vec<String>,
}

impl Checks {
    /// Runs a program as one check.
    pub(crate) fn run(&mut self, title: &str, command: &mut Command) {
        self.note(run(title, command));
    }

    /// Runs a function of ours as one check.
    pub(crate) fn call(&mut self, title: &str, check: impl FnOnce() -> Result<()>) {
        eprintln!("==> {title}");
        self.note(check().with_context(|| title.to_owned()));
    }

    fn note(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            eprintln!("    FAILED");
            self.failures.push(format!("{error:#}"));
        }
    }

    /// An error that lists every check that failed.
    pub(crate) fn finish(self) -> Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let mut message = format!("{} failed", counted(self.failures.len(), "step"));
        for failure in &self.failures {
            write!(message, "\n  - {failure}")?;
        }
        bail!(message)
    }
}

/// `1 step`, `2 steps`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A duration as people say it: `0.4 s`, `3 min 12 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// The command as one would type it in the workspace's root.
fn shell_line(command: &Command) -> String {
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        // The search path is long and belongs to the virtual environment that the line names.
        if let Some(value) = value
            && name != "PATH"
            && name != "VIRTUAL_ENV"
        {
            let _ = write!(line, "{}={} ", name.display(), quoted(value));
        }
    }
    line.push_str(&program_of(command));
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quoted(argument));
    }
    line
}

/// A program of the workspace with its path from the root, any other by its name.
fn program_of(command: &Command) -> String {
    let path = Path::new(command.get_program());
    let inside = command
        .get_current_dir()
        .map(|root| path.strip_prefix(root));
    let shown = match inside {
        Some(Ok(inside)) => inside.as_os_str(),
        _ => path.file_name().unwrap_or(path.as_os_str()),
    };
    shown.to_string_lossy().into_owned()
}

fn quoted(word: &std::ffi::OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains([' ', '\'', '"', '*', '$']) {
        format!("'{}'", word.replace('\'', r"'\''"))
    } else {
        word.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_the_line_that_repeats_it() {
        let error = run("doubt", Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "doubt: exit status: 3; to repeat it: sh -c 'exit 3'"
        );
    }

    #[test]
    fn the_line_to_repeat_begins_in_the_root() {
        let check = |program: &str, expected: &str| {
            let mut command = Command::new(program);
            command.current_dir("/srv/argus").arg("-V").env("A", "b c");
            assert_eq!(shell_line(&command), expected);
        };
        check("/srv/argus/.venv/bin/ruff", "A='b c' .venv/bin/ruff -V");
        check("/usr/bin/cargo", "A='b c' cargo -V");
        check("cargo", "A='b c' cargo -V");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run("search", &mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "search: cannot start `no-such-program`");
    }

    #[test]
    fn checks_go_on_after_a_failure_and_list_them_all() {
        let mut checks = Checks::default();
        checks.call("first", || bail!("wrong"));
        checks.call("second", || Ok(()));
        checks.call("third", || bail!("too"));
        assert_eq!(
            checks.finish().unwrap_err().to_string(),
            "2 steps failed\n  - first: wrong\n  - third: too"
        );
        assert!(Checks::default().finish().is_ok());
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(spoken(Duration::from_millis(440)), "0.4 s");
        assert_eq!(spoken(Duration::from_secs(192)), "3 min 12 s");
    }
}
