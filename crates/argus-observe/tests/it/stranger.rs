//! Real processes that are not our children, and patience with a deadline.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use argus_observe::platform;
use argus_observe::process::{Target, find_by_pid};
use rustix::process::{Signal, kill_process};

/// A process started, and later collected, by a shell of ours: a grandchild.
pub(crate) struct Stranger {
    parent: Child,
    pub(crate) pid: u32,
}

impl Stranger {
    /// Runs a shell command as a grandchild whose parent waits for it.
    pub(crate) fn run(command: &str) -> Self {
        Self::start(&format!("{command} & echo $!; wait"))
    }

    /// Runs it under a parent that never collects it.
    pub(crate) fn run_uncollected(command: &str) -> Self {
        let stranger = Self::start(&format!("{command} & echo $!; exec sleep 60"));
        // Until then its parent is a shell, which collects what has ended.
        let comm = format!("/proc/{}/comm", stranger.parent.id());
        eventually("its parent does not care", || {
            (std::fs::read_to_string(&comm).unwrap() == "sleep\n").then_some(())
        });
        stranger
    }

    fn start(script: &str) -> Self {
        let mut parent = Command::new("sh")
            .args(["-c", script])
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

    /// Runs a program that does nothing, and is the one it will be.
    pub(crate) fn asleep() -> Self {
        let stranger = Self::run("exec sleep 60");
        eventually("the shell has become sleep", || {
            (stranger.target().process_name == "sleep").then_some(())
        });
        stranger
    }

    pub(crate) fn target(&self) -> Target {
        find_by_pid(self.pid).unwrap()
    }

    /// The process that started it and that would collect it.
    pub(crate) fn parent(&self) -> u32 {
        self.parent.id()
    }

    pub(crate) fn kill(&self, signal: Signal) {
        kill_process(platform::raw_pid(self.pid).unwrap(), signal).unwrap();
    }

    /// Lets the parent be told to collect nothing any more, and ends it.
    fn end(&mut self) {
        if let (Ok(_), Some(pid)) = (find_by_pid(self.pid), platform::raw_pid(self.pid)) {
            // It may end by itself at this moment.
            let _ = kill_process(pid, Signal::KILL);
        }
        self.parent.kill().unwrap();
        self.parent.wait().unwrap();
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.end();
    }
}

/// A Python program that goes on only when it is told to.
///
/// Its text calls `step()` where it shall wait, first when it is ready, and has `folder` to itself.
/// Waiting is being stopped: it writes nothing and opens nothing that would be measured.
pub(crate) struct Program {
    _folder: tempfile::TempDir,
    pub(crate) stranger: Stranger,
}

const STEPS: &str = "import os, signal, sys, time
folder = os.path.dirname(sys.argv[0])
def step(): os.kill(os.getpid(), signal.SIGSTOP)
";

impl Program {
    /// Runs until its first step.
    pub(crate) fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program.py");
        std::fs::write(&path, format!("{STEPS}{text}")).unwrap();
        let stranger = Stranger::run(&format!("exec python3 {}", path.display()));
        let program = Self {
            _folder: folder,
            stranger,
        };
        program.has_stopped();
        program
    }

    /// Lets it go on to its next step, and waits for it.
    pub(crate) fn step(&self) {
        self.stranger.kill(Signal::CONT);
        self.has_stopped();
    }

    pub(crate) fn has_stopped(&self) {
        Self::wait_until_stopped(self.stranger.pid);
    }

    pub(crate) fn wait_until_stopped(pid: u32) {
        let task = format!("/proc/{pid}/task");
        eventually("the program has come to its next step", || {
            let threads = std::fs::read_dir(&task).unwrap();
            let mut states = threads.map(|thread| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
                let stat = stat.unwrap_or_default();
                stat.rsplit_once(')').map(|(_, rest)| rest.contains(" T "))
            });
            // The first thread may have ended, and one that ends now has no state.
            states.any(|stopped| stopped == Some(true)).then_some(())
        });
    }
}

/// Runs it in a thread that belongs to nobody, if this user may become somebody else.
pub(crate) fn as_nobody<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    const NOBODY: u32 = 65_534;
    let thread = std::thread::spawn(move || {
        if rustix::process::getuid().is_root() {
            let group = rustix::process::Gid::from_raw(NOBODY);
            let user = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(group, group, group).unwrap();
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        }
        run()
    });
    thread.join().unwrap()
}

/// Looks again until `condition` gives something; fails after ten seconds.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
