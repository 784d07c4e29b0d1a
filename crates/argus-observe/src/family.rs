//! Who belongs to the watched processes: the tree below them, as it grows and dies.
//!
//! A [`Family`] has roots, the processes that are watched for themselves, and everything born below
//! them since. It looks at nothing itself: it judges the newborns that [`crate::births`] finds and is
//! told of the ends that [`crate::exit`] notices. Members are known by id and start time, so a
//! process that gets the id of a dead member is a stranger.
//!
//! Whose child a newborn is:
//!
//! 1. the child of the process that made it, where that was reported: always right;
//! 2. else the child of the parent it has: right unless the one that made it has ended already;
//! 3. else, of a process that was adopted (by the first process, or by an ancestor of the family,
//!    such as a user's service manager), the child of the member that leads its process group or its
//!    session: right for what shells and service managers start. What changed both and was orphaned
//!    before anybody looked is not recognised as kin.
//!
//! The living members are bounded by a limit given by the caller, the dead that are remembered (for
//! late orphans) by [`MOST_DEAD`]. A member left out because of the limit leaves its descendants out.

use std::collections::{HashMap, VecDeque};

use crate::births::{Interest, Newborn, Occasion, Origin, TICKS_OF_DOUBT};
use crate::process::Instance;

/// How many dead members are remembered.
pub const MOST_DEAD: usize = 4096;

/// The first process of a pid namespace, which adopts orphans.
const FIRST_PROCESS: u32 = 1;

/// What is known of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which process.
    pub instance: Instance,
    /// The member that it is a child of; `None` for a root.
    pub parent: Option<Instance>,
    /// The root of its tree; itself for a root.
    pub root: Instance,
    /// The id of its parent when it joined, a member or not.
    parent_pid: u32,
    /// By how many ticks its start time may be wrong: nobody has read it of one that passed.
    doubt: u64,
    lives: bool,
}

/// Watched processes and their descendants.
#[derive(Debug)]
pub struct Family {
    limit: usize,
    /// The latest member with each id.
    members: HashMap<u32, Member>,
    living: usize,
    /// In the order of their ends; some may have been succeeded by a member with the same id.
    dead: VecDeque<Instance>,
    /// Ancestors of the roots, which may adopt orphans.
    adopters: Vec<Instance>,
    left_out: u64,
}

impl Family {
    /// A family of nobody, with room for this many living members.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            members: HashMap::new(),
            living: 0,
            dead: VecDeque::new(),
            adopters: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds a process that is watched for itself, whatever the limit. `ancestors` are its parent, that
    /// one's parent, and so on ([`crate::process::ancestors`]).
    pub fn add_root(&mut self, root: Instance, ancestors: &[Instance]) {
        for adopter in ancestors {
            if !self.adopters.contains(adopter) {
                self.adopters.push(*adopter);
            }
        }
        self.insert(Member {
            instance: root,
            parent: None,
            root,
            parent_pid: ancestors.first().map_or(0, |parent| parent.pid),
            doubt: 0,
            lives: true,
        });
    }

    /// Takes a newborn in if it is kin and there is room. Wanted are newborns taken in, and members
    /// that became another program.
    pub fn judge(&mut self, newborn: &Newborn) -> Interest {
        let is_member = self.member(newborn.instance).is_some();
        if is_member || newborn.occasion == Occasion::Exec {
            return match newborn.occasion {
                Occasion::Exec if is_member => Interest::Wanted,
                _ => Interest::None,
            };
        }
        self.forget_predecessor(newborn.instance);
        let Some(parent) = self.parent_of(newborn) else {
            return Interest::None;
        };
        if self.living >= self.limit {
            self.left_out += 1;
            return Interest::None;
        }
        self.insert(Member {
            instance: newborn.instance,
            parent: Some(parent.instance),
            root: parent.root,
            parent_pid: newborn.parent.pid,
            doubt: doubt(newborn),
            lives: true,
        });
        if newborn.occasion == Occasion::Passed {
            self.ended(newborn.instance);
        }
        Interest::Wanted
    }

    /// Learns that a member has ended. Strangers are ignored.
    pub fn ended(&mut self, instance: Instance) {
        let member = self.members.get_mut(&instance.pid);
        let Some(member) = member.filter(|member| member.instance == instance && member.lives)
        else {
            return;
        };
        member.lives = false;
        self.living -= 1;
        self.bury(instance);
    }

    /// A member, alive or remembered.
    pub fn member(&self, instance: Instance) -> Option<&Member> {
        let member = self.members.get(&instance.pid)?;
        (member.instance == instance).then_some(member)
    }

    /// The living members, in no order.
    pub fn living(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.lives)
    }

    /// The living members that are children of this one. Looks at every member.
    pub fn children(&self, parent: Instance) -> impl Iterator<Item = &Member> {
        self.living()
            .filter(move |member| member.parent == Some(parent))
    }

    /// How often a newborn was kin and there was no room; it may have been the same one twice.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn insert(&mut self, member: Member) {
        let predecessor = self.members.insert(member.instance.pid, member);
        // Its id was given to another, so it has ended, whether that was told or not.
        if predecessor.is_none_or(|predecessor| !predecessor.lives) {
            self.living += 1;
        }
    }

    fn bury(&mut self, instance: Instance) {
        self.dead.push_back(instance);
        if self.dead.len() > MOST_DEAD
            && let Some(forgotten) = self.dead.pop_front()
            && self.member(forgotten).is_some_and(|member| !member.lives)
        {
            self.members.remove(&forgotten.pid);
        }
    }

    /// Forgets a member whose id was given to this newborn, so that its children are not ours.
    fn forget_predecessor(&mut self, newborn: Instance) {
        let member = self.members.get(&newborn.pid);
        if let Some(member) = member.filter(|member| member.instance < newborn) {
            let predecessor = member.instance;
            self.ended(predecessor);
            self.members.remove(&predecessor.pid);
        }
    }

    fn parent_of(&self, newborn: &Newborn) -> Option<Member> {
        let member = self.members.get(&newborn.parent.pid);
        let is_it = |member: &&Member| match newborn.parent.start_ticks {
            Some(start_ticks) => member.instance.start_ticks.abs_diff(start_ticks) <= member.doubt,
            // Its parent has ended, so that only the id is left of it.
            None => {
                let latest = newborn.instance.start_ticks + member.doubt + doubt(newborn);
                member.instance.start_ticks <= latest
            }
        };
        match member.filter(is_it) {
            Some(parent) => Some(*parent),
            None if newborn.parent.origin == Origin::Look => self.parent_of_orphan(newborn),
            None => None,
        }
    }

    fn parent_of_orphan(&self, newborn: &Newborn) -> Option<Member> {
        let adopter = newborn.parent.pid;
        let is_adopted = adopter == FIRST_PROCESS
            || self.adopters.iter().any(|ancestor| {
                ancestor.pid == adopter && Some(ancestor.start_ticks) == newborn.parent.start_ticks
            });
        if !is_adopted {
            return None;
        }
        for leader in [newborn.group, newborn.session] {
            if leader == newborn.instance.pid {
                continue;
            }
            // A shell puts processes that it makes itself into one group, too: such siblings of the
            // leader are not its children.
            let leader = self.members.get(&leader).filter(|leader| {
                leader.instance.start_ticks <= newborn.instance.start_ticks
                    && (leader.parent_pid != adopter || adopter == FIRST_PROCESS)
            });
            if let Some(leader) = leader {
                return Some(*leader);
            }
        }
        None
    }
}

fn doubt(newborn: &Newborn) -> u64 {
    match newborn.occasion {
        Occasion::Passed => TICKS_OF_DOUBT,
        Occasion::Birth | Occasion::Exec => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::births::Parent;

    const INIT: Instance = instance(1, 1);
    const MANAGER: Instance = instance(50, 5);
    const SHELL: Instance = instance(90, 90);
    const ROOT: Instance = instance(100, 1000);

    const fn instance(pid: u32, start_ticks: u64) -> Instance {
        Instance { pid, start_ticks }
    }

    fn family(limit: usize) -> Family {
        let mut family = Family::new(limit);
        family.add_root(ROOT, &[SHELL, MANAGER, INIT]);
        family
    }

    /// Alone in a group and session of its own.
    fn newborn(instance: Instance, parent: Instance) -> Newborn {
        Newborn {
            instance,
            name: "x".into(),
            parent: Parent {
                pid: parent.pid,
                start_ticks: Some(parent.start_ticks),
                origin: Origin::Look,
            },
            group: instance.pid,
            session: instance.pid,
            occasion: Occasion::Birth,
        }
    }

    fn is_born(family: &mut Family, child: Instance, parent: Instance) -> bool {
        family.judge(&newborn(child, parent)) == Interest::Wanted
    }

    #[test]
    fn children_and_grandchildren_join_and_strangers_do_not() {
        let mut family = family(10);
        let (child, grandchild) = (instance(101, 1001), instance(102, 1001));
        assert!(!is_born(&mut family, instance(103, 1001), SHELL));
        assert!(is_born(&mut family, child, ROOT));
        assert!(is_born(&mut family, grandchild, child));
        assert!(!is_born(&mut family, grandchild, child), "known already");
        let member = family.member(grandchild).unwrap();
        assert_eq!((member.parent, member.root), (Some(child), ROOT));
        assert_eq!(family.children(ROOT).count(), 1);
        family.ended(child);
        assert_eq!(family.children(ROOT).count(), 0);
        assert_eq!(family.living().count(), 2);
    }

    #[test]
    fn whoever_gets_the_id_of_a_dead_member_is_a_stranger() {
        let mut family = family(10);
        let (child, other) = (instance(101, 1001), instance(101, 5000));
        assert!(is_born(&mut family, child, ROOT));
        family.ended(child);
        assert!(!is_born(&mut family, other, SHELL));
        assert!(!is_born(&mut family, instance(102, 5001), other));
        assert!(family.member(other).is_none());
        family.ended(other);
        assert!(
            is_born(&mut family, other, ROOT),
            "another child, this time"
        );
        assert_eq!(family.living().count(), 2);
    }

    #[test]
    fn the_child_of_a_reported_maker_joins_when_its_maker_is_gone() {
        let mut family = family(10);
        let report = |instance, maker: u32, occasion| {
            let mut newborn = newborn(instance, instance);
            newborn.parent = Parent {
                pid: maker,
                start_ticks: None,
                origin: Origin::Report,
            };
            newborn.occasion = occasion;
            newborn
        };
        let (brief, child) = (instance(101, 1001), instance(102, 1001));
        let passed = report(brief, ROOT.pid, Occasion::Passed);
        assert_eq!(family.judge(&passed), Interest::Wanted);
        assert_eq!(family.living().count(), 1);
        let born = report(child, brief.pid, Occasion::Birth);
        assert_eq!(family.judge(&born), Interest::Wanted);
        assert_eq!(family.member(child).unwrap().parent, Some(brief));
        let before = report(instance(103, 900), ROOT.pid, Occasion::Birth);
        assert_eq!(family.judge(&before), Interest::None, "older than the root");
    }

    #[test]
    fn an_orphan_is_kin_by_its_process_group_or_session() {
        let mut family = family(10);
        let mut orphan = |pid: u32, adopter: Instance, group: u32, session: u32| {
            let mut newborn = newborn(instance(pid, 2000), adopter);
            (newborn.group, newborn.session) = (group, session);
            family.judge(&newborn) == Interest::Wanted
        };
        assert!(orphan(201, INIT, ROOT.pid, 90));
        assert!(orphan(202, MANAGER, ROOT.pid, 90));
        assert!(orphan(203, INIT, 203, ROOT.pid));
        assert!(
            !orphan(204, SHELL, ROOT.pid, 90),
            "the root's neighbour in a pipe"
        );
        assert!(
            !orphan(205, instance(70, 70), ROOT.pid, 90),
            "not an adopter"
        );
        assert!(!orphan(206, INIT, 90, 90), "of the shell's group");
    }

    #[test]
    fn an_exec_is_told_of_members_only() {
        let mut family = family(10);
        let mut newborn = newborn(ROOT, SHELL);
        newborn.occasion = Occasion::Exec;
        assert_eq!(family.judge(&newborn), Interest::Wanted);
        newborn.instance = instance(101, 1001);
        assert_eq!(family.judge(&newborn), Interest::None);
    }

    #[test]
    fn beyond_the_limit_kin_is_counted_and_left_out() {
        let mut family = family(2);
        assert!(is_born(&mut family, instance(101, 1001), ROOT));
        assert!(!is_born(&mut family, instance(102, 1002), ROOT));
        assert_eq!(family.left_out(), 1);
        family.ended(instance(101, 1001));
        assert!(is_born(&mut family, instance(103, 1003), ROOT));
    }

    #[test]
    fn a_maker_that_nobody_saw_has_children_although_its_start_is_not_known_to_the_tick() {
        for (start, is_its) in [(1001, true), (1003, true), (1004, false)] {
            let mut family = family(10);
            let (maker, child) = (instance(101, start), instance(102, 1001));
            let mut passed = newborn(maker, ROOT);
            passed.occasion = Occasion::Passed;
            assert_eq!(family.judge(&passed), Interest::Wanted);
            let mut orphan = newborn(child, maker);
            orphan.parent.start_ticks = None;
            let is_kin = family.judge(&orphan) == Interest::Wanted;
            assert_eq!(is_kin, is_its, "made at {start}");
        }
    }

    #[test]
    fn a_hundred_thousand_children_leave_a_bounded_memory() {
        let mut family = family(10);
        for number in 0..100_000 {
            let child = instance(200 + number % 30_000, 2000 + u64::from(number));
            assert!(is_born(&mut family, child, ROOT));
            family.ended(child);
        }
        assert_eq!(family.living().count(), 1);
        assert!(family.members.len() <= MOST_DEAD + 1);
        assert!(family.dead.len() <= MOST_DEAD);
    }

    /// Births and ends, each of someone, below someone.
    fn steps() -> impl Strategy<Value = Vec<(bool, Instance, Instance)>> {
        let someone =
            || (0_u32..6, 0_u64..3).prop_map(|(pid, start)| instance(200 + pid, 2000 + start));
        let parent = prop_oneof![Just(ROOT), someone()];
        proptest::collection::vec((any::<bool>(), someone(), parent), 0..200)
    }

    proptest! {
        /// Whatever happens in whatever order, the counts agree with the members.
        #[test]
        fn the_living_are_counted_right(steps in steps()) {
            let mut family = family(4);
            for (is_birth, who, parent) in steps {
                if is_birth {
                    is_born(&mut family, who, parent);
                } else {
                    family.ended(who);
                }
                prop_assert_eq!(family.living, family.living().count());
                prop_assert!(family.living <= 4);
                prop_assert!(family.member(ROOT).is_some());
            }
        }
    }
}
