//! The control group that accounts for a process's memory.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{count, risen};
use crate::cgroup::{Place, group_of, mount_of};

/// Where a group with more processes than fit into this is not looked through.
const MOST_MEMBERS_BYTES: usize = 4096;

/// A group at one moment.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The file that holds the count.
    events: PathBuf,
    kills: u64,
    /// The processes in it; absent where there are too many, or where the memory of other groups is
    /// accounted for here as well.
    members: Option<HashSet<u32>>,
}

impl Group {
    /// The group of this process, if it can be read from here.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let (folder, events) = find(&groups, &mounts, |file| file.exists())?;
        let kills = count(&fs::read_to_string(&events).ok()?)?;
        let is_own = events.parent() == Some(&folder);
        let members = is_own.then(|| members(&folder)).flatten();
        Some(Self {
            events,
            kills,
            members,
        })
    }

    /// What was killed in it since; absent when it is gone.
    pub(super) fn kills_since(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.events).ok()?;
        risen(Some(self.kills), count(&text))
    }

    /// Whether fewer of the other processes that were in it have gone than were killed: then `pid`
    /// was among the victims. (Unless one was, that came after the reading.)
    pub(super) fn has_lost_fewer_than(&self, kills: u64, pid: u32) -> bool {
        let folder = self.events.parent();
        let (Some(before), Some(now)) = (&self.members, folder.and_then(members)) else {
            return false;
        };
        let gone = before.difference(&now).filter(|member| **member != pid);
        (gone.count() as u64) < kills
    }
}

/// The processes in a group. One of another pid namespace is 0 to us.
fn members(folder: &Path) -> Option<HashSet<u32>> {
    let mut text = String::new();
    let file = File::open(folder.join("cgroup.procs")).ok()?;
    let limit = MOST_MEMBERS_BYTES as u64;
    file.take(limit).read_to_string(&mut text).ok()?;
    if text.len() >= MOST_MEMBERS_BYTES {
        return None;
    }
    text.lines().map(|line| line.parse().ok()).collect()
}

/// The folder of the group, and the file that counts for it: of version 1 where memory is accounted
/// for there, else of the nearest group of version 2 that accounts for memory.
fn find(groups: &str, mounts: &str, exists: impl Fn(&Path) -> bool) -> Option<(PathBuf, PathBuf)> {
    if let Some(group) = group_of(groups, "memory") {
        let folder = mount_of(mounts, Some("memory"), group)?.folder;
        let events = folder.join("memory.oom_control");
        return Some((folder, events));
    }
    let Place { root, folder } = mount_of(mounts, None, group_of(groups, "")?)?;
    let within = folder.ancestors().take_while(|it| it.starts_with(&root));
    let events = within
        .map(|folder| folder.join("memory.events.local"))
        .find(|file| exists(file))?;
    Some((folder, events))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
23 1 0:21 / /proc rw - proc proc rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
30 31 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
";

    #[track_caller]
    fn check(membership: &str, mounts: &str, there: &[&str], expected: Option<(&str, &str)>) {
        let exists = |file: &Path| there.iter().any(|it| Path::new(it) == file);
        let expected = expected.map(|(folder, events)| (folder.into(), events.into()));
        assert_eq!(find(membership, mounts, exists), expected);
    }

    #[test]
    fn version_1_counts_in_the_group_itself() {
        check(
            "5:cpu:/x\n4:memory:/jobs/7\n0::/\n",
            MOUNTS,
            &[],
            Some((
                "/sys/fs/cgroup/memory/jobs/7",
                "/sys/fs/cgroup/memory/jobs/7/memory.oom_control",
            )),
        );
    }

    #[test]
    fn version_2_counts_in_the_nearest_group_with_the_controller() {
        let local = "/sys/fs/cgroup/unified/user.slice/memory.events.local";
        check(
            "0::/user.slice/app.scope\n",
            MOUNTS,
            &[local],
            Some(("/sys/fs/cgroup/unified/user.slice/app.scope", local)),
        );
        let root = "/sys/fs/cgroup/unified/memory.events.local";
        check(
            "0::/\n",
            MOUNTS,
            &[root],
            Some(("/sys/fs/cgroup/unified", root)),
        );
        check("0::/a\n", MOUNTS, &[], None);
    }

    #[test]
    fn a_mount_of_a_part_shows_what_is_in_that_part() {
        let mounts = "41 31 0:38 /pods/a /my\\040groups rw - cgroup2 cgroup2 rw\n";
        let local = "/my groups/b/memory.events.local";
        check(
            "0::/pods/a/b\n",
            mounts,
            &[local],
            Some(("/my groups/b", local)),
        );
        check("0::/pods/c\n", mounts, &[local], None);
    }

    #[test]
    fn what_cannot_be_seen_from_here_is_not_guessed() {
        check("4:memory:/../other\n", MOUNTS, &[], None);
        check("0::/gone (deleted)\n", MOUNTS, &[], None);
        check("4:memory:/x\n", "", &[], None);
        check("", MOUNTS, &[], None);
    }
}
