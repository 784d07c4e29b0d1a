//! `cargo xtask test`: installs what the tests need and runs them all.

use std::process::Command;

use anyhow::{Context, Result};

use crate::python::{self, Environment, Purpose};
use crate::step::{self, Checks};
use crate::workspace::{Profile, Workspace};

pub(crate) const HELP: &str = "\
Installs what the tests need and runs all of them.

usage: cargo xtask test

1. makes .venv and installs the tools pinned in requirements-dev.txt
2. builds the `argus` command
3. runs the Rust tests (with cargo-nextest if it is there, else with cargo test)
4. runs the examples in the Rust documentation
5. installs the Python package into .venv and runs the tests in python/tests

Nothing is written outside the workspace: the tests' databases go to the target folder.
Steps 3 to 5 all run even if one fails; the exit code is 0 only if all passed.

examples, for a part of it:
  cargo test -p argus-model
  .venv/bin/pytest python/tests -k generator";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let environment = Environment::prepare(workspace, Purpose::Development)?;
    step::run(
        "build the argus command",
        &mut workspace.cargo(&["build", "--package", "argus-cli"]),
    )?;
    let surroundings = Surroundings::prepare(workspace)?;

    let mut checks = Checks::default();
    let mut rust_tests = workspace.cargo(rust_test_arguments(workspace));
    rust_tests.args(["--workspace", "--no-fail-fast"]);
    checks.run("Rust tests", surroundings.apply(&mut rust_tests));

    let mut doc_tests = workspace.cargo(&["test", "--doc", "--workspace", "--quiet"]);
    checks.run("Rust doc tests", surroundings.apply(&mut doc_tests));

    checks.call("Python tests", || {
        python::require_package(workspace)?;
        environment.install_package(Profile::Dev)?;
        let mut python_tests = environment.command("python");
        python_tests.args(["-m", "pytest", "-q", "python/tests"]);
        step::run("pytest", surroundings.apply(&mut python_tests))
    });
    checks.finish()
}

fn rust_test_arguments(workspace: &Workspace) -> &'static [&'static str] {
    let nextest = workspace.cargo(&["nextest", "--version"]).output();
    if nextest.is_ok_and(|output| output.status.success()) {
        &["nextest", "run"]
    } else {
        eprintln!("==> cargo-nextest is not installed; using cargo test, which is slower");
        &["test", "--lib", "--bins", "--tests"]
    }
}

/// What every test process sees: the command that was just built, and a home of its own, so that
/// no test can touch what its user has recorded.
struct Surroundings {
    argus: std::path::PathBuf,
    home: std::path::PathBuf,
}

impl Surroundings {
    fn prepare(workspace: &Workspace) -> Result<Self> {
        let home = workspace.target("argus-test-home");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot create {}", home.display()))?;
        Ok(Self {
            argus: workspace.target("debug/argus"),
            home,
        })
    }

    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("ARGUS_BIN", &self.argus)
            .env("ARGUS_HOME", &self.home)
    }
}
