//! The programs that are measured: built once in release, run as children.
//!
//! CPU time of a child is what the kernel adds to ours when it is waited for, user and system, with all
//! of its threads and its own children, in ticks of 10 ms. Children run one after the other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::meter::{TICKS_PER_SECOND, ticks};
use crate::step;
use crate::workspace::Workspace;

/// Our own programs for benches: the examples of xtask.
const EXAMPLES: &[&str] = &[
    "gaze_crowd",
    "gaze_deaths",
    "guard_cost",
    "peer_store",
    "query_pages",
    "screen_latency",
    "tail_burst",
    "tail_latency",
];

/// How long what is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Programs that exist, and a place for what they write.
pub(super) struct Programs<'a> {
    pub(super) workspace: &'a Workspace,
}

/// How a child went.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) stdout: String,
    pub(super) cpu_seconds: f64,
}

impl Ran {
    /// What it printed, as JSON.
    pub(super) fn answer(&self) -> Result<Value> {
        let answer = serde_json::from_str(&self.stdout);
        answer.with_context(|| format!("the answer is not JSON: {}", self.stdout.trim()))
    }
}

impl<'a> Programs<'a> {
    /// Builds everything with one call of cargo, so that all share one set of features.
    pub(super) fn build(workspace: &'a Workspace) -> Result<Self> {
        let mut cargo = workspace.cargo(&["build", "--release", "--quiet"]);
        cargo.args(["--package", "argus-cli", "--bin", "argus"]);
        cargo.args(["--package", "argus-client", "--example", "flood"]);
        cargo.args(["--package", "argus-observe", "--example", "parse_cost"]);
        cargo.args(["--package", "xtask"]);
        for example in EXAMPLES {
            cargo.args(["--example", example]);
        }
        step::run("build what is measured, in release", &mut cargo)?;
        Ok(Self { workspace })
    }

    /// Where the `argus` command stands.
    pub(super) fn argus_path(&self) -> PathBuf {
        self.workspace.target("release/argus")
    }

    /// The `argus` command on the data in `folder`.
    pub(super) fn argus(&self, folder: &Folder, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(self.argus_path());
        command.args(arguments).env("ARGUS_HOME", &folder.path);
        command
    }

    /// One of the programs in `examples/`, recording into `folder`. It starts no collector.
    pub(super) fn example(&self, folder: &Folder, name: &str) -> Command {
        let path = format!("release/examples/{name}");
        let mut command = self.workspace.command(self.workspace.target(&path));
        self.record_into(folder, &mut command);
        command
    }

    /// Makes a program record into `folder`, without starting a collector there.
    pub(super) fn record_into(&self, folder: &Folder, command: &mut Command) {
        command
            .env("ARGUS_HOME", &folder.path)
            .env("ARGUS_BIN", self.argus_path())
            .env("ARGUS_COLLECTOR", "off");
    }

    /// A collector that works on `folder` until the answer goes out of scope.
    pub(super) fn collector(&self, folder: &Folder) -> Result<Guarded> {
        guarded(&mut self.argus(folder, &["collector", "--idle-exit", "never"]))
    }

    /// An empty folder for one round.
    pub(super) fn folder(&self, name: &str) -> Result<Folder> {
        let path = self.workspace.path(".bench/data").join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)
                .with_context(|| format!("cannot empty {}", path.display()))?;
        }
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Folder { path })
    }
}

/// The one number that a query answers with, once there is a store.
pub(super) fn counted(programs: &Programs<'_>, folder: &Folder, query: &str) -> Option<u64> {
    let output = programs.argus(folder, &["query", "--json", query]).output();
    let answer: Value = serde_json::from_slice(&output.ok()?.stdout).ok()?;
    answer.pointer("/0/n")?.as_u64()
}

pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > deadline {
            bail!("not in time: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A child that is killed when this goes out of scope.
pub(super) struct Guarded(Child);

impl Guarded {
    /// Starts a child as it is.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.spawn().map(Self).context("cannot start a child")
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end, which must be a good one.
    pub(super) fn finish(&mut self) -> Result<()> {
        let status = self.0.wait().context("cannot wait for a child")?;
        if !status.success() {
            bail!("process {}: {status}", self.pid());
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a child beside what is measured.
pub(super) fn guarded(command: &mut Command) -> Result<Guarded> {
    Guarded::start(command.stdin(Stdio::null()).stdout(Stdio::null()))
}

/// A child that is spoken with, in lines. It is killed when this goes out of scope.
pub(super) struct Partner {
    child: Guarded,
    said: BufReader<ChildStdout>,
}

impl Partner {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a child")?;
        let said = child.stdout.take().context("a child has no voice")?;
        Ok(Self {
            child: Guarded(child),
            said: BufReader::new(said),
        })
    }

    /// Its next line, as JSON.
    pub(super) fn hear<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("not expected: {}", line.trim()))
    }

    /// Tells it to go on.
    pub(super) fn nod(&mut self) -> Result<()> {
        let ear = self.child.0.stdin.as_mut().context("a child is deaf")?;
        writeln!(ear).context("a child does not listen")
    }
}

/// Runs a child to its end and measures it.
pub(super) fn measured(command: &mut Command) -> Result<Ran> {
    let name = Path::new(command.get_program()).file_name();
    let name = name.unwrap_or_default().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let before = children_ticks()?;
    let output = command
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}", output.status);
    }
    Ok(Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        cpu_seconds: (children_ticks()? - before) / TICKS_PER_SECOND,
    })
}

/// User and system time of all children that were waited for.
fn children_ticks() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    waited_for(&stat).context("/proc/self/stat is not as proc(5) has it")
}

/// Fields 16 and 17 of `/proc/PID/stat`.
fn waited_for(stat: &str) -> Option<f64> {
    ticks(stat, 13)
}

/// A folder that is removed with everything in it.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Bytes of a database in it: the file and its WAL.
    pub(super) fn database_bytes(&self, name: &str) -> u64 {
        let bytes = |name: &str| std::fs::metadata(self.path(name)).map_or(0, |file| file.len());
        bytes(name) + bytes(&format!("{name}-wal"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is overwritten by the next run.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4 5 6 7 8 11 12 130 14 20 0 1 0 99";
        assert_eq!(waited_for(stat), Some(144.0));
        assert_eq!(waited_for("7 (x) S 1"), None);
    }

    #[test]
    fn a_failing_child_is_named() {
        let error = measured(&mut Command::new("false")).unwrap_err();
        assert_eq!(error.to_string(), "false: exit status: 1");
    }
}
