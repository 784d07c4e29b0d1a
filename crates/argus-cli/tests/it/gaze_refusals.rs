//! What `argus gaze` cannot or will not watch: one clear sentence that says what to do, the documented
//! exit code, and nothing made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::observed::{Home, Running, Stranger, eventually};

/// The command `argus gaze` with these words must leave with this code and say these lines.
#[track_caller]
fn refused(home: &Home, arguments: &[&str], code: i32, says: &[&str]) {
    let arguments = [&["gaze"], arguments].concat();
    let (found, said, error) = home.start(&arguments).finish();
    assert_eq!(found, code, "{arguments:?}: {error}");
    assert_eq!(said, "", "{arguments:?}");
    for text in says {
        assert!(error.contains(text), "{text:?} is missing in {error:?}");
    }
    assert!(error.starts_with("argus: "), "{error}");
    assert!(error.lines().count() <= 2, "a sentence and a hint: {error}");
    assert!(!home.data().folder().exists(), "nothing was made");
}

/// The letter by which the kernel tells what a process does; `None` when it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_zombie_is_told_from_nobody_and_its_parent_is_named() {
    let home = Home::new();
    let script = "import os, time\n\
                  child = os.fork()\n\
                  if child == 0: os._exit(0)\n\
                  open('zombie', 'w').write(f'{child}\\n')\n\
                  time.sleep(60)";
    fs::write(home.path("parent.py"), script).unwrap();
    let parent = Stranger::run(&home.path(""), "python3 parent.py");
    let zombie: u32 = eventually("there is a zombie", || {
        let pid = fs::read_to_string(home.path("zombie")).ok()?;
        let pid = pid.strip_suffix('\n')?.parse().ok()?;
        (state(pid) == Some('Z')).then_some(pid)
    });
    refused(
        &home,
        &["--pid", &zombie.to_string()],
        1,
        &[
            "has ended already",
            &format!("hint: argus gaze --pid {}", parent.pid),
        ],
    );
}

#[test]
fn a_thread_of_the_kernel_is_no_program() {
    let home = Home::new();
    let kernel = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if kernel.trim() != "kthreadd" {
        println!("not run: no threads of the kernel are to be seen here");
        return;
    }
    refused(
        &home,
        &["--pid", "2"],
        2,
        &["2 (kthreadd) is a thread of the kernel"],
    );
    refused(
        &home,
        &["--process", "kthreadd"],
        2,
        &["is a thread of the kernel"],
    );
}

#[test]
fn a_thread_of_a_program_is_told_with_its_process() {
    let home = Home::new();
    let script = "import threading, time\n\
                  threading.Thread(target=time.sleep, args=(60,)).start()\n\
                  time.sleep(60)";
    fs::write(home.path("two.py"), script).unwrap();
    let program = Stranger::run(&home.path(""), "python3 two.py");
    let thread = eventually("it has two threads", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", program.pid)).ok()?;
        let mut ids = tasks.map(|task| task.unwrap().file_name().into_string().unwrap());
        ids.find(|id| *id != program.pid.to_string())
    });
    let says = format!("{thread} is a thread of process {}", program.pid);
    let hint = format!("hint: argus gaze --pid {}", program.pid);
    refused(&home, &["--pid", &thread], 1, &[&says, &hint]);
}

/// The command under another name, which nobody else on this machine bears.
fn namesake(home: &Home) -> (PathBuf, String) {
    let name = format!("argus-{}", std::process::id());
    let path = home.path(&name);
    fs::copy(env!("CARGO_BIN_EXE_argus"), &path).unwrap();
    (path, name)
}

#[test]
fn a_name_that_only_argus_bears_is_not_watched() {
    let home = Home::new();
    let (path, name) = namesake(&home);
    let mut command = Command::new(path);
    command.args(["gaze", "--process", &name]);
    command
        .env("ARGUS_HOME", home.path(""))
        .env("ARGUS_COLLECTOR", "off");
    let (code, said, error) = Running::start(command).finish();
    assert_eq!((code, said.as_str()), (1, ""), "{error}");
    let says = format!("argus: only Argus itself is named \"{name}\" here");
    assert!(error.starts_with(&says), "{error}");
}

#[test]
fn of_a_name_that_argus_bears_too_the_other_program_is_watched() {
    let home = Home::new();
    let (path, name) = namesake(&home);
    fs::create_dir(home.path("other")).unwrap();
    let other = home.path("other").join(&name);
    fs::copy("/bin/sleep", &other).unwrap();
    let stranger = Stranger::run(&home.path(""), &format!("{} 60", other.display()));
    stranger.wait_for_name(&name);
    let mut command = Command::new(path);
    command.args(["gaze", "--process", &name]);
    command
        .env("ARGUS_HOME", home.path(""))
        .env("ARGUS_COLLECTOR", "off");
    let mut gaze = Running::start(command);
    gaze.wait_for(&format!("[Gaze] Process: {name} (PID: {})", stranger.pid));
    gaze.signal(Signal::INT);
    let (code, _, error) = gaze.finish();
    assert_eq!(code, 0);
    assert!(!error.contains("are named"), "{error}");
}

#[test]
fn argus_does_not_watch_itself() {
    let home = Home::new();
    let argus = env!("CARGO_BIN_EXE_argus");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {argus} gaze --pid $$")]);
    command
        .env("ARGUS_HOME", home.path(""))
        .env("ARGUS_COLLECTOR", "off");
    let (code, said, error) = Running::start(command).finish();
    assert_eq!((code, said.as_str()), (2, ""), "{error}");
    assert!(error.contains("does not observe itself"), "{error}");
}

/// A shell in a pid namespace of its own, which runs a script; `None` where there is none to be had.
fn contained(home: &Home, mount: Option<&str>, script: &str) -> Option<Child> {
    let mut words = vec!["--pid", "--fork", "--kill-child"];
    words.extend(mount);
    if !rustix::process::geteuid().is_root() {
        words.push("--map-root-user");
    }
    let may = Command::new("unshare").args(&words).arg("true").output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        println!("not run: no pid namespaces to be had here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(&words).args(["sh", "-c", script]);
    command
        .env("ARGUS_HOME", home.path(""))
        .env("ARGUS_COLLECTOR", "off");
    let piped = || Stdio::piped();
    let child = command
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn();
    Some(child.unwrap())
}

/// The pid that a process outside gives the one whose name this is.
fn pid_outside(name: &str) -> u32 {
    eventually("it runs", || {
        let folders = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
        pids.find(|pid: &u32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        })
    })
}

#[test]
fn a_pid_from_inside_a_container_is_answered_with_the_one_from_outside() {
    let home = Home::new();
    let name = format!("inner-{}", std::process::id());
    let program = home.path(&name);
    fs::copy("/bin/sleep", &program).unwrap();
    // Its pid inside is one that nobody has outside.
    let script = format!(
        "echo 31999 > /proc/sys/kernel/ns_last_pid && {} 60 & wait",
        program.display()
    );
    let Some(mut shell) = contained(&home, Some("--mount-proc"), &script) else {
        return;
    };
    let outside = pid_outside(&name);
    let status = fs::read_to_string(format!("/proc/{outside}/status")).unwrap();
    let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let inside = inside.and_then(|pids| pids.split_whitespace().last());
    let inside = inside.unwrap().to_owned();
    if !Path::new(&format!("/proc/{inside}")).exists() {
        let hint = format!("hint: argus gaze --pid {outside}");
        let says = format!("there is no process with id {inside} here");
        refused(&home, &["--pid", &inside], 1, &[&says, &hint]);
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
}

#[test]
fn a_pid_from_outside_is_not_found_inside() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let argus = env!("CARGO_BIN_EXE_argus");
    let script = format!("{argus} gaze --pid {}", stranger.pid);
    let Some(shell) = contained(&home, Some("--mount-proc"), &script) else {
        return;
    };
    let output = shell.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("in this pid namespace"), "{error}");
    assert!(!home.data().folder().exists(), "nothing was made");
}

#[test]
fn with_the_proc_of_another_namespace_nothing_is_watched() {
    let home = Home::new();
    let argus = env!("CARGO_BIN_EXE_argus");
    // Pid 1 is another there than the one that /proc shows.
    let script = format!("{argus} gaze --pid 1; exit $?");
    let Some(shell) = contained(&home, None, &script) else {
        return;
    };
    let output = shell.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("/proc is that of another pid namespace"),
        "{error}"
    );
    assert!(!home.data().folder().exists(), "nothing was made");
}

/// Whoever dies around the moment of attaching is either watched to the right end, or said not to be
/// there any more.
#[test]
fn a_process_that_dies_while_it_is_attached_to_is_watched_or_said_to_be_gone() {
    let mut seen = [0, 0];
    for round in 0..24 {
        let home = Home::new();
        let lives = format!("sh -c 'sleep 0.0{:02}; exit 7'", round * 2);
        let stranger = Stranger::run(&home.path(""), &lives);
        let pid = stranger.pid.to_string();
        let (code, said, error) = home.start(&["gaze", "--pid", &pid]).finish();
        match code {
            0 => {
                assert!(said.contains("Process terminated (exit code: 7)"), "{said}");
                let events = home.recorded().events;
                assert_eq!(events.last().unwrap(), &("terminated".to_owned(), Some(7)));
                seen[0] += 1;
            }
            1 => {
                let sentences = [
                    format!("there is no process with id {pid}"),
                    format!("process {pid} ended before it could be observed"),
                    format!("process {pid} (sh) has ended already"),
                ];
                let fits = |sentence: &String| error.starts_with(&format!("argus: {sentence}"));
                assert!(sentences.iter().any(fits), "{error}");
                seen[1] += 1;
            }
            other => panic!("exit code {other}: {error}"),
        }
    }
    println!("{} watched to their end, {} gone before", seen[0], seen[1]);
}
