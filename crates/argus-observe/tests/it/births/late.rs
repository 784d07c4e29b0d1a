//! Makers that are gone before anybody looks: what they have made is kin all the same.
//!
//! Of reports only. Who looks at a machine without them cannot know who made an orphan.

use std::path::Path;

use argus_observe::births::{Means, News, Occasion};
use argus_observe::family::Family;
use argus_observe::platform;
use argus_observe::process::{Instance, ancestors, find_by_pid};
use rustix::process::{Signal, kill_process};

use super::gate::Gate;
use super::observer::{self, Observer, both_means};
use crate::stranger::eventually;

#[test]
fn the_children_of_makers_that_nobody_has_seen_are_told_with_their_parents() {
    if both_means()[0] != Means::Reports {
        return;
    }
    let gate = Gate::shut();
    let makers = "i=0; while [ $i -lt 40 ]; do (sleep 68 & exit 0); i=$((i+1)); done";
    let stranger = gate.run(&format!("{makers}; sleep 69 & wait"));
    let mut observer = Observer::of(&stranger, Means::Reports);
    gate.open();
    // Nobody looks meanwhile.
    eventually("the last one is there", || {
        child_with_command(stranger.pid, "sleep 69")
    });
    observer.until("the last one is told", |observer| {
        observer.born_with_command("sleep 69")
    });
    let passed: Vec<_> = observer.passed.iter().map(|brief| brief.instance).collect();
    let has_passed = |parent: &Instance| passed.contains(parent);
    let orphans = observer.family.living();
    let orphans = orphans.filter(|it| it.parent.as_ref().is_some_and(has_passed));
    let orphans = orphans.count();
    observer.kill_family();
    assert_eq!((orphans, passed.len()), (40, 40));
}

#[test]
fn a_maker_that_goes_during_a_look_is_kin_before_its_child_is_judged() {
    if both_means()[0] != Means::Reports {
        return;
    }
    let gate = Gate::shut();
    let stranger = gate.run("sleep 70 & sh -c \"sleep 71 & wait\" & wait");
    let mut births = observer::open(Means::Reports);
    let mut family = Family::new(10);
    family.add_root(stranger.target().instance(), &ancestors(stranger.pid));
    gate.open();
    let (brother, maker, child) = eventually("all three are there", || {
        let brother = child_with_command(stranger.pid, "sleep 70")?;
        let maker = child_with_command(stranger.pid, "sh -c sleep 71 & wait")?;
        Some((brother, maker, child_with_command(maker, "sleep 71")?))
    });
    let brief = eventually("the maker is told", || {
        let now = platform::monotonic_now();
        let news = births.look(now, |newborn| {
            if newborn.instance.pid == brother && newborn.occasion == Occasion::Birth {
                kill(maker);
                let is_gone = || !Path::new(&format!("/proc/{maker}")).exists();
                eventually("it is collected", || is_gone().then_some(()));
            }
            family.judge(newborn)
        });
        news.unwrap().into_iter().find_map(|news| match news {
            News::Passed(brief) if brief.instance.pid == maker => Some(brief),
            _ => None,
        })
    });
    let orphan = family
        .member(find_by_pid(child).unwrap().instance())
        .copied();
    kill(child);
    kill(brother);
    assert_eq!(brief.code, Some(-Signal::KILL.as_raw()));
    assert_eq!(orphan.unwrap().parent, Some(brief.instance));
}

fn kill(pid: u32) {
    kill_process(platform::raw_pid(pid).unwrap(), Signal::KILL).unwrap();
}

/// The child of a process, found without any of our means, that was called so.
fn child_with_command(parent: u32, command: &str) -> Option<u32> {
    let children = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(children).ok()?;
    let mut children = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    children.find(|pid| find_by_pid(*pid).is_ok_and(|it| it.command_line == command))
}
