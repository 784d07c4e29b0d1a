//! Real programs under observation by the real `argus`, with a database of their own, and what was
//! recorded of them: in the spool where no collector runs, in the store where one does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use argus_model::paths::DataDir;
use argus_model::{Kind, Record};
use argus_spool::control::ControlPage;
use argus_spool::read::{ChunkReader, Producer, Progress, chunks, producers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for the database, and for whatever else a test needs.
pub(crate) struct Home {
    folder: TempDir,
}

/// What one run of `argus` recorded about the process it observed.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Of its description: pid, application name, process name.
    pub(crate) subject: (u32, String, String),
    /// Types and exit codes, in order.
    pub(crate) events: Vec<(String, Option<i32>)>,
    /// CPU percent, resident bytes, threads.
    pub(crate) samples: Vec<(f64, u64, u32)>,
    /// Source, path, and line, in order.
    pub(crate) lines: Vec<(String, String, String)>,
    /// The paths of log files, by the numbers that lines name them by.
    files: HashMap<u32, String>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> DataDir {
        DataDir::of(self.path("argus_runtime.db"))
    }

    /// `argus` with this home and no collector.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_argus"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("ARGUS_HOME", self.folder.path())
            .env("ARGUS_COLLECTOR", "off")
            .stdin(Stdio::null());
        command
    }

    /// `argus` with this home, which starts a collector.
    pub(crate) fn collected(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env_remove("ARGUS_COLLECTOR");
        command
    }

    /// The rows of a query, which must be valid.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let output = self.command(&["query", query, "--json"]).output().unwrap();
        if output.status.code() == Some(1) {
            return Vec::new(); // Nothing is recorded yet.
        }
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"))
    }

    /// Starts `argus` and listens to it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// What the one run of `argus` here has recorded.
    pub(crate) fn recorded(&self) -> Recorded {
        let mut recorded = Recorded::default();
        let found = producers(&self.data().spool()).unwrap();
        assert_eq!(found.len(), 1, "one producer");
        let mut in_order = Vec::new();
        for (id, directory) in found {
            for (_, path) in chunks(&directory).unwrap() {
                let mut reader = ChunkReader::open(&path, id).unwrap().unwrap();
                while reader
                    .read(Producer::Dead, 1 << 20, |raw| {
                        let kind = Kind::from_byte(raw.kind).unwrap();
                        let record = Record::decode(kind, raw.payload).unwrap();
                        let at = recorded.take(&record);
                        in_order.extend(at.map(|at| (at, raw.kind, raw.payload.to_vec())));
                    })
                    .unwrap()
                    != Progress::Ended
                {}
                assert_eq!(reader.damaged().unwrap(), 0);
            }
        }
        in_order.sort_by_key(|(at, ..)| *at);
        for (_, kind, payload) in in_order {
            let kind = Kind::from_byte(kind).unwrap();
            recorded.append(&Record::decode(kind, &payload).unwrap());
        }
        recorded
    }
}

impl Drop for Home {
    /// A collector would stay for half a minute, with its folder gone.
    fn drop(&mut self) {
        let path = self.data().control();
        let control = path.exists().then(|| ControlPage::open(&path).unwrap());
        let Some(pid) = control.and_then(ControlPage::living_collector) else {
            return;
        };
        let raw = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        if kill_process(raw, Signal::TERM).is_ok() {
            eventually("the collector has left", || {
                let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                state
                    .map_or(true, |stat| stat.contains(") Z "))
                    .then_some(())
            });
        }
    }
}

impl Recorded {
    /// Notes a description; the time of everything that has one.
    fn take(&mut self, record: &Record<'_>) -> Option<u64> {
        match record {
            Record::Subject(_, info) => {
                let names = (info.app_name.to_owned(), info.process_name.to_owned());
                self.subject = (info.pid, names.0, names.1);
                None
            }
            Record::LogFile(number, info) => {
                self.files.insert(*number, info.path.to_owned());
                None
            }
            Record::Sample { at, .. }
            | Record::Log { at, .. }
            | Record::ProcessEvent { at, .. } => Some(at.nanos()),
            _ => None,
        }
    }

    fn append(&mut self, record: &Record<'_>) {
        match record {
            Record::Sample {
                cpu_percent,
                rss_bytes,
                threads,
                ..
            } => self.samples.push((*cpu_percent, *rss_bytes, *threads)),
            Record::Log {
                source,
                path,
                line,
                place,
                ..
            } => {
                let file = self.files.get(&place.file).cloned();
                let path = file.unwrap_or_else(|| (*path).to_owned());
                let source = format!("{source:?}");
                self.lines.push((source, path, (*line).to_owned()));
            }
            Record::ProcessEvent {
                event_type,
                exit_code,
                ..
            } => self.events.push(((*event_type).to_owned(), *exit_code)),
            _ => {}
        }
    }

    /// The lines' texts.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, _, line)| &**line).collect()
    }
}

/// A running `argus` whose output is read as it comes.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What it has said so far.
    pub(crate) said: Vec<String>,
    errors: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tx, lines) = channel();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if line.map(|line| tx.send(line)).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            child,
            lines,
            said: Vec::new(),
            errors: Some(errors),
        }
    }

    /// Waits until it says a line with this text; the line.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("never said {text:?}:\n{}", self.said.join("\n"))
                }
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: exit code, everything said on standard output and on standard error.
    pub(crate) fn finish(&mut self) -> (i32, String, String) {
        let status = eventually("argus ends", || self.child.try_wait().unwrap());
        self.said.extend(self.lines.iter());
        let errors = self.errors.take().unwrap().join().unwrap();
        (status.code().unwrap(), self.said.join("\n"), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program to be observed: a grandchild, collected by a shell of ours.
pub(crate) struct Stranger {
    parent: Child,
    pub(crate) pid: u32,
}

impl Stranger {
    /// Runs a shell command in `folder`.
    pub(crate) fn run(folder: &Path, command: &str) -> Self {
        let mut parent = Command::new("sh")
            .args(["-c", &format!("{command} & echo $!; wait")])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = parent.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        Self { parent, pid }
    }

    /// A program that sleeps, with the shell that has forked it left behind.
    pub(crate) fn sleeping(folder: &Path) -> Self {
        let stranger = Self::run(folder, "sleep 60");
        stranger.wait_for_name("sleep");
        stranger
    }

    /// Waits until it executes the program of this name.
    pub(crate) fn wait_for_name(&self, name: &str) {
        let comm = format!("/proc/{}/comm", self.pid);
        eventually("it has its name", || {
            (std::fs::read_to_string(&comm).unwrap().trim_end() == name).then_some(())
        });
    }

    pub(crate) fn kill(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if self.parent.try_wait().unwrap().is_none() {
            self.kill(Signal::KILL);
            self.parent.wait().unwrap();
        }
    }
}

/// Looks again until `condition` gives something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "too late: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
