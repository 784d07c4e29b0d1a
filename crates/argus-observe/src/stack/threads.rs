//! What `/proc` says of a process's threads: which there are, and whether they are at work.

use std::collections::HashMap;
use std::fs;

use super::{Activity, States};
use crate::stat;

/// A thread as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) activity: Activity,
    /// The kernel's name for it.
    pub(super) name: String,
    /// Its id as the program itself knows it: another one in a container.
    pub(super) inner: u32,
}

/// Looks at the threads of one process.
#[derive(Debug)]
pub(super) struct Threads {
    pid: u32,
    naming: Naming,
}

/// Whether the program knows its threads by the ids that we know them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Ours,
    Inner,
}

impl Threads {
    pub(super) fn of(pid: u32) -> Self {
        let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
        let naming = match inner_id(&status) {
            Some(inner) if inner != pid => Naming::Inner,
            _ => Naming::Ours,
        };
        Self { pid, naming }
    }

    /// The threads that live now. Costs three system calls each, and three more in a container.
    pub(super) fn look(&self) -> States {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return HashMap::new();
        };
        let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
        ids.filter_map(|tid| Some((tid, self.look_at(tid)?)))
            .collect()
    }

    fn look_at(&self, tid: u32) -> Option<State> {
        let folder = format!("/proc/{}/task/{tid}", self.pid);
        let stat = stat::parse(&fs::read(format!("{folder}/stat")).ok()?)?;
        let inner = match self.naming {
            Naming::Ours => tid,
            Naming::Inner => inner_id(&fs::read(format!("{folder}/status")).ok()?)?,
        };
        Some(State {
            activity: if stat.state == b'R' {
                Activity::Active
            } else {
                Activity::Idle
            },
            name: stat.name,
            inner,
        })
    }
}

/// The id in the innermost namespace, from `/proc/PID/status`.
fn inner_id(status: &[u8]) -> Option<u32> {
    let status = String::from_utf8_lossy(status);
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_that_a_container_knows_is_the_last() {
        let status = b"Name:\tpython3\nTgid:\t812\nNSpid:\t812\t31\t7\nThreads:\t1\n";
        assert_eq!(inner_id(status), Some(7));
        assert_eq!(inner_id(b"Name:\tx\nNSpid:\t812\n"), Some(812));
        assert_eq!(inner_id(b"Name:\tx\n"), None);
    }

    #[test]
    fn this_thread_is_at_work() {
        let me = fs::read_link("/proc/thread-self").unwrap();
        let tid: u32 = me.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let states = Threads::of(std::process::id()).look();
        assert_eq!(states[&tid].activity, Activity::Active);
    }
}
