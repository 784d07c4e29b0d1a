//! `cargo xtask lint`: everything a machine can say about the code without running it.

use anyhow::Result;

use crate::python::{self, Environment, Purpose};
use crate::step::Checks;
use crate::tidy;
use crate::workspace::{Profile, Workspace};

pub(crate) const HELP: &str = "\
Says everything a machine can say about the code without running it. Any warning fails.

usage: cargo xtask lint

  rustfmt    cargo fmt --all -- --check           repair: cargo fmt --all
  clippy     all targets of the workspace
  rustdoc    the documentation of our crates
  tidy       cargo xtask tidy
  ruff       check and format of python/, examples/, bench/
                                                  repair: .venv/bin/ruff check --fix python examples bench
                                                          .venv/bin/ruff format python examples bench
  stubtest   the type stubs against the module as it is built

All of them run even if one fails.";

const PYTHON_SOURCES: [&str; 3] = ["python", "examples", "bench"];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let environment = Environment::prepare(workspace, Purpose::Development)?;
    let mut checks = Checks::default();
    rust(workspace, &mut checks);
    checks.call("tidy", || tidy::run(workspace));
    checks.run(
        "ruff check",
        environment
            .command("ruff")
            .args(["check", "--quiet"])
            .args(PYTHON_SOURCES),
    );
    checks.run(
        "ruff format",
        environment
            .command("ruff")
            .args(["format", "--quiet", "--diff"])
            .args(PYTHON_SOURCES),
    );
    checks.call("type stubs", || {
        python::require_package(workspace)?;
        environment.install_package(Profile::Dev)
    });
    checks.run(
        "stubtest",
        environment
            .command("python")
            .args(["-m", "mypy.stubtest", "--concise", "argus"]),
    );
    checks.finish()
}

fn rust(workspace: &Workspace, checks: &mut Checks) {
    checks.run(
        "rustfmt",
        &mut workspace.cargo(&["fmt", "--all", "--", "--check"]),
    );
    let mut clippy = workspace.cargo(&["clippy", "--workspace", "--all-targets"]);
    checks.run("clippy", clippy.args(["--", "--deny", "warnings"]));
    let mut rustdoc = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    checks.run("rustdoc", rustdoc.env("RUSTDOCFLAGS", "--deny warnings"));
}
