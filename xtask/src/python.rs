//! Virtual environments inside the workspace, and the Python package built into them.
//!
//! The versions of every tool are pinned in `requirements-dev.txt`, those of the peers that Argus is
//! measured against in `bench/requirements.txt`. An environment remembers the pins it was filled from and is filled anew only when they change, so that the second run costs
//! nothing and needs no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step;
use crate::workspace::{Profile, Workspace};

const PINS: &str = "requirements-dev.txt";
const PEERS: &str = "bench/requirements.txt";

/// What an environment is for, which decides what is installed into it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building, testing and linting: every pinned tool.
    Development,
    /// Using the package: only what builds it.
    Demo,
    /// Measuring the package beside its peers.
    Bench,
}

impl Purpose {
    fn folder(self) -> &'static str {
        match self {
            Self::Development => ".venv",
            Self::Demo => ".demo/venv",
            Self::Bench => ".bench/venv",
        }
    }

    fn install_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Development => &["--requirement", PINS],
            Self::Demo => &["--constraint", PINS, "maturin"],
            Self::Bench => &["--constraint", PINS, "maturin", "--requirement", PEERS],
        }
    }

    /// The files that say which versions.
    fn pins(self) -> &'static [&'static str] {
        match self {
            Self::Development | Self::Demo => &[PINS],
            Self::Bench => &[PINS, PEERS],
        }
    }
}

/// A virtual environment that exists and holds its tools.
pub(crate) struct Environment<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
}

impl<'a> Environment<'a> {
    /// Makes the environment, or brings it up to date with the pins.
    pub(crate) fn prepare(workspace: &'a Workspace, purpose: Purpose) -> Result<Self> {
        let environment = Self {
            workspace,
            folder: workspace.path(purpose.folder()),
        };
        if !environment.works() {
            environment.create(purpose)?;
        }
        environment.install(purpose)?;
        Ok(environment)
    }

    /// A program of this environment, with the environment active for what it starts in turn.
    pub(crate) fn command(&self, program: &str) -> Command {
        let bin = self.folder.join("bin");
        let mut command = self.workspace.command(self.path(program));
        let mut search = vec![bin];
        search.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        if let Ok(search) = std::env::join_paths(search) {
            command.env("PATH", search);
        }
        command.env("VIRTUAL_ENV", &self.folder);
        // A user's own PYTHONPATH could hide the package that is being tested.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        command
    }

    /// Where a program of this environment stands.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.folder.join("bin").join(program)
    }

    /// Installs the package from the workspace's sources, the way a user does, but with the pinned
    /// build tool and without asking the network for it.
    pub(crate) fn install_package(&self, profile: Profile) -> Result<()> {
        let mut command = self.command("python");
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        command.args(["--no-build-isolation", "--no-deps", "."]);
        command.env("ARGUS_BUILD_PROFILE", profile.name());
        step::run("install the Python package", &mut command)
    }

    /// An environment whose interpreter was removed or upgraded away is as good as none.
    fn works(&self) -> bool {
        Command::new(self.path("python"))
            .args(["-c", "import pip"])
            .output()
            .is_ok_and(|output| output.status.success())
    }

    fn create(&self, purpose: Purpose) -> Result<()> {
        let mut command = self.workspace.command("python3");
        command.args(["-m", "venv", "--clear", purpose.folder()]);
        step::run("create the virtual environment", &mut command).context(
            "Python 3 with its venv module is needed \
             (on Debian and Ubuntu: apt install python3 python3-venv)",
        )
    }

    fn install(&self, purpose: Purpose) -> Result<()> {
        let mut pins = String::new();
        for file in purpose.pins() {
            let path = self.workspace.path(file);
            pins += &std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        let remembered = self.folder.join("installed-requirements.txt");
        if is_remembered(&remembered, &pins) {
            return Ok(());
        }
        step::run(
            "install the pinned Python tools",
            self.command("python")
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args(purpose.install_arguments()),
        )?;
        std::fs::write(&remembered, pins)
            .with_context(|| format!("cannot write {}", remembered.display()))
    }
}

fn is_remembered(remembered: &Path, pins: &str) -> bool {
    std::fs::read_to_string(remembered).is_ok_and(|text| text == pins)
}

/// Refuses to go on without the Python package: a test run without it would claim too much.
pub(crate) fn require_package(workspace: &Workspace) -> Result<()> {
    for needed in ["pyproject.toml", "python/tests"] {
        if !workspace.path(needed).exists() {
            bail!("{needed} is missing: the Python package cannot be built and tested");
        }
    }
    Ok(())
}
