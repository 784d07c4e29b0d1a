//! Integration tests of spec/1: attach by name and by id, handle what is not there.

use std::fs;
use std::process::{Command, Stdio};

use argus_observe::exit::ExitWatch;
use argus_observe::process::{AttachError, find_by_name, find_by_pid};
use argus_observe::sample::Sampler;
use rustix::process::Signal;

use crate::stranger::{Stranger, eventually};

/// A copy of `sleep` under a name that no other process has.
fn program(name: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::copy("/bin/sleep", &path).unwrap();
    let command = format!("{} 60", path.display());
    (folder, command)
}

#[test]
fn attaches_to_a_running_process_by_name() {
    let (_folder, command) = program("argus-it-one");
    let stranger = Stranger::run(&command);
    let found = eventually("the program runs", || find_by_name("argus-it-one").ok());
    assert_eq!(found.first.pid, stranger.pid);
    assert_eq!(found.first.process_name, "argus-it-one");
    assert_eq!(found.first.command_line, command);
    assert_eq!(found.others, []);
}

#[test]
fn attaches_to_a_running_process_by_pid() {
    let (_folder, command) = program("argus-it-pid");
    let stranger = Stranger::run(&command);
    let target = eventually("the program runs", || {
        find_by_pid(stranger.pid)
            .ok()
            .filter(|target| target.process_name == "argus-it-pid")
    });
    assert_eq!(target.pid, stranger.pid);
    assert!(target.exe.unwrap().ends_with("argus-it-pid"));
}

#[test]
fn a_name_longer_than_the_kernel_keeps_is_found_whole_and_cut() {
    let name = "argus-it-with-a-long-name";
    let (_folder, command) = program(name);
    let stranger = Stranger::run(&command);
    let found = eventually("the program runs", || find_by_name(name).ok());
    assert_eq!(found.first.pid, stranger.pid);
    assert_eq!(found.first.process_name, name);
    assert_eq!(find_by_name(&name[..15]).unwrap().first.pid, stranger.pid);
}

#[test]
fn of_several_the_first_is_taken_and_the_others_are_told() {
    let (_folder, command) = program("argus-it-many");
    let strangers = [(); 3].map(|()| Stranger::run(&command));
    let mut expected = strangers.each_ref().map(|stranger| stranger.pid);
    expected.sort_unstable();
    let found = eventually("all three run", || {
        find_by_name("argus-it-many")
            .ok()
            .filter(|found| found.others.len() == 2)
    });
    let others: Vec<_> = found.others.iter().map(|target| target.pid).collect();
    assert_eq!(found.first.pid, expected[0]);
    assert_eq!(others, expected[1..]);
}

#[test]
fn handles_a_non_existent_process_gracefully() {
    let error = find_by_name("argus-it-no-such-process").unwrap_err();
    assert!(matches!(error, AttachError::NoSuchName(_)));
    assert_eq!(
        error.to_string(),
        "there is no process named \"argus-it-no-such-process\""
    );
    let ended = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let error = find_by_pid(ended).unwrap_err();
    assert!(matches!(error, AttachError::NoSuchProcess(pid) if pid == ended));
}

#[test]
fn a_dead_process_that_nobody_has_collected_is_told_from_one_that_is_not_there() {
    let (_folder, command) = program("argus-it-dead");
    let stranger = Stranger::run_uncollected(&command);
    eventually("the program runs", || find_by_name("argus-it-dead").ok());
    stranger.kill(Signal::KILL);
    let error = eventually("it ends", || match find_by_pid(stranger.pid) {
        Err(error @ AttachError::Zombie { .. }) => Some(error),
        _ => None,
    });
    let parent = stranger.parent();
    assert_eq!(
        error.to_string(),
        format!(
            "process {} (argus-it-dead) has ended already; \
             only its parent, {parent}, is still to be observed",
            stranger.pid
        )
    );
    let error = find_by_name("argus-it-dead").unwrap_err();
    assert!(matches!(error, AttachError::Zombie { pid, .. } if pid == stranger.pid));
}

#[test]
fn a_process_that_ends_while_it_is_attached_to_is_told_so() {
    let stranger = Stranger::run("sleep 60");
    let target = stranger.target();
    stranger.kill(Signal::KILL);
    eventually("its parent has collected it", || {
        matches!(find_by_pid(target.pid), Err(AttachError::NoSuchProcess(_))).then_some(())
    });
    let errors = [
        Sampler::attach(&target).unwrap_err(),
        ExitWatch::attach(&target).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, AttachError::EndedMeanwhile(pid) if pid == target.pid));
    }
}

#[test]
fn an_id_from_inside_a_container_is_explained_by_the_one_it_has_here() {
    // An id that nobody has here, given to a process inside.
    let is_free = |pid: &u32| matches!(find_by_pid(*pid), Err(AttachError::NoSuchProcess(_)));
    let Some(inner) = (20_000..30_000).rev().find(is_free) else {
        return; // In a container ourselves, where nothing is known of ids that are not there.
    };
    let (_folder, command) = program("argus-it-inner");
    let last = inner - 1;
    let script = format!("echo {last} > /proc/sys/kernel/ns_last_pid && {{ {command} & wait; }}");
    let inside = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "sh", "-c", &script])
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut inside) = inside else {
        return; // No unshare(1).
    };
    let found = eventually("the program runs, or may not", || {
        let may_not = inside.try_wait().unwrap().map(|_| None);
        may_not.or_else(|| find_by_name("argus-it-inner").ok().map(Some))
    });
    if let Some(found) = found {
        let outer = found.first.pid;
        assert_eq!(
            find_by_pid(inner).unwrap_err().to_string(),
            format!(
                "there is no process with id {inner} here; \
                 in a container that is {outer} (argus-it-inner)"
            )
        );
        inside.kill().unwrap();
    }
    inside.wait().unwrap();
}
