//! The programs that this binary is when a test starts it again.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::guards;
use super::logger;
use super::spool::{Recorded, read};
use super::{ends, filters, layer, memory, rows};

const PROGRAM: &str = "ARGUS_CLIENT_TEST_PROGRAM";

/// A folder of one run, removed again.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(name: &str) -> Self {
        let unique = format!("argus-client-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What was recorded in it.
    pub(crate) fn recorded(&self) -> Recorded {
        read(&self.path("test.db.d/spool"))
    }

    /// A program that records into it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "programs::play", "--nocapture"])
            .env(PROGRAM, program)
            .env("ARGUS_DB", self.path("test.db"))
            .env("ARGUS_COLLECTOR", "off")
            .env_remove("ARGUS_DISABLE")
            .env_remove("ARGUS_SAMPLE_RATE")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub(crate) fn start(&self, program: &str) -> Child {
        self.command(program).spawn().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs one program in a process of its own; answers what it recorded.
pub(crate) fn run(program: &str) -> Recorded {
    let home = Home::new(program);
    let output = home
        .command(program)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    home.recorded()
}

/// The test that is no test but a program.
#[test]
fn play() {
    let Ok(program) = std::env::var(PROGRAM) else {
        return;
    };
    match program.as_str() {
        "nested" => guards::nested(),
        "panicking" => guards::panicking(),
        "threads" => guards::threads(),
        "others" => guards::others(),
        "logger" => logger::play(),
        "logger-off" => logger::off(),
        name if name.starts_with("layer-") || name.starts_with("subscriber-") => layer::play(name),
        name if name.starts_with("filters-") => filters::play(name),
        name if name.starts_with("ends-") => ends::play(name),
        "memory" => memory::play(),
        "rows" => rows::play(),
        name => panic!("no program {name}"),
    }
}
