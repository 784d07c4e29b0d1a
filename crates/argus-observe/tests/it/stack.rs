//! The stacks of Python programs that know nothing of it, and of programs that are none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argus_observe::platform::{self, Signal};
use argus_observe::process::find_by_pid;
use argus_observe::stack::{Activity, MAX_FRAMES, StackError, StackSampler, Stacks, ThreadStack};

use crate::stranger::{Stranger, eventually};

/// A program that is at work when its file `ready` stands beside it.
struct Program {
    folder: tempfile::TempDir,
    stranger: Stranger,
}

impl Program {
    fn start(python: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.py");
        fs::write(&file, text).unwrap();
        let ready = folder.path().join("ready");
        let command = format!("exec {python} {} {}", file.display(), ready.display());
        let stranger = Stranger::run(&command);
        eventually("the program is at work", || ready.exists().then_some(()));
        Self { folder, stranger }
    }

    fn sampler(&self) -> StackSampler {
        StackSampler::attach(&self.stranger.target()).unwrap()
    }

    fn file(&self) -> String {
        self.folder.path().join("shop.py").display().to_string()
    }
}

/// The first sample that can be read: a program that goes on may be torn apart once.
fn sample(sampler: &mut StackSampler) -> Stacks {
    eventually("a sample", || sampler.sample().ok())
}

fn kill(pid: u32) {
    let pid = platform::raw_pid(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

fn functions(thread: &ThreadStack) -> Vec<&str> {
    let frames = thread.frames.iter();
    frames.map(|frame| frame.function.as_str()).collect()
}

const SHOP: &str = "\
import sys, threading, time

def price():
    while True:
        pass

def wait(seconds):
    open(sys.argv[1], 'w').close()
    time.sleep(seconds)

def main():
    worker = threading.Thread(target=price, name='pricing')
    worker.daemon = True
    worker.start()
    wait(60)

main()
";

/// A sample of the shop whose main thread sleeps: it is ready before that, and waits for the lock first.
fn asleep(sampler: &mut StackSampler, is_meant: impl Fn(&Stacks) -> bool) -> Stacks {
    eventually("the main thread sleeps", || {
        let stacks = sampler.sample().ok()?;
        let main = stacks.threads.first()?;
        let sleeps = main.frames.first()?.line == Some(9) && main.activity == Activity::Idle;
        (sleeps && is_meant(&stacks)).then_some(stacks)
    })
}

#[test]
fn every_thread_tells_what_it_is_in() {
    let program = Program::start("python3", SHOP);
    let mut sampler = program.sampler();
    // When asked to give the lock up, the worker goes to sleep for an instant.
    let stacks = asleep(&mut sampler, |stacks| {
        let worker = stacks.threads.get(1);
        worker.is_some_and(|it| it.holds_gil && it.activity == Activity::Active)
    });
    assert_eq!(stacks.threads.len(), 2);
    let (main, worker) = (&stacks.threads[0], &stacks.threads[1]);
    assert_eq!(main.tid, Some(program.stranger.pid));
    assert_eq!(main.name, "MainThread");
    assert!(!main.holds_gil);
    let frames: Vec<_> = main.frames.iter().map(ToString::to_string).collect();
    let file = program.file();
    let expected = [("wait", 9), ("main", 15), ("<module>", 17)]
        .map(|(function, line)| format!("{function} ({file}:{line})"));
    assert_eq!(frames, expected);
    assert_eq!(worker.name, "pricing");
    assert_eq!(functions(worker)[0], "price");
    assert!(matches!(worker.frames[0].line, Some(4 | 5)), "{worker:?}");
    let task = format!(
        "/proc/{}/task/{}",
        program.stranger.pid,
        worker.tid.unwrap()
    );
    assert!(Path::new(&task).exists());
}

/// The interpreters of this machine: those on the path, and those of pyenv.
fn interpreters() -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|folder| !folder.ends_with("shims"))
        .collect();
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    if let Some(Ok(versions)) = pyenv.map(|root| fs::read_dir(root.join("versions"))) {
        folders.extend(versions.map(|version| version.unwrap().path().join("bin")));
    }
    for folder in folders {
        let minors = (6..=15).map(|minor| format!("python3.{minor}"));
        for name in minors.chain(["python2.7".into()]) {
            found.extend(fs::canonicalize(folder.join(name)));
        }
    }
    found.into_iter().collect()
}

#[test]
fn every_python_of_this_machine_can_be_read() {
    let interpreters = interpreters();
    assert!(!interpreters.is_empty());
    for python in interpreters {
        let python = python.display().to_string();
        let program = Program::start(&python, SHOP);
        let mut sampler = program.sampler();
        let stacks = asleep(&mut sampler, |_| true);
        let [main, worker] = &stacks.threads[..] else {
            panic!("{python}: {stacks:?}");
        };
        assert_eq!(functions(main), ["wait", "main", "<module>"], "{python}");
        assert_eq!(main.tid, Some(program.stranger.pid), "{python}");
        assert_eq!(functions(worker)[0], "price", "{python}");
        assert!(worker.tid.is_some() && worker.tid != main.tid, "{python}");
        // Python 2 is not read deep enough for its names.
        if !python.ends_with("python2.7") {
            assert_eq!(
                (&*main.name, &*worker.name),
                ("MainThread", "pricing"),
                "{python}"
            );
        }
    }
}

#[test]
fn the_program_is_never_stopped_and_never_traced() {
    let program = Program::start("python3", SHOP);
    let mut sampler = program.sampler();
    let status = format!("/proc/{}/status", program.stranger.pid);
    let mut read = 0;
    while read < 200 {
        read += u32::from(sampler.sample().is_ok());
        let status = fs::read_to_string(&status).unwrap();
        let line = |name| status.lines().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(line("TracerPid:"), "TracerPid:\t0");
        let state = line("State:");
        assert!(!state.contains("T (") && !state.contains("t ("), "{state}");
    }
}

#[test]
fn a_program_that_changes_all_the_time_is_read_all_the_same() {
    let text = "\
import sys, threading, types

def churn(depth):
    if depth:
        churn(depth - 1)
    exec(compile('x = [i for i in range(9)]', 'made', 'exec'), {})

def main():
    open(sys.argv[1], 'w').close()
    while True:
        threads = [threading.Thread(target=churn, args=(n,), name='churn-%d' % n) for n in range(9)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()

main()
";
    let program = Program::start("python3", text);
    let mut sampler = program.sampler();
    let (mut read, mut torn) = (0, 0);
    while read < 300 {
        match sampler.sample() {
            Ok(stacks) => {
                read += 1;
                assert_eq!(stacks.threads[0].tid, Some(program.stranger.pid));
            }
            Err(error) => {
                assert!(error.is_passing(), "{error}");
                torn += 1;
            }
        }
        assert!(torn < 3_000, "{read} read, {torn} torn");
    }
}

const DIVE: &str = "\
import os, sys, time
sys.setrecursionlimit(9000)

def dive(depth):
    if depth:
        dive(depth - 1)
        return
    open(sys.argv[1] + '.deep', 'w').close()
    time.sleep(60)

open(sys.argv[1], 'w').close()
while not os.path.exists(sys.argv[1] + '.go'):
    time.sleep(0.01)
dive(DEPTH)
";

/// A sampler of a program that has dived so deep after it was attached.
fn dived(depth: &str) -> (Program, StackSampler) {
    let program = Program::start("python3", &DIVE.replace("DEPTH", depth));
    let sampler = program.sampler();
    let beside = |name| program.folder.path().join(name);
    fs::write(beside("ready.go"), "").unwrap();
    eventually("it is deep", || beside("ready.deep").exists().then_some(()));
    (program, sampler)
}

#[test]
fn of_a_deep_stack_the_innermost_frames_are_told() {
    let (_program, mut sampler) = dived("1000");
    let stacks = eventually("it waits", || {
        let stacks = sampler.sample().ok()?;
        (stacks.threads[0].frames[0].line == Some(9)).then_some(stacks)
    });
    let main = &stacks.threads[0];
    assert_eq!(main.frames.len(), MAX_FRAMES);
    assert_eq!(main.left_out, 1002 - MAX_FRAMES);
    assert_eq!(main.frames[1].line, Some(6));
}

#[test]
fn a_stack_too_deep_to_be_read_says_so() {
    let (_program, mut sampler) = dived("6000");
    let error = sampler.sample().unwrap_err();
    assert!(matches!(error, StackError::TooDeep(_)), "{error}");
    assert!(error.is_passing());
}

#[test]
fn a_forked_child_is_read_by_its_own_ids() {
    let text = "\
import os, sys, time

def child():
    with open(sys.argv[1] + '.part', 'w') as out: out.write(str(os.getpid()))
    os.rename(sys.argv[1] + '.part', sys.argv[1])
    time.sleep(60)

if os.fork() == 0:
    child()
else:
    os.wait()
";
    let program = Program::start("python3", text);
    let pid = fs::read_to_string(program.folder.path().join("ready")).unwrap();
    let pid = pid.parse().unwrap();
    let mut sampler = StackSampler::attach(&find_by_pid(pid).unwrap()).unwrap();
    let stacks = sample(&mut sampler);
    assert_eq!(stacks.threads[0].tid, Some(pid));
    assert_eq!(functions(&stacks.threads[0]), ["child", "<module>"]);
    kill(pid);
}

#[test]
fn a_program_in_a_pid_namespace_of_its_own_is_read_by_our_ids() {
    let program = Program::start("unshare --user --pid --fork --map-root-user python3", SHOP);
    let outer = program.stranger.pid;
    let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let pid: u32 = children.trim().parse().unwrap();
    let mut sampler = StackSampler::attach(&find_by_pid(pid).unwrap()).unwrap();
    let stacks = asleep(&mut sampler, |_| true);
    assert_eq!(stacks.threads[0].tid, Some(pid));
    let worker = stacks.threads[1].tid.unwrap();
    assert!(Path::new(&format!("/proc/{pid}/task/{worker}")).exists());
    rustix::process::kill_process(argus_observe::platform::raw_pid(pid).unwrap(), Signal::KILL)
        .unwrap();
}

#[test]
fn a_program_that_executes_another_python_is_found_anew() {
    let text = "\
import os, sys, time

def second():
    open(sys.argv[1] + '2', 'w').close()
    time.sleep(60)

if os.environ.get('SECOND'):
    second()
open(sys.argv[1], 'w').close()
while not os.path.exists(sys.argv[1] + '.go'):
    time.sleep(0.01)
os.environ['SECOND'] = 'yes'
os.execv(sys.executable, [sys.executable] + sys.argv)
";
    let program = Program::start("python3", text);
    let mut sampler = program.sampler();
    let stacks = sample(&mut sampler);
    assert_eq!(functions(&stacks.threads[0]), ["<module>"]);
    fs::write(program.folder.path().join("ready.go"), "").unwrap();
    eventually("the second program is read", || {
        let stacks = sampler.sample().ok()?;
        (functions(&stacks.threads[0]) == ["second", "<module>"]).then_some(())
    });
}

#[test]
fn what_is_no_python_program_says_so() {
    let stranger = Stranger::run("sleep 60");
    eventually("it is sleep", || {
        (stranger.target().process_name == "sleep").then_some(())
    });
    let error = StackSampler::attach(&stranger.target()).unwrap_err();
    assert!(matches!(error, StackError::NotPython(pid) if pid == stranger.pid));
    assert!(!error.is_passing());
}

#[test]
fn a_program_that_ends_says_so() {
    let program = Program::start("python3", SHOP);
    let target = program.stranger.target();
    let mut sampler = program.sampler();
    sample(&mut sampler);
    program.stranger.kill(Signal::KILL);
    eventually("the sampler notices", || {
        matches!(sampler.sample(), Err(StackError::Ended(_))).then_some(())
    });
    let error = StackSampler::attach(&target).unwrap_err();
    assert!(matches!(error, StackError::Ended(_)), "{error}");
}

#[test]
fn a_process_is_not_mistaken_for_a_later_one_with_its_id() {
    let program = Program::start("python3", SHOP);
    let mut target = program.stranger.target();
    target.start_ticks -= 1;
    let error = StackSampler::attach(&target).unwrap_err();
    assert!(matches!(error, StackError::Ended(_)), "{error}");
}

#[test]
fn names_follow_their_threads() {
    let text = "\
import sys, threading, time

def serve(stop):
    while not stop.exists(): time.sleep(0.01)

import pathlib
ready = pathlib.Path(sys.argv[1])
for number in (1, 2):
    stop = ready.with_name('stop%d' % number)
    thread = threading.Thread(target=serve, args=(stop,), name='server-%d' % number)
    thread.start()
    ready.touch()
    thread.join()
";
    let program = Program::start("python3", text);
    let mut sampler = program.sampler();
    let mut named = |name: &str| {
        eventually(name, || {
            let stacks = sampler.sample().ok()?;
            (stacks.threads.get(1)?.name == name).then_some(())
        });
    };
    named("server-1");
    fs::write(program.folder.path().join("stop1"), "").unwrap();
    // It stands where the first stood: the same stack, the same id for Python.
    named("server-2");
    fs::write(program.folder.path().join("stop2"), "").unwrap();
}

#[test]
fn a_sample_costs_little() {
    let program = Program::start("python3", SHOP);
    let mut sampler = program.sampler();
    sample(&mut sampler);
    let cpu = || platform::process_cpu_time(std::process::id()).unwrap();
    let before = cpu();
    for _ in 0..100 {
        let _ = sampler.sample();
    }
    let each = (cpu() - before) / 100;
    // A sample of two threads takes some 0.2 ms; ten a second must stay far below a core.
    assert!(each < Duration::from_millis(10), "{each:?}");
}
