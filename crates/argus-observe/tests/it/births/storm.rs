//! Thousands of short children, and what must be known of each.
//!
//! A Python program forks them, at most 64 at a time: one in five lives for 55 to 120 ms, the others
//! for less than 5. Each writes down, in one line, when it began and when it was about to end, and
//! with which code. Long forms, through the built command, are torture's.

use std::collections::HashMap;
use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::births::Means;
use argus_observe::platform;
use argus_observe::process::Instance;

use super::gate::Gate;
use super::observer::{Observer, both_means};
use super::{again_under, nobody};
use crate::stranger::{Stranger, eventually};

const PROGRAM: &str = r#"
import os, random, sys, time
count, out, random = int(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND), random.Random(7)
open(sys.argv[3]).read()
living = 0
for number in range(count):
    life = random.uniform(0.055, 0.12) if number % 5 == 0 else random.uniform(0, 0.005)
    if os.fork() == 0:
        born = time.monotonic_ns()
        time.sleep(life)
        line = f"{os.getpid()} {number % 256} {born} {time.monotonic_ns()}\n"
        os.write(out, line.encode())
        os._exit(number % 256)
    living += 1
    while living >= 64 or number == count - 1 and living:
        os.wait()
        living -= 1
open(sys.argv[2].replace("written", "done"), "w").close()
time.sleep(60)
"#;

/// What a child wrote of itself.
#[derive(Debug, Clone, Copy)]
struct Child {
    pid: u32,
    code: i32,
    began: Monotonic,
    ended: Monotonic,
}

impl Child {
    fn parse(line: &str) -> Self {
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        Self {
            pid: u32::try_from(numbers[0]).unwrap(),
            code: i32::try_from(numbers[1]).unwrap(),
            began: Monotonic::from_nanos(numbers[2]),
            ended: Monotonic::from_nanos(numbers[3]),
        }
    }

    fn lived_long(&self) -> bool {
        self.ended.since(self.began) >= Duration::from_millis(50)
    }
}

#[test]
fn of_thousands_of_short_children_none_that_lived_long_is_missed() {
    for means in both_means() {
        check(means, 2000);
    }
}

#[test]
fn nobody_misses_none_either() {
    let output = again_under(nobody(), "storm::as_nobody");
    if let Some(output) = output {
        assert!(output.contains("1 passed"), "{output}");
    }
}

/// Run again by the test above, as a user without any rights.
#[test]
fn as_nobody() {
    if std::env::var_os("ARGUS_AGAIN").is_some() {
        check(Means::Looks, 2000);
    }
}

fn check(means: Means, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (program, written) = (
        folder.path().join("storm.py"),
        folder.path().join("written"),
    );
    std::fs::write(&program, PROGRAM).unwrap();
    std::fs::write(&written, "").unwrap();
    let gate = Gate::shut();
    let paths = [&program, &written, &gate.path()].map(|path| path.display().to_string());
    let [program, into, before] = paths;
    let stranger = Stranger::run(&format!("exec python3 {program} {count} {into} {before}"));
    eventually("Python runs", || {
        let exe = stranger.target().exe?;
        let name = exe.file_name()?.to_str()?.to_owned();
        name.starts_with("python").then_some(())
    });
    let mut observer = Observer::of(&stranger, means);
    gate.open();
    let memory = resident();
    let done = folder.path().join("done");
    observer.patiently("the storm is over", |_| done.exists().then_some(()));
    let text = std::fs::read_to_string(&written).unwrap();
    observer.patiently("all ends are told", |observer| {
        let born = observer.names.keys();
        let is_over = |instance: &Instance| observer.exits.contains_key(instance);
        born.copied()
            .all(|instance| is_over(&instance))
            .then_some(())
    });
    let grown = resident().saturating_sub(memory);
    let children: Vec<_> = text.lines().map(Child::parse).collect();
    assert_eq!(children.len(), count);
    compare(&observer, means, &children);
    if means == Means::Reports {
        // The report comes before the end, and is read at once or a little later.
        assert!(observer.reported * 2 > observer.exits.len());
    }
    println!(
        "{means:?}: {} of {count} told, {} passed, {} losses, {} looks, at most {} descriptors, \
         {grown} KiB more",
        observer.names.len(),
        observer.passed.len(),
        observer.losses,
        observer.looks.len(),
        observer.descriptors,
    );
    assert!(observer.descriptors < 600, "{}", observer.descriptors);
    assert!(grown < 16 * 1024, "{grown} KiB");
}

fn compare(observer: &Observer, means: Means, children: &[Child]) {
    let told: HashMap<u32, Instance> = observer.names.keys().map(|who| (who.pid, *who)).collect();
    let passed: HashMap<u32, Option<i32>> = observer
        .passed
        .iter()
        .map(|brief| (brief.instance.pid, brief.code))
        .collect();
    let (mut long, mut due, mut missed) = (0, 0, 0);
    for child in children {
        let saw_it = |(began, ended): &(Monotonic, Monotonic)| {
            *began >= child.began && *ended <= child.ended
        };
        let was_due = child.lived_long() && observer.looks.iter().any(saw_it);
        long += u32::from(child.lived_long());
        due += u32::from(was_due);
        match told.get(&child.pid) {
            Some(instance) => {
                let parent = observer.family.member(*instance).map(|member| member.root);
                assert!(parent.is_none_or(|root| observer.root() == root));
                let code = observer.exits[instance].code;
                let is_right = code == Some(child.code) || code.is_none() && !tells_exit_codes();
                assert!(is_right, "{child:?}: {code:?}");
            }
            None if was_due => panic!("{means:?} missed {child:?}"),
            None if means == Means::Reports => {
                let code = passed.get(&child.pid);
                assert_eq!(code, Some(&Some(child.code)), "{child:?}");
                missed += u32::from(child.lived_long());
            }
            None => missed += u32::from(child.lived_long()),
        }
    }
    println!("{long} lived long, {due} of them through a whole look; {missed} not seen alive");
    // A busy machine may keep us from looking; were it often, this test would say nothing.
    assert!(due * 2 >= long, "{due} of {long} could be seen");
    assert!(long * 6 > u32::try_from(children.len()).unwrap(), "{long}");
}

/// Whether the kernel tells anybody with a pidfd how a process ended (since 6.15).
fn tells_exit_codes() -> bool {
    let release = platform::kernel_release();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// Of this process, in KiB.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * platform::page_size() / 1024
}

#[test]
fn a_storm_of_programs_is_told_by_name() {
    for means in both_means() {
        let gate = Gate::shut();
        let script = "i=0; while [ $i -lt 300 ]; do sleep 2 & i=$((i+1)); done; wait; sleep 60";
        let stranger = gate.run(script);
        let mut observer = Observer::of(&stranger, means);
        gate.open();
        observer.patiently("all are told", |observer| {
            let born = observer.names.values().map(String::as_str);
            let became = observer
                .became
                .iter()
                .map(|target| target.process_name.as_str());
            let named = born.chain(became).filter(|name| *name == "sleep");
            (named.count() >= 300).then_some(())
        });
        observer.kill_family();
    }
}
