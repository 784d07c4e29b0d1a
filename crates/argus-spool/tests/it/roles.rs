//! What this test binary does when it is started as somebody's host program.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use argus_model::record::Fields;
use argus_model::{Kind, NameKind, NameText, Record};
use argus_spool::{Appended, Definition, Weight, append, define};

const ROLE: &str = "ARGUS_TEST_ROLE";

/// A folder that is removed again.
pub(crate) struct Home(pub(crate) PathBuf);

impl Home {
    pub(crate) fn new(name: &str) -> Self {
        let unique = format!("argus-spool-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How often the matter of a test is repeated: `ARGUS_TORTURE_ROUNDS`, else the short form's.
pub(crate) fn rounds(short: u32) -> u32 {
    let named = std::env::var("ARGUS_TORTURE_ROUNDS");
    named.ok().and_then(|n| n.parse().ok()).unwrap_or(short)
}

/// Starts this binary in a role, recording below `home`, without a collector.
pub(crate) fn start(role: &str, home: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["roles::play", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env("ARGUS_HOME", home)
        .env("ARGUS_COLLECTOR", "off")
        .env_remove("ARGUS_DB")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Plays a role to its end.
pub(crate) fn run(role: &str, home: &Path) {
    let output = start(role, home).wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{role}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Emits one metric with this value.
pub(crate) fn emit(name: &'static Definition, value: f64) -> Appended {
    append(Kind::Metric, Weight::Normal, &[name], |out, at| {
        let name = name.number();
        let attributes = Fields::default();
        Record::Metric {
            subject: 0,
            name,
            at,
            value,
            unit: "1",
            attributes,
        }
        .encode(out)
    })
}

pub(crate) fn metric() -> &'static Definition {
    define(NameText::plain(NameKind::Metric, "n"))
}

/// The test that is no test but a host program.
#[test]
fn play() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (role, argument) = role.split_once(':').unwrap_or((&role, ""));
    match role {
        "emit" => emit_many(argument.parse().unwrap()),
        "emit-until-killed" => emit_until_killed(Path::new(argument)),
        "fork" => super::fork::host(),
        "host" => super::host::host(),
        "signals" => super::signals::host(argument),
        "small-files" => super::host::small_files(),
        "threads" => super::death::emit_from_threads(argument.parse().unwrap()),
        "model" => super::model::host(argument.parse().unwrap()),
        "order" => super::order::host(),
        "parting" => super::parting::host(),
        "patience" => super::patience::host(),
        "remote" => super::remote::host(),
        "reuse" => super::reuse::host(),
        "small" => super::small::host(),
        other => panic!("no role {other}"),
    }
}

fn emit_many(count: u32) {
    let name = metric();
    for value in 0..count {
        assert_eq!(emit(name, value.into()), Appended::Accepted);
    }
}

/// Says after each accepted record how many there were, in a file that survives as the spool does.
fn emit_until_killed(progress: &Path) {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(progress)
        .unwrap();
    let name = metric();
    for value in 0_u64.. {
        assert_eq!(emit(name, value as f64), Appended::Accepted);
        file.write_all_at(&(value + 1).to_le_bytes(), 0).unwrap();
    }
}
