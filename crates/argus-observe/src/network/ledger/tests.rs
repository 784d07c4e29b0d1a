//! Whose bytes, of sockets that are made up.

use proptest::prelude::*;

use super::super::diag::tests::socket;
use super::*;

fn moved(socket: Seen, received: u64, sent: u64) -> Seen {
    let traffic = Traffic { received, sent };
    Seen { traffic, ..socket }
}

fn listening(socket: Seen) -> Seen {
    Seen {
        is_listening: true,
        ..socket
    }
}

fn traffic(received: u64, sent: u64) -> Traffic {
    Traffic { received, sent }
}

/// As a look does that comes some time after the last one.
fn look(ledger: &mut Ledger, seen: &Seen) {
    ledger.seen(seen, Since::ItsBeginning);
    ledger.sighted(seen);
}

#[test]
fn what_moved_before_is_not_counted() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1]);
    let old = socket(11, 80, 1);
    ledger.seen(&moved(old, 100, 200), Since::Now);
    assert_eq!(ledger.traffic(subject), Traffic::default());
    ledger.seen(&moved(old, 103, 205), Since::ItsBeginning);
    assert_eq!(ledger.traffic(subject), traffic(3, 5));
    ledger.holds(subject, &[1, 2]);
    assert!(ledger.has_unknown());
    ledger.seen(&moved(socket(12, 81, 2), 10, 20), Since::ItsBeginning);
    assert!(!ledger.has_unknown());
    assert_eq!(ledger.traffic(subject), traffic(13, 25));
}

#[test]
fn the_end_of_a_connection_counts_once_and_the_rest_with_it() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1]);
    let connection = socket(11, 80, 1);
    ledger.seen(&moved(connection, 5, 5), Since::ItsBeginning);
    ledger.holds(subject, &[]);
    let orphan = Seen {
        inode: 0,
        ..connection
    };
    ledger.seen(&moved(orphan, 5, 7), Since::ItsBeginning);
    ledger.ended(&moved(orphan, 6, 9));
    assert_eq!(ledger.traffic(subject), traffic(6, 9));
    assert_eq!(ledger.connections().count(), 0);
    assert!(ledger.placed.is_empty() && ledger.holders.is_empty());
}

#[test]
fn a_shared_socket_is_counted_once_and_passed_on() {
    let mut ledger = Ledger::default();
    let (parent, child) = (ledger.watch(), ledger.watch());
    let connection = socket(11, 80, 1);
    ledger.holds(parent, &[1]);
    ledger.holds(child, &[1]);
    ledger.seen(&moved(connection, 10, 0), Since::ItsBeginning);
    ledger.holds(parent, &[]);
    ledger.seen(&moved(connection, 14, 0), Since::ItsBeginning);
    ledger.leave(parent);
    ledger.ended(&moved(connection, 15, 0));
    assert_eq!(ledger.traffic(child), traffic(5, 0));
}

#[test]
fn what_came_and_went_is_of_who_listens() {
    let mut ledger = Ledger::default();
    let server = ledger.watch();
    ledger.holds(server, &[1]);
    ledger.seen(&listening(socket(10, 80, 1)), Since::ItsBeginning);
    ledger.ended(&moved(socket(11, 80, 0), 3, 4));
    ledger.ended(&moved(socket(12, 5_000, 0), 30, 40));
    assert_eq!(ledger.traffic(server), traffic(3, 4));
    assert_eq!(ledger.nobodys(), traffic(30, 40));
}

#[test]
fn of_several_that_listen_the_one_that_accepts_is_meant() {
    let mut ledger = Ledger::default();
    let (master, one, other) = (ledger.watch(), ledger.watch(), ledger.watch());
    for subject in [master, one, other] {
        ledger.holds(subject, &[1]);
    }
    ledger.seen(&listening(socket(10, 80, 1)), Since::ItsBeginning);
    ledger.ended(&moved(socket(11, 80, 0), 1, 0));
    assert_eq!(ledger.traffic(other), traffic(1, 0));
    ledger.holds(one, &[1, 2]);
    ledger.seen(&moved(socket(12, 80, 2), 0, 0), Since::ItsBeginning);
    ledger.ended(&moved(socket(13, 80, 0), 2, 0));
    assert_eq!(ledger.traffic(one), traffic(2, 0));
    assert_eq!(ledger.traffic(master), Traffic::default());
}

#[test]
fn what_a_stranger_accepted_is_the_strangers() {
    let mut ledger = Ledger::default();
    let server = ledger.watch();
    ledger.holds(server, &[1]);
    ledger.seen(&listening(socket(10, 80, 1)), Since::ItsBeginning);
    let foreign = socket(11, 80, 99);
    look(&mut ledger, &moved(foreign, 1, 1));
    look(&mut ledger, &moved(foreign, 2, 2));
    ledger.ended(&moved(foreign, 3, 3));
    assert_eq!(ledger.traffic(server), Traffic::default());
    assert_eq!(ledger.nobodys(), Traffic::default());
    assert!(ledger.strangers.is_empty());
    // Seen once, before the process's descriptors were listed: it is the process's own.
    let own = socket(12, 80, 2);
    look(&mut ledger, &moved(own, 4, 0));
    ledger.holds(server, &[1, 2]);
    look(&mut ledger, &moved(own, 5, 0));
    assert_eq!(ledger.traffic(server), traffic(5, 0));
}

#[test]
fn what_was_passed_on_to_a_stranger_is_the_strangers() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1]);
    let connection = socket(11, 80, 1);
    look(&mut ledger, &moved(connection, 5, 0));
    ledger.holds(subject, &[]);
    look(&mut ledger, &moved(connection, 7, 0));
    assert_eq!(ledger.traffic(subject), traffic(7, 0));
    look(&mut ledger, &moved(connection, 90, 0));
    ledger.ended(&moved(connection, 100, 0));
    assert_eq!(ledger.traffic(subject), traffic(7, 0));
    assert_eq!(ledger.nobodys(), Traffic::default());
}

#[test]
fn the_end_of_what_a_process_held_that_is_not_watched_any_more_is_not_nobodys() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1]);
    ledger.seen(&moved(socket(11, 80, 1), 5, 0), Since::ItsBeginning);
    ledger.leave(subject);
    ledger.ended(&moved(socket(11, 80, 0), 6, 0));
    assert_eq!(ledger.nobodys(), Traffic::default());
    assert!(ledger.strangers.is_empty() && ledger.placed.is_empty());
}

#[test]
fn ends_that_are_told_after_their_processs_are_its_own() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1, 2]);
    ledger.seen(&listening(socket(10, 80, 1)), Since::ItsBeginning);
    ledger.seen(&moved(socket(11, 80, 2), 5, 6), Since::ItsBeginning);
    ledger.departs(subject);
    assert!(ledger.awaits_ends(subject));
    ledger.ended(&moved(socket(10, 80, 0), 0, 0));
    ledger.ended(&moved(socket(11, 80, 0), 50, 60));
    // It came, went and was told after the socket that it came through.
    ledger.ended(&moved(socket(12, 80, 0), 3, 4));
    assert_eq!(ledger.traffic(subject), traffic(53, 64));
    let now = Monotonic::default().plus(Duration::from_secs(1));
    ledger.forget_listeners(now);
    ledger.forget_listeners(now.plus(LINGERING / 2));
    assert!(ledger.awaits_ends(subject));
    ledger.forget_listeners(now.plus(LINGERING));
    assert!(!ledger.awaits_ends(subject));
    ledger.leave(subject);
    assert_eq!(ledger.nobodys(), Traffic::default());
    assert!(ledger.placed.is_empty() && ledger.holders.is_empty());
}

#[test]
fn what_a_process_that_has_ended_shared_is_no_reason_to_wait() {
    let mut ledger = Ledger::default();
    let (parent, child) = (ledger.watch(), ledger.watch());
    ledger.holds(parent, &[1, 2]);
    ledger.holds(child, &[1, 2]);
    ledger.seen(&listening(socket(10, 80, 1)), Since::ItsBeginning);
    ledger.seen(&moved(socket(11, 80, 2), 5, 6), Since::ItsBeginning);
    ledger.departs(parent);
    assert!(!ledger.awaits_ends(parent));
    ledger.leave(parent);
    ledger.seen(&moved(socket(11, 80, 2), 7, 6), Since::ItsBeginning);
    assert_eq!(ledger.traffic(child), traffic(2, 0));
}

/// A server accepts, forks, and closes its own descriptor before the child's birth is told.
#[test]
fn what_is_passed_on_to_a_child_that_is_not_known_yet_is_counted_once() {
    let mut ledger = Ledger::default();
    let server = ledger.watch();
    ledger.holds(server, &[1, 2, 3]);
    ledger.seen(&listening(socket(10, 80, 1)), Since::ItsBeginning);
    let (long, brief) = (socket(11, 80, 2), socket(12, 80, 3));
    for (connection, bytes) in [(long, 5), (brief, 6)] {
        look(&mut ledger, &moved(connection, bytes, 0));
    }
    ledger.holds(server, &[1]);
    // However often one looks at once.
    for bytes in [10, 20, 30] {
        ledger.seen(&moved(long, bytes, 0), Since::ItsBeginning);
        ledger.seen(&moved(brief, bytes, 0), Since::ItsBeginning);
    }
    ledger.sighted(&moved(long, 30, 0));
    ledger.seen(&moved(long, 31, 0), Since::ItsBeginning);
    let child = ledger.watch();
    ledger.holds(child, &[2]);
    ledger.seen(&moved(long, 40, 0), Since::ItsBeginning);
    // Nobody was told of the other child in time.
    ledger.ended(&moved(brief, 35, 0));
    ledger.departs(child);
    ledger.ended(&moved(long, 45, 0));
    assert_eq!(ledger.traffic(server), traffic(30 + 35, 0));
    assert_eq!(ledger.traffic(child), traffic(15, 0));
}

#[test]
fn what_comes_back_from_a_stranger_is_not_counted_again() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1]);
    let connection = socket(11, 80, 1);
    look(&mut ledger, &moved(connection, 5, 0));
    ledger.holds(subject, &[]);
    look(&mut ledger, &moved(connection, 5, 0));
    look(&mut ledger, &moved(connection, 5, 0));
    ledger.holds(subject, &[1]);
    look(&mut ledger, &moved(connection, 8, 0));
    assert_eq!(ledger.traffic(subject), traffic(8, 0));
}

/// What may happen to one of four sockets.
#[derive(Debug, Clone)]
enum Step {
    Move(u32, u64),
    Hold(usize, Vec<u32>),
    Look,
    End(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 1_u32..=4;
    prop_oneof![
        (which.clone(), 1_u64..1000).prop_map(|(which, bytes)| Step::Move(which, bytes)),
        (0_usize..3, proptest::collection::vec(which.clone(), 0..4))
            .prop_map(|(who, inodes)| Step::Hold(who, inodes)),
        Just(Step::Look),
        which.prop_map(Step::End),
    ]
}

proptest! {
    #[test]
    fn every_byte_is_counted_once_whoever_holds_what(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut ledger = Ledger::default();
        let subjects = [ledger.watch(), ledger.watch(), ledger.watch()];
        let mut living: HashMap<u32, u64> = (1..=4).map(|which| (which, 0)).collect();
        let mut all = 0;
        // Nobody else exists: what no process holds is closed, and has no inode any more.
        let mut held = [const { Vec::new() }; 3];
        let ends = (1..=4).map(Step::End);
        for step in steps.into_iter().chain(ends) {
            match step {
                Step::Move(which, bytes) => {
                    if let Some(moved) = living.get_mut(&which) {
                        *moved += bytes;
                        all += bytes;
                    }
                }
                Step::Hold(who, inodes) => {
                    ledger.holds(subjects[who], &inodes);
                    held[who] = inodes;
                }
                Step::Look => {
                    for (which, bytes) in &living {
                        let is_held = held.iter().any(|inodes| inodes.contains(which));
                        let inode = if is_held { *which } else { 0 };
                        let seen = moved(socket(*which, 80, inode), *bytes, 0);
                        ledger.seen(&seen, Since::ItsBeginning);
                    }
                }
                Step::End(which) => {
                    if let Some(bytes) = living.remove(&which) {
                        ledger.ended(&moved(socket(which, 80, 0), bytes, 0));
                    }
                }
            }
        }
        let counted = subjects.map(|subject| ledger.traffic(subject).received);
        let counted = counted.iter().sum::<u64>() + ledger.nobodys().received;
        prop_assert_eq!(counted, all);
        prop_assert!(ledger.connections.is_empty() && ledger.placed.is_empty());
    }
}

#[test]
fn the_other_sides_end_mark_is_no_byte() {
    let mut ledger = Ledger::default();
    let subject = ledger.watch();
    ledger.holds(subject, &[1]);
    let connection = socket(11, 80, 1);
    ledger.seen(&moved(connection, 10, 0), Since::ItsBeginning);
    let closing = Seen {
        end_received: true,
        ..moved(connection, 13, 0)
    };
    ledger.seen(&closing, Since::ItsBeginning);
    assert_eq!(ledger.traffic(subject), traffic(12, 0));
    ledger.ended(&moved(connection, 13, 0));
    assert_eq!(ledger.traffic(subject), traffic(12, 0));
}
