//! Real processes in a real control group that holds too little memory, and what is said of their ends.
//!
//! Where no such group can be made (it takes the superuser, and a hierarchy that may be written), the
//! tests of it say so and pass.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

#[test]
fn the_count_is_found_in_each_of_the_files() {
    let check = |text, expected| assert_eq!(count(text), expected, "{text:?}");
    check("low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\n", Some(1));
    check("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n", Some(12));
    check("low 0\noom_group_kill 4\n", None);
    check("oom_kill many", None);
    check("", None);
}

#[test]
fn a_count_that_fell_is_another_groups() {
    assert_eq!(risen(Some(3), Some(5)), Some(2));
    assert_eq!(risen(Some(5), Some(0)), None);
    assert_eq!(risen(None, Some(0)), None);
}

#[test]
fn only_sigkill_is_asked_about() {
    let mut blind = OomWatch::attach(std::process::id());
    blind.older.group = None;
    blind.older.machine = None;
    let explained = |code| {
        let death = blind.explain(code, None);
        (death.cause, death.evidence)
    };
    assert_eq!(explained(Some(0)), (Cause::Exit, Evidence::ExitStatus));
    assert_eq!(explained(Some(-11)), (Cause::Signal, Evidence::ExitStatus));
    assert_eq!(explained(None), (Cause::Unknown, Evidence::None));
    assert_eq!(
        explained(Some(-9)),
        (Cause::Killed, Evidence::None),
        "who cannot read the counts cannot tell"
    );
}

#[test]
fn a_reading_is_kept_until_the_next_but_one() {
    let mut watch = OomWatch::attach(std::process::id());
    let attached = watch.older.at;
    watch.renew(platform::monotonic_now());
    assert_eq!(watch.looked_at, attached, "not due");
    let after = |duration: Duration| {
        let nanos = attached.nanos() + u64::try_from(duration.as_nanos()).unwrap();
        Monotonic::from_nanos(nanos)
    };
    watch.look(after(RENEW_EVERY));
    let second = watch.newer.at;
    assert_ne!(second, attached);
    assert_eq!(
        watch.older.at, attached,
        "it is what is compared for a while"
    );
    watch.look(after(RENEW_EVERY + LOOK_EVERY));
    assert_eq!(watch.older.at, second);
}

/// A control group with room for 24 MiB, which goes with the test.
struct SmallGroup {
    folder: PathBuf,
    scratch: tempfile::TempDir,
}

impl SmallGroup {
    fn make(name: &str) -> Option<Self> {
        let made = Self::in_version_1(name).or_else(|first| {
            Self::in_version_2(name).map_err(|second| format!("{first}; {second}"))
        });
        match made {
            Ok(folder) => Some(Self {
                folder,
                scratch: tempfile::tempdir().unwrap(),
            }),
            Err(reason) => {
                eprintln!("skipped: no memory control group can be made here: {reason}");
                None
            }
        }
    }

    fn in_version_1(name: &str) -> Result<PathBuf, String> {
        let root = Path::new("/sys/fs/cgroup/memory");
        Self::in_root(root, name, "memory.limit_in_bytes")
    }

    fn in_version_2(name: &str) -> Result<PathBuf, String> {
        let root = Path::new("/sys/fs/cgroup");
        let control = root.join("cgroup.subtree_control");
        if !control.exists() {
            return Err(format!("there is no {}", control.display()));
        }
        fs::write(&control, "+memory")
            .map_err(|error| format!("{}: {error}", control.display()))?;
        Self::in_root(root, name, "memory.max")
    }

    fn in_root(root: &Path, name: &str, limit: &str) -> Result<PathBuf, String> {
        let folder = root.join(format!("argus-test-{name}-{}", std::process::id()));
        let said = |error: std::io::Error| format!("{}: {error}", folder.display());
        if !root.join("cgroup.procs").exists() {
            return Err(format!("{} is no hierarchy", root.display()));
        }
        fs::create_dir(&folder).map_err(said)?;
        fs::write(folder.join(limit), (24 << 20).to_string()).map_err(|error| {
            let _ = fs::remove_dir(&folder);
            said(error)
        })?;
        Ok(folder)
    }

    /// A process in the group that executes `then` once it is [released](Member::release). No other
    /// comes or goes meanwhile.
    fn member(&self, name: &str, then: &str) -> Member {
        let path = |what: &str| self.scratch.path().join(format!("{name}.{what}"));
        let (ready, go) = (path("ready"), path("go"));
        let script = format!(
            "echo $$ > {0}; mkfifo {1}; : > {2}; read _ < {1}; exec {then}",
            self.folder.join("cgroup.procs").display(),
            go.display(),
            ready.display()
        );
        let child = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("it is in the group", || ready.exists());
        Member { child, go }
    }
}

impl Drop for SmallGroup {
    fn drop(&mut self) {
        eventually("the group can be removed", || {
            !self.folder.exists() || fs::remove_dir(&self.folder).is_ok()
        });
    }
}

struct Member {
    child: Child,
    go: PathBuf,
}

impl Member {
    fn watch(&self) -> OomWatch {
        OomWatch::attach(self.child.id())
    }

    fn release(&self) {
        fs::write(&self.go, "go\n").unwrap();
    }

    /// Its exit code, −N for signal N.
    fn wait(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        status.code().or(status.signal().map(|signal| -signal))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads an endless line, all of which it has to keep.
const GREEDY: &str = "tail /dev/zero";

#[test]
fn an_out_of_memory_kill_is_told_from_any_other_sigkill() {
    let Some(group) = SmallGroup::make("alone") else {
        return;
    };
    let mut greedy = group.member("greedy", GREEDY);
    let watch = greedy.watch();
    greedy.release();
    assert_eq!(greedy.wait(), Some(-9));
    let death = watch.explain(Some(-9), Some(false));
    assert_eq!(death.cause, Cause::OutOfMemory, "{watch:?}");
    assert_eq!(death.core_dumped, Some(false));
    // Whichever was believed: the group says the same by itself.
    let counted = watch.older.group.as_ref().unwrap();
    assert_eq!(counted.kills_since(), Some(1));
    assert!(counted.has_lost_fewer_than(1, greedy.child.id()));

    let mut killed = group.member("killed", "sleep 60");
    let watch = killed.watch();
    killed.child.kill().unwrap();
    assert_eq!(killed.wait(), Some(-9));
    assert_eq!(watch.explain(Some(-9), None).cause, Cause::Signal);
    let counted = watch.older.group.as_ref().unwrap();
    assert_eq!(counted.kills_since(), Some(0));
}

#[test]
fn a_victim_is_known_by_those_who_are_left() {
    let Some(group) = SmallGroup::make("left") else {
        return;
    };
    let neighbour = group.member("neighbour", "sleep 60");
    neighbour.release();
    let mut greedy = group.member("greedy", GREEDY);
    let watch = greedy.watch();
    greedy.release();
    assert_eq!(greedy.wait(), Some(-9));
    let counted = watch.older.group.as_ref().unwrap();
    assert!(counted.has_lost_fewer_than(1, greedy.child.id()));
    assert_eq!(watch.explain(Some(-9), None).cause, Cause::OutOfMemory);
}

#[test]
fn a_kill_of_long_ago_is_not_held_against_the_kernel() {
    let Some(group) = SmallGroup::make("before") else {
        return;
    };
    let mut killed = group.member("killed", "sleep 60");
    let mut watch = killed.watch();
    let mut greedy = group.member("greedy", GREEDY);
    greedy.release();
    assert_eq!(greedy.wait(), Some(-9));
    let now = watch.looked_at;
    watch.look(now);
    let counted = |watch: &OomWatch| watch.older.group.as_ref().unwrap().kills_since();
    assert_eq!(counted(&watch), Some(1), "just now");
    watch.look(now);
    assert_eq!(counted(&watch), Some(0), "half a minute later");
    killed.child.kill().unwrap();
    assert_eq!(killed.wait(), Some(-9));
    assert_eq!(watch.explain(Some(-9), None).cause, Cause::Signal);
}

#[test]
fn what_may_have_been_another_victim_is_only_likely() {
    let Some(group) = SmallGroup::make("other") else {
        return;
    };
    let mut killed = group.member("killed", "sleep 60");
    let mut greedy = group.member("greedy", GREEDY);
    let watch = killed.watch();
    greedy.release();
    assert_eq!(greedy.wait(), Some(-9));
    killed.child.kill().unwrap();
    assert_eq!(killed.wait(), Some(-9));
    assert_eq!(
        watch.explain(Some(-9), None),
        Death {
            cause: Cause::PerhapsOutOfMemory,
            evidence: Evidence::ControlGroup,
            core_dumped: None,
        }
    );
}

#[test]
fn when_the_group_is_gone_the_rest_is_asked() {
    let Some(group) = SmallGroup::make("gone") else {
        return;
    };
    let mut greedy = group.member("greedy", GREEDY);
    let watch = greedy.watch();
    greedy.release();
    assert_eq!(greedy.wait(), Some(-9));
    drop(group);
    assert_eq!(watch.older.group.as_ref().unwrap().kills_since(), None);
    let expected = if log::names(greedy.child.id(), watch.older.at) {
        (Cause::OutOfMemory, Evidence::KernelLog)
    } else {
        (Cause::PerhapsOutOfMemory, Evidence::Machine)
    };
    assert_eq!(watch.judge(), expected);
}
