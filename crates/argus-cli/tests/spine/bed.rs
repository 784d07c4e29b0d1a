//! A database of its own for one test, the programs that record into it, and what came of it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use argus_spool::place;
use argus_store::Store;
use argus_store::query::{Cell, ProducerLedger};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Bed {
    folder: TempDir,
    home: PathBuf,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let bed = Self::at("home");
        place::prepare(&bed.data()).unwrap();
        bed
    }

    /// A bed whose data lies in this folder below its own. It is not made, and may become a file
    /// system of its own.
    pub(crate) fn at(home: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(home);
        Self { folder, home }
    }

    /// A file beside the data.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> DataDir {
        DataDir::of(self.home.join("argus_runtime.db"))
    }

    fn prepared(&self, mut command: Command) -> Command {
        command
            .env_remove("ARGUS_DB")
            .env("ARGUS_HOME", &self.home)
            .env("ARGUS_BIN", env!("CARGO_BIN_EXE_argus"))
            .env("ARGUS_COLLECTOR", "off")
            .stdin(Stdio::null());
        command
    }

    /// The `argus` command on this database; programs it starts may start a collector.
    pub(crate) fn argus(&self, arguments: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_argus"), arguments)
    }

    /// A command in this database's environment.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(arguments);
        self.prepared(command)
    }

    /// This binary as a host program in a role. It starts no collector by itself.
    pub(crate) fn host(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["host::play", "--exact", "--nocapture"]);
        let mut command = self.prepared(command);
        command.env(crate::host::ROLE, role).stdout(Stdio::null());
        command
    }

    /// A collector that leaves soon after there is nothing left to do.
    pub(crate) fn collector(&self) -> Command {
        self.argus(&["collector", "--idle-exit", "0.2"])
    }

    /// Runs collectors until one has found everything done.
    pub(crate) fn drain(&self) {
        assert!(self.collector().status().unwrap().success());
    }

    pub(crate) fn store(&self) -> Box<dyn Store> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match argus_store::open_reader(self.data().database()) {
                Ok(store) => return store,
                Err(error) => assert!(Instant::now() < deadline, "no store: {error}"),
            }
            std::thread::yield_now();
        }
    }

    /// The one number that a query answers with.
    pub(crate) fn number(&self, query: &str) -> i64 {
        let table = self.store().query(query, 1).unwrap();
        match table.rows[0][0] {
            Cell::Int(number) => number,
            ref other => panic!("{query}: {other:?}"),
        }
    }

    pub(crate) fn ledger(&self) -> Vec<ProducerLedger> {
        self.store().ledger().unwrap()
    }

    pub(crate) fn control(&self) -> ControlPage {
        ControlPage::open(&self.data().control()).unwrap()
    }

    /// How many producers have a spool.
    pub(crate) fn spools(&self) -> usize {
        std::fs::read_dir(self.data().spool()).unwrap().count()
    }

    /// No spool is left behind.
    pub(crate) fn assert_spools_are_gone(&self) {
        assert_eq!(self.spools(), 0, "spools of dead producers are removed");
    }
}

pub(crate) fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have left by itself meanwhile.
    let _ = kill_process(pid, Signal::KILL);
}

/// Waits until `done`, giving the processor away meanwhile.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A child that does not outlive the test.
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A repeatable source of chance.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
