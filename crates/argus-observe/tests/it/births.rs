//! Births against real processes: storms of forks, grandchildren, orphans, programs that execute
//! others, ids used again; by reports and by looks, as the superuser and as nobody.

mod gate;
mod late;
mod observer;
mod returns;
mod reuse;
mod storm;

use std::process::Command;
use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::births::{Births, Interest, Means, News};
use argus_observe::platform;
use argus_observe::process::find_by_pid;

use crate::stranger::{Stranger, eventually};
use gate::Gate;
use observer::{Observer, both_means};

#[test]
fn children_and_grandchildren_are_told_with_their_parents_and_names() {
    for means in both_means() {
        let gate = Gate::shut();
        let stranger = gate.run("sh -c \"sleep 60 & wait\" & wait");
        let mut observer = Observer::of(&stranger, means);
        gate.open();
        let (shell, sleeper) = observer.until("both are told", |observer| {
            let sleeper = observer.born_with_command("sleep 60")?;
            let shell = observer.born_with_command("sh -c sleep 60 & wait")?;
            Some((shell, sleeper))
        });
        let family = &observer.family;
        let parent = |of| family.member(of).and_then(|member| member.parent);
        assert_eq!(
            parent(shell),
            Some(stranger.target().instance()),
            "{means:?}"
        );
        assert_eq!(parent(sleeper), Some(shell), "{means:?}");
        assert_eq!(observer.names[&sleeper], "sleep");
        observer.kill_family();
    }
}

#[test]
fn children_that_are_there_already_are_found_by_a_scan() {
    for means in both_means() {
        let stranger = Stranger::run("sh -c 'sh -c \"sleep 61 & wait\" & wait'");
        let mut observer = Observer::of(&stranger, means);
        observer.until("the grandchild is there", |observer| {
            observer.scan();
            observer.born_with_command("sleep 61")
        });
        let told = observer.names.len();
        observer.scan();
        assert_eq!(observer.names.len(), told, "told once only");
        observer.kill_family();
    }
}

#[test]
fn a_child_that_executes_another_program_later_is_told_again() {
    for means in both_means() {
        let gate = Gate::shut();
        let stranger = gate.run("(sleep 0.2; exec sleep 62) & wait");
        let mut observer = Observer::of(&stranger, means);
        gate.open();
        let sleeper = observer.until("it executes", |observer| {
            let became = |target: &&argus_observe::Target| target.command_line == "sleep 62";
            observer
                .became
                .iter()
                .find(became)
                .map(|target| target.instance())
        });
        // It was told as a copy of its shell before.
        assert_eq!(observer.names[&sleeper], "sh", "{means:?}");
        observer.kill_family();
    }
}

#[test]
fn an_orphan_of_the_process_group_is_kin_although_its_parent_is_gone() {
    for means in both_means() {
        // In a process group of its own, as a shell with job control or a service manager starts it.
        let gate = Gate::shut();
        let hold = gate.path();
        let script = format!("(sleep 63 & exit 0); read line < {}", hold.display());
        let stranger = gate.run_in_session(&script);
        let mut observer = Observer::of(&stranger, means);
        gate.open();
        observer.until("the orphan is told", |observer| {
            observer.born_with_command("sleep 63")
        });
        observer.kill_family();
    }
}

#[test]
fn reports_that_were_lost_are_said_to_be_and_made_up_for() {
    let gate = Gate::shut();
    let forks = "i=0; while [ $i -lt 6000 ]; do (:) & i=$((i+1)); done; wait; sleep 64 & ";
    let stranger = gate.run(&format!("{forks} wait"));
    let mut observer = Observer::of(&stranger, both_means()[0]);
    gate.open();
    // Nobody reads meanwhile.
    eventually("it is through", || {
        let children = format!("/proc/{0}/task/{0}/children", stranger.pid);
        let children = std::fs::read_to_string(children).ok()?;
        let mut children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        let is_sleeper = |pid| find_by_pid(pid).is_ok_and(|it| it.command_line == "sleep 64");
        children.any(is_sleeper).then_some(())
    });
    observer.until("the one that lives is found", |observer| {
        observer.born_with_command("sleep 64")
    });
    let is_lossy = both_means()[0] == Means::Reports;
    assert_eq!(observer.losses > 0, is_lossy);
    observer.kill_family();
}

#[test]
fn nothing_is_looked_at_while_nothing_is_wanted() {
    let mut births = Births::open(platform::monotonic_now()).unwrap();
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    for _ in 0..3 {
        let news = births.look(platform::monotonic_now(), |_| Interest::None);
        let is_told = |news: &News| matches!(news, News::Born(_) | News::Passed(_));
        assert!(!news.unwrap().iter().any(is_told));
    }
}

#[test]
fn a_thread_is_no_birth() {
    for means in both_means() {
        let mut births = observer::open(means);
        let threads: Vec<_> = (0..20)
            .map(|_| std::thread::spawn(|| std::thread::park_timeout(Duration::from_millis(100))))
            .collect();
        let me = std::process::id();
        let now = platform::monotonic_now();
        let judge = |newborn: &argus_observe::births::Newborn| {
            assert_ne!(newborn.parent.pid, me, "{newborn:?}");
            Interest::None
        };
        births.look(now, judge).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        births.look(platform::monotonic_now(), judge).unwrap();
    }
}

#[test]
fn in_another_pid_namespace_births_are_looked_for() {
    let Some(output) = again_under(
        &["unshare", "--pid", "--fork", "--mount-proc"],
        "in_namespace",
    ) else {
        return; // It may not make namespaces.
    };
    assert!(output.contains("1 passed"), "{output}");
}

/// Run again by the test above, in a pid namespace of its own.
#[test]
fn in_namespace() {
    if std::env::var_os("ARGUS_AGAIN").is_none() {
        return;
    }
    let births = Births::open(platform::monotonic_now()).unwrap();
    assert_eq!(births.means(), Means::Looks);
    reuse::a_stranger_with_the_id_of_a_dead_child_is_no_child();
}

#[test]
fn what_a_user_is_not_shown_is_not_taken_for_gone() {
    let script = "mount -t proc -o hidepid=2 proc /proc || exit 1
        { while [ -e /proc/$$ ]; do sleep 0.3; done; } > /dev/null 2>&1 &
        exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"];
    if let Some(output) = again_under(&wrapper, "under_hidepid") {
        assert!(output.contains("1 passed"), "{output}");
    }
}

/// Run again by the test above, where other users' processes are hidden and one is born every 0.3 s.
#[test]
fn under_hidepid() {
    if std::env::var_os("ARGUS_AGAIN").is_none() {
        return;
    }
    assert!(std::fs::read("/proc/1/stat").is_err(), "nothing is hidden");
    let begun = platform::monotonic_now();
    let mut births = Births::open(begun).unwrap();
    let is_long_enough = |now: Monotonic| now.since(begun) > Duration::from_secs(1);
    eventually("three were born", || {
        let now = platform::monotonic_now();
        for news in births.look(now, |_| Interest::Wanted).unwrap() {
            if let News::Passed(brief) = news {
                assert!(brief.lifetime.is_some(), "it lives: {brief:?}");
            }
        }
        is_long_enough(now).then_some(())
    });
}

/// What makes a program run as a user without any rights.
fn nobody() -> &'static [&'static str] {
    &[
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ]
}

/// Runs one of these tests again as another user or in another namespace; what it printed. `None`
/// where the wrapper does not work here.
fn again_under(wrapper: &[&str], test: &str) -> Option<String> {
    let name = format!("births::{test}");
    let folder = tempfile::tempdir().unwrap();
    // Where others than the owner may execute it.
    let program = folder.path().join("again");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let works = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .status();
    if !works.is_ok_and(|status| status.success()) {
        return None;
    }
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(&program)
        .args(["--exact", &name, "--nocapture"])
        .env("ARGUS_AGAIN", test)
        .env("TMPDIR", "/tmp")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaint}");
    Some(text)
}
