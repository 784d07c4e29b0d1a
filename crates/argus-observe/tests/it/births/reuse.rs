//! Ids given again, by the hand of the superuser of a pid namespace.

use std::process::Command;

use argus_observe::births::Means;
use argus_observe::process::Instance;

use super::gate::Gate;
use super::observer::Observer;

/// Run in a pid namespace of its own.
pub(super) fn a_stranger_with_the_id_of_a_dead_child_is_no_child() {
    let gate = Gate::shut();
    let again = gate.path();
    let script = format!(
        "sleep 71 & wait; read line < {}; sleep 73 & wait",
        again.display()
    );
    let parent = gate.run(&script);
    let mut observer = Observer::of(&parent, Means::Looks);
    gate.open();
    let child = observer.until("the child is told", |observer| {
        observer.born_with_command("sleep 71")
    });
    observer.kill_family();
    observer.until("its end is told", |observer| {
        observer.exits.get(&child).copied()
    });

    give_next(&mut observer, child.pid);
    let mut stranger = Command::new("sleep").arg("72").spawn().unwrap();
    assert_eq!(stranger.id(), child.pid, "the id was given again");
    let told = observer.names.len();
    for _ in 0..5 {
        observer.turn();
    }
    assert_eq!(observer.names.len(), told);
    assert!(
        observer
            .family
            .living()
            .all(|member| member.instance.pid != child.pid)
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    give_next(&mut observer, child.pid);
    gate.open();
    let second = observer.until("the second child is told", |observer| {
        observer.born_with_command("sleep 73")
    });
    assert_eq!(second.pid, child.pid, "the id was given once more");
    assert!(second > child, "{second:?} after {child:?}");
    let parent_of = |who: Instance| observer.family.member(who).unwrap().parent;
    assert_eq!(parent_of(second), Some(observer.root()));
    observer.kill_family();
}

/// Has the observer see that ids begin again below this one.
fn give_next(observer: &mut Observer, pid: u32) {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    observer.turn();
}
