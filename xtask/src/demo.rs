//! `cargo xtask demo`: the whole product, built and run on a real program.
//!
//! With a terminal the person looks at `argus watch` while the program runs. Without one the same
//! run becomes a check: everything that should have been recorded is read back from the store.

mod verdict;

use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::demo::verdict::Counts;
use crate::python::{Environment, Purpose};
use crate::step;
use crate::workspace::{Profile, Workspace};

pub(crate) const HELP: &str = "\
Builds everything in release and runs a real program under Argus.

usage: cargo xtask demo

The program, examples/measure_stdlib, parses and measures the sources of Python's standard
library, with threads and child processes. It takes less than a minute.

In a terminal, `argus watch` opens on it; q leaves. Otherwise this waits for the program and
prints what the store holds, and fails if anything is missing or the ledger does not balance.

The Python package goes to .demo/venv, everything recorded to .demo/data.

examples:
  cargo xtask demo
  cargo xtask demo | cat                                  the check, from a terminal
  ARGUS_HOME=.demo/data .demo/venv/bin/argus analyze      look again afterwards";

const PROGRAM: &str = "examples/measure_stdlib";

/// The function whose spans the program counts itself, in `measured` of its summary.
const COUNTED_FUNCTION: &str = "measure.measure_file";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    // The package's installer would build it as well, but silently.
    step::run(
        "build the argus command",
        &mut workspace.cargo(&["build", "--release", "--package", "argus-cli"]),
    )?;
    let environment = Environment::prepare(workspace, Purpose::Demo)?;
    environment.install_package(Profile::Release)?;
    let demo = Demo::new(workspace, &environment)?;
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        demo.show()
    } else {
        demo.check()
    }
}

struct Demo<'a> {
    environment: &'a Environment<'a>,
    home: PathBuf,
}

impl<'a> Demo<'a> {
    fn new(workspace: &Workspace, environment: &'a Environment<'a>) -> Result<Self> {
        let home = workspace.path(".demo/data");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        Ok(Self { environment, home })
    }

    /// Runs the program out of sight and `argus watch` before the person's eyes.
    fn show(&self) -> Result<()> {
        let output_path = self.home.join("output.txt");
        let output = File::create(&output_path)
            .with_context(|| format!("cannot create {}", output_path.display()))?;
        let errors = output.try_clone().context("cannot share the output file")?;
        let mut program = self.program();
        program.stdin(Stdio::null()).stdout(output).stderr(errors);
        let running = Running(program.spawn().context("cannot start argus run")?);
        let status = self.argus(&["watch"]).status();
        let seen = status.context("cannot start argus watch")?;
        drop(running);
        if !seen.success() {
            bail!("argus watch: {seen}");
        }
        println!("The program's own output: {}", output_path.display());
        println!("Look again, also at the past:");
        for command in ["watch", "analyze", "traces", "status"] {
            println!("  ARGUS_HOME=.demo/data .demo/venv/bin/argus {command}");
        }
        Ok(())
    }

    /// Runs the program to its end and compares the store with what must be in it.
    fn check(&self) -> Result<()> {
        // Before the first run there is nothing to ask.
        let before = match self.answer(&["status", "--json"]) {
            Ok(status) => Counts::parse(&status)?,
            Err(_) => Counts::default(),
        };
        let counted_before = self.counted_spans(before.is_empty())?;
        step::run("run the example under Argus", &mut self.program())?;

        let status = self.answer(&["status", "--json"])?;
        let counts = Counts::parse(&status)?.since(&before);
        let stored = self.counted_spans(false)?.saturating_sub(counted_before);
        let report = verdict::judge(&counts, &verdict::ledger(&status)?);
        print!("{}", report.text);
        let measured = self.measured()?;
        println!("  measured by the program {measured:>9}, spans of {COUNTED_FUNCTION}: {stored}");
        let mut faults = report.faults;
        if stored != measured {
            faults.push(format!(
                "{stored} spans of {COUNTED_FUNCTION} are stored, the program counted {measured}"
            ));
        }
        if !faults.is_empty() {
            bail!("{}", faults.join("; "));
        }
        Ok(())
    }

    /// `argus run` on the example.
    fn program(&self) -> Command {
        let mut command = self.argus(&["run", "--app-name", "measure_stdlib", "--"]);
        command.arg(self.environment.path("python")).arg(PROGRAM);
        command
            .arg("--log")
            .arg(self.home.join("measure_stdlib.log"));
        command.arg("--summary").arg(self.summary_path());
        command
    }

    fn argus(&self, arguments: &[&str]) -> Command {
        let mut command = self.environment.command("argus");
        command.args(arguments);
        command.env("ARGUS_HOME", &self.home);
        command
    }

    /// What an `argus` command answers in JSON.
    fn answer(&self, arguments: &[&str]) -> Result<Value> {
        let line = format!("argus {}", arguments.join(" "));
        let Output {
            status,
            stdout,
            stderr,
        } = self
            .argus(arguments)
            .output()
            .context("cannot start argus")?;
        if !status.success() {
            bail!(
                "{line}: {status}: {}",
                String::from_utf8_lossy(&stderr).trim()
            );
        }
        serde_json::from_slice(&stdout).with_context(|| format!("{line}: the answer is not JSON"))
    }

    fn summary_path(&self) -> PathBuf {
        self.home.join("summary.json")
    }

    /// How many files the program says it measured.
    fn measured(&self) -> Result<u64> {
        let path = self.summary_path();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let summary: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        let measured = summary["measured"].as_u64();
        measured.with_context(|| format!("{} has no `measured`", path.display()))
    }

    /// How many spans of the counted function are stored, asked as a user would ask.
    fn counted_spans(&self, nothing_is_stored: bool) -> Result<u64> {
        if nothing_is_stored {
            return Ok(0);
        }
        let question =
            format!("SELECT COUNT(*) AS n FROM process_trace WHERE process = '{COUNTED_FUNCTION}'");
        let answer = self.answer(&["query", "--json", &question])?;
        verdict::single_number(&answer).context("argus query did not answer with one number")
    }
}

/// The example while a person watches; it does not outlive the demo.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            eprintln!("==> the example is still running; stopping it");
            // A SIGKILL would end `argus run` alone; a SIGTERM it passes on to the example.
            let pid = self.0.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
        }
        let _ = self.0.wait();
    }
}
