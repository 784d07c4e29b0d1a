//! Whose bytes: what sockets moved, added up for the processes that hold them.
//!
//! Pure: it is told who holds which socket, what sockets have moved so far, and which have ended.
//!
//! A socket is known by its cookie, which is never given twice, and found by its inode. What it moves
//! is credited to the process that holds it, once: of several, to the one that was watched first, as
//! long as it holds it. When nobody holds it any more (closed, with bytes still under way) it stays
//! with the last who did; when only strangers do, what follows is theirs.
//!
//! A connection that came and went between two looks was held by nobody as far as was seen. If it was
//! to a port on which a watched process listens it is credited to that process; of several that
//! listen there to the one that was seen last with a connection of that port, else to the one watched
//! last, as it is the children that accept. One that is sighted twice in a stranger's hands is the
//! stranger's; not at once, for the stranger may be a child of whose birth nobody has told us yet.
//! All other ends are nobody's, and added up as such.
//!
//! A process's end may be told before the ends of its connections. It keeps what only it held until
//! those are told, too, or until it is left.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use argus_model::Monotonic;

use super::Traffic;
use super::diag::{Seen, SocketId};

/// A watched process, in the order in which they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Subject(u64);

#[derive(Debug, Default)]
pub(super) struct Ledger {
    given: u64,
    accounts: BTreeMap<Subject, Account>,
    holders: HashMap<u32, Vec<Subject>>,
    connections: HashMap<u64, Connection>,
    listeners: HashMap<u64, Listener>,
    /// By cookie: connections of our ports, or once ours, that others hold.
    strangers: HashMap<u64, Stranger>,
    /// Those that have lost a connection since their sockets were listed.
    bereaved: HashSet<Subject>,
    /// How many known sockets have this inode.
    placed: HashMap<u32, u32>,
    nobodys: Traffic,
}

#[derive(Debug, Default)]
struct Account {
    inodes: HashSet<u32>,
    traffic: Traffic,
}

#[derive(Debug)]
struct Connection {
    id: SocketId,
    inode: u32,
    holder: Subject,
    counted: Traffic,
    end_received: bool,
    /// How often it was seen in other hands since it was last seen in its holder's.
    sightings: u32,
}

/// A connection in other hands.
#[derive(Debug, Default)]
struct Stranger {
    sightings: u32,
    /// What was credited while it was ours.
    counted: Traffic,
}

#[derive(Debug)]
struct Listener {
    port: u16,
    address: [u8; 16],
    inode: u32,
    last_acceptor: Option<Subject>,
    end: End,
}

/// What is known of a listening socket's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Untold,
    Told,
    /// It was noticed then that it had been told.
    Noticed(Monotonic),
}

/// From where a socket that was not known is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// It was there when its process began to be watched.
    Now,
    /// It began while its process was watched.
    ItsBeginning,
}

/// A listening socket's address when it takes connections to any, as one of version 6.
const ANY: [u8; 16] = [0; 16];
const ANY_OF_VERSION_4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];

/// Seen this often in other hands, a connection is theirs.
const SIGHTINGS: u32 = 2;

/// So long after a listening socket's end, its connections' are expected.
const LINGERING: Duration = Duration::from_millis(300);

impl Ledger {
    pub(super) fn watch(&mut self) -> Subject {
        self.given += 1;
        let subject = Subject(self.given);
        self.accounts.insert(subject, Account::default());
        subject
    }

    /// The process has ended. What nobody else holds stays its own until the ends of it are told.
    pub(super) fn departs(&mut self, subject: Subject) {
        let own: Vec<u32> = self
            .listeners
            .values()
            .map(|listener| listener.inode)
            .filter(|inode| self.is_sole_holder(subject, *inode))
            .collect();
        self.holds(subject, &own);
    }

    /// Whether the end of something that only this process held, which has ended, is still to be told.
    pub(super) fn awaits_ends(&self, subject: Subject) -> bool {
        let mut listeners = self.listeners.values();
        let mut connections = self.connections.values();
        listeners.any(|one| self.is_sole_holder(subject, one.inode))
            || connections
                .any(|one| one.holder == subject && !self.holders.contains_key(&one.inode))
    }

    fn is_sole_holder(&self, subject: Subject, inode: u32) -> bool {
        self.holders
            .get(&inode)
            .is_some_and(|holders| **holders == [subject])
    }

    pub(super) fn leave(&mut self, subject: Subject) {
        self.holds(subject, &[]);
        self.accounts.remove(&subject);
        self.bereaved.remove(&subject);
        let others: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, one)| one.holder == subject && !self.holders.contains_key(&one.inode))
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in others {
            self.disown(cookie);
        }
    }

    pub(super) fn traffic(&self, subject: Subject) -> Traffic {
        self.accounts
            .get(&subject)
            .map_or(Traffic::default(), |account| account.traffic)
    }

    /// What ended connections moved that cannot be said to be anybody's.
    pub(super) fn nobodys(&self) -> Traffic {
        self.nobodys
    }

    /// Whether a connection of the process has ended since its sockets were listed, so that others
    /// may have taken the descriptors.
    pub(super) fn has_lost(&self, subject: Subject) -> bool {
        self.bereaved.contains(&subject)
    }

    /// These are the TCP sockets that the process holds now.
    pub(super) fn holds(&mut self, subject: Subject, inodes: &[u32]) {
        self.bereaved.remove(&subject);
        let Some(account) = self.accounts.get_mut(&subject) else {
            return;
        };
        let now: HashSet<u32> = inodes.iter().copied().collect();
        for gone in account.inodes.difference(&now) {
            if let Some(holders) = self.holders.get_mut(gone) {
                holders.retain(|holder| *holder != subject);
                if holders.is_empty() {
                    self.holders.remove(gone);
                }
            }
        }
        for new in now.difference(&account.inodes) {
            let holders = self.holders.entry(*new).or_default();
            holders.push(subject);
            holders.sort_unstable();
        }
        account.inodes = now;
    }

    /// Nothing else lives: what is not among these and held by nobody has ended unheard.
    pub(super) fn forget_all_but(&mut self, living: &HashSet<u64>) {
        self.strangers.retain(|cookie, _| living.contains(cookie));
        let connections = self
            .connections
            .iter()
            .map(|(cookie, one)| (cookie, one.inode));
        let listeners = self
            .listeners
            .iter()
            .map(|(cookie, one)| (cookie, one.inode));
        let ended: Vec<u64> = connections
            .chain(listeners)
            .filter(|(cookie, inode)| !living.contains(cookie) && !self.holders.contains_key(inode))
            .map(|(cookie, _)| *cookie)
            .collect();
        for cookie in ended {
            self.forget(cookie);
        }
    }

    /// The connections whose counts are wanted.
    pub(super) fn connections(&self) -> impl Iterator<Item = &SocketId> {
        self.connections.values().map(|connection| &connection.id)
    }

    /// Whether anything is known of the socket with this inode.
    pub(super) fn knows(&self, inode: u32) -> bool {
        self.placed.contains_key(&inode)
    }

    /// Whether a process holds a socket of which nothing is known yet: only a look at all will tell.
    pub(super) fn has_unknown(&self) -> bool {
        self.holders.keys().any(|inode| !self.knows(*inode))
    }

    /// A socket has moved so much.
    pub(super) fn seen(&mut self, seen: &Seen, since: Since) {
        let cookie = seen.id.cookie();
        if let Some(connection) = self.connections.get(&cookie) {
            if connection.sightings == 0 || !self.is_in_other_hands(seen) {
                self.credit(cookie, seen);
            }
        } else if seen.is_listening {
            self.seen_listening(cookie, seen);
        } else if let Some(holder) = self.first_holder(seen.inode) {
            self.begin(cookie, seen, holder, since);
        }
    }

    /// A socket was looked at again, some time after the last look: may it be a stranger's?
    pub(super) fn sighted(&mut self, seen: &Seen) {
        let cookie = seen.id.cookie();
        if seen.is_listening || !self.is_in_other_hands(seen) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(&cookie) {
            connection.sightings += 1;
            if connection.sightings >= SIGHTINGS {
                self.disown(cookie);
            }
        } else if self.listener(&seen.id).is_some() {
            self.strangers.entry(cookie).or_default().sightings += 1;
        }
    }

    /// Somebody has it open, but nobody of ours.
    fn is_in_other_hands(&self, seen: &Seen) -> bool {
        seen.inode != 0 && self.first_holder(seen.inode).is_none()
    }

    /// Forgets the listening sockets whose ends were told some time ago. Those of connections that came
    /// through them may be told a little later, as each CPU tells of its own.
    pub(super) fn forget_listeners(&mut self, now: Monotonic) {
        let mut over = Vec::new();
        for (cookie, listener) in &mut self.listeners {
            match listener.end {
                End::Untold => {}
                End::Told => listener.end = End::Noticed(now),
                End::Noticed(at) if now.since(at) < LINGERING => {}
                End::Noticed(_) => over.push(*cookie),
            }
        }
        for cookie in over {
            self.forget(cookie);
        }
    }

    /// A socket has ended, having moved so much.
    pub(super) fn ended(&mut self, seen: &Seen) {
        let cookie = seen.id.cookie();
        let stranger = self.strangers.remove(&cookie).unwrap_or_default();
        if self.connections.contains_key(&cookie) {
            self.credit(cookie, seen);
            self.bereaved
                .extend(self.connections.get(&cookie).map(|one| one.holder));
            self.forget(cookie);
        } else if let Some(listener) = self.listeners.get_mut(&cookie) {
            listener.end = End::Told;
        } else if stranger.sightings < SIGHTINGS {
            let account = self.acceptor(&seen.id);
            match account.and_then(|acceptor| self.accounts.get_mut(&acceptor)) {
                Some(account) => account.traffic.add(seen.traffic),
                None => self.nobodys.add(seen.traffic),
            }
        }
    }

    fn begin(&mut self, cookie: u64, seen: &Seen, holder: Subject, since: Since) {
        let moved = seen.payload(false);
        let counted = self.strangers.remove(&cookie).unwrap_or_default().counted;
        if since == Since::ItsBeginning
            && let Some(account) = self.accounts.get_mut(&holder)
        {
            account.traffic.add(moved.since(counted));
        }
        if let Some(listener) = self.listener(&seen.id)
            && let Some(listener) = self.listeners.get_mut(&listener)
        {
            listener.last_acceptor = Some(holder);
        }
        *self.placed.entry(seen.inode).or_default() += 1;
        let connection = Connection {
            id: seen.id,
            inode: seen.inode,
            holder,
            counted: moved.max(counted),
            end_received: seen.end_received,
            sightings: 0,
        };
        self.connections.insert(cookie, connection);
    }

    fn credit(&mut self, cookie: u64, seen: &Seen) {
        let Some(connection) = self.connections.get_mut(&cookie) else {
            return;
        };
        connection.end_received |= seen.end_received;
        let moved = seen.payload(connection.end_received);
        let holder = self.holders.get(&connection.inode);
        if let Some(first) = holder.and_then(|holders| holders.first()) {
            connection.holder = *first;
            connection.sightings = 0;
        }
        if let Some(account) = self.accounts.get_mut(&connection.holder) {
            account.traffic.add(moved.since(connection.counted));
        }
        connection.counted = moved.max(connection.counted);
    }

    fn seen_listening(&mut self, cookie: u64, seen: &Seen) {
        let is_new = !self.listeners.contains_key(&cookie);
        if is_new && self.holders.contains_key(&seen.inode) {
            *self.placed.entry(seen.inode).or_default() += 1;
            let listener = Listener {
                port: seen.id.local_port(),
                address: seen.id.local_address(),
                inode: seen.inode,
                last_acceptor: None,
                end: End::Untold,
            };
            self.listeners.insert(cookie, listener);
        }
    }

    /// From here on it is a stranger's, and its end is too.
    fn disown(&mut self, cookie: u64) {
        let counted = self.connections.get(&cookie).map(|one| one.counted);
        self.forget(cookie);
        let stranger = Stranger {
            sightings: SIGHTINGS,
            counted: counted.unwrap_or_default(),
        };
        self.strangers.insert(cookie, stranger);
    }

    fn forget(&mut self, cookie: u64) {
        let connection = self.connections.remove(&cookie).map(|one| one.inode);
        let listener = || self.listeners.remove(&cookie).map(|one| one.inode);
        if let Some(inode) = connection.or_else(listener)
            && let Some(count) = self.placed.get_mut(&inode)
        {
            *count -= 1;
            if *count == 0 {
                self.placed.remove(&inode);
            }
        }
    }

    fn first_holder(&self, inode: u32) -> Option<Subject> {
        self.holders.get(&inode)?.first().copied()
    }

    /// The cookie of the listening socket that a connection came through, the most precise first: at
    /// its very address, else at any.
    fn listener(&self, connection: &SocketId) -> Option<u64> {
        let address = connection.local_address();
        let rank = |listener: &Listener| {
            let is_exact = listener.address == address;
            let is_any = listener.address == ANY
                || listener.address == ANY_OF_VERSION_4 && address[..12] == ANY_OF_VERSION_4[..12];
            let fits = self.holders.contains_key(&listener.inode)
                && listener.port == connection.local_port()
                && (is_exact || is_any);
            // Several at one place: where a connection was seen before.
            fits.then_some((is_exact, listener.last_acceptor.is_some()))
        };
        let ranked = self.listeners.iter();
        ranked
            .filter_map(|(cookie, listener)| Some((rank(listener)?, *cookie)))
            .max()
            .map(|(_, cookie)| cookie)
    }

    fn acceptor(&self, connection: &SocketId) -> Option<Subject> {
        let listener = self.listeners.get(&self.listener(connection)?)?;
        let holders = self.holders.get(&listener.inode)?;
        listener
            .last_acceptor
            .filter(|acceptor| holders.contains(acceptor))
            .or_else(|| holders.last().copied())
    }
}

#[cfg(test)]
mod tests;
