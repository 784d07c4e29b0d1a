//! Where a path leads, and the names under which its file may be found when it was moved away.
//!
//! Rotation renames: `app.log` becomes `app.log.1`, which becomes `app.log.2`. inotify tells every rename
//! with both names, so that the names that files of a path take are learnt, and in which order they left
//! it; a file that was made, filled and moved on between two looks is found where it is now. What was
//! *made* under such a name is a copy, and no stranger. Files that stood there before anybody looked are
//! known, and not read, unless something else is copied into them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::ReadFlags;

use super::TailWarning;
use super::followed::open_regular;
use super::identity::{Head, Identity, Look};

/// Names learnt that are kept at most, and files known.
const MOST_ARRIVALS: usize = 256;
const MOST_KNOWN: usize = 4096;

/// A folder, and a file's name in it.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    name: OsString,
    /// The name of the path itself, where that is a link: what it led to before is called after it.
    link: OsString,
    /// The names that files of this name were given, and that copies were made under, and bear now as
    /// far as was heard.
    arrivals: BTreeMap<OsString, Arrival>,
    /// Renames of one of them of which one half was heard.
    moves: Vec<(u32, Arrival)>,
    arrived: u64,
    /// Files that came to the name, as far as was heard, and files that were taken up there.
    made: u64,
    met: u64,
    seen_empty: HashSet<Identity>,
    /// Files that were there before, with how they began then, or were read.
    known: HashMap<Identity, Head>,
}

/// How a file came by its name first, and its number in the order in which they did.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    how: How,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It left the place.
    Moved,
    /// It was made there.
    Made,
}

/// A file in the folder that bears a related name.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) look: Look,
    /// Its number in the order in which files left the place and copies were made, where that was heard.
    pub(super) number: Option<u64>,
}

/// What stood in the folder when a place was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It was there before anybody looked.
    Known,
    /// It came since.
    New,
}

impl Place {
    /// Where `path` leads, links followed as far as they lead anywhere.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let whole = match std::fs::canonicalize(path) {
            Ok(whole) => whole,
            Err(_) => {
                let folder = std::fs::canonicalize(folder_of(path))?;
                folder.join(path.file_name().unwrap_or_default())
            }
        };
        Ok(Self {
            folder: folder_of(&whole).to_owned(),
            name: whole.file_name().unwrap_or_default().to_owned(),
            link: path.file_name().unwrap_or_default().to_owned(),
            arrivals: BTreeMap::new(),
            moves: Vec::new(),
            arrived: 0,
            made: 0,
            met: 0,
            seen_empty: HashSet::new(),
            known: HashMap::new(),
        })
    }

    /// Knows what stands in the folder by now.
    pub(super) fn know_all(&mut self) {
        // What holds nothing yet is being made, perhaps.
        for (_, file, look) in self.opened(|it| it.look.size > 0) {
            let head = Head::of(&file).unwrap_or_default();
            self.known.insert(look.identity, head);
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a file that was rotated away from here may be there.
    pub(super) fn rotates_to(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default();
        let folder = std::fs::canonicalize(folder_of(path));
        folder.is_ok_and(|folder| folder == self.folder)
            && is_rotated(name.as_bytes(), self.name.as_bytes())
    }

    /// The same path leads here now that led there before.
    pub(super) fn go_on_counting(&mut self, before: &Self) {
        (self.made, self.met) = (before.made, before.met);
    }

    /// Whether it is the same folder and name.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        (&self.folder, &self.name) == (&other.folder, &other.name)
    }

    /// Takes in what inotify has told of `name` in the folder; whether it concerns this place.
    pub(super) fn hear(&mut self, name: &OsStr, what: ReadFlags, cookie: u32) -> bool {
        const MOST_MOVES: usize = 64;
        let is_own = name == self.name;
        if what.contains(ReadFlags::MOVED_TO) {
            let moved = self.moves.iter().position(|(heard, _)| *heard == cookie);
            if let Some(index) = moved {
                let (_, arrival) = self.moves.swap_remove(index);
                self.made += u64::from(is_own);
                self.arrive(name, arrival);
                return arrival.how == How::Moved || is_own;
            }
        }
        // A link that is turned leads to another file.
        let is_met_here = is_own || name == self.link;
        if is_met_here && what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            self.made += 1;
        }
        // Whatever happens to the name otherwise, what bears it now is no file of ours.
        let arrived = self.arrivals.remove(name);
        let comes = is_own
            .then_some(How::Moved)
            .filter(|_| what.contains(ReadFlags::MOVED_FROM));
        let is_copy = !is_own && is_rotated(name.as_bytes(), self.name.as_bytes());
        let is_made = is_copy && what.contains(ReadFlags::CREATE);
        let first = comes.or(is_made.then_some(How::Made)).map(|how| {
            self.arrived += 1;
            let number = self.arrived;
            Arrival { how, number }
        });
        if is_made && let Some(copy) = first {
            self.arrive(name, copy);
        }
        let moved = arrived
            .or(first)
            .filter(|_| what.contains(ReadFlags::MOVED_FROM));
        if let Some(moved) = moved {
            if self.moves.len() == MOST_MOVES {
                self.moves.remove(0);
            }
            self.moves.push((cookie, moved));
        }
        is_own || arrived.is_some_and(|it| it.how == How::Moved)
    }

    fn arrive(&mut self, name: &OsStr, arrival: Arrival) {
        if name == self.name {
            return;
        }
        if self.arrivals.len() >= MOST_ARRIVALS {
            let folder = &self.folder;
            self.arrivals.retain(|name, _| folder.join(name).exists());
        }
        self.arrivals.insert(name.to_owned(), arrival);
    }

    /// Notices were lost: what was learnt of names may be wrong.
    pub(super) fn unlearn(&mut self) {
        self.arrivals.clear();
        self.moves.clear();
        self.begin_to_count();
    }

    /// Whether a file of this place bears this name now, as far as was heard.
    pub(super) fn has_arrived(&self, path: &Path) -> bool {
        let arrival = path.file_name().and_then(|name| self.arrivals.get(name));
        arrival.is_some_and(|it| it.how == How::Moved)
    }

    /// Remembers that a file needs no more attention.
    pub(super) fn know(&mut self, identity: Identity) {
        if self.known.len() >= MOST_KNOWN {
            let there = self.siblings();
            let there: HashSet<_> = there.iter().map(|it| it.look.identity).collect();
            self.known.retain(|identity, _| there.contains(identity));
        }
        self.known.entry(identity).or_default();
    }

    /// Something else stands in a file by now.
    pub(super) fn forget(&mut self, identity: Identity) {
        self.known.remove(&identity);
    }

    pub(super) fn knows(&self, identity: Identity) -> bool {
        self.known.contains_key(&identity)
    }

    /// Files under the learnt names, in the order in which they left the place.
    pub(super) fn moved_on(&self) -> Vec<Sibling> {
        let moved = self.arrivals.iter().filter(|(_, it)| it.how == How::Moved);
        let look = |(name, arrival): (&OsString, &Arrival)| {
            let sibling = Sibling::at(self.folder.join(name))?;
            let number = Some(arrival.number);
            Some(Sibling { number, ..sibling })
        };
        let mut moved_on: Vec<_> = moved.filter_map(look).collect();
        moved_on.sort_by_key(|it: &Sibling| it.number);
        moved_on
    }

    /// Files under any related name that are not known, the oldest first.
    pub(super) fn strangers_by_name(&self) -> Vec<Sibling> {
        let mut siblings = self.siblings();
        siblings.retain(|it| !self.knows(it.look.identity));
        siblings
    }

    /// Files that are called as rotated ones are, were written to since, and are not known, or not with
    /// what they hold now: copies of what the file held once. The oldest first: those of which it was not
    /// heard when they were made stood there before.
    pub(super) fn copies(&self, since_ns: i64) -> Vec<(Sibling, File, Look)> {
        let mut copies = self.opened(|it| {
            let name = it.path.file_name().unwrap_or_default().as_bytes();
            it.look.size > 0
                && it.look.modified_ns >= since_ns
                && is_rotated(name, self.name.as_bytes())
        });
        copies.retain(|(_, file, look)| {
            let known = self.known.get(&look.identity);
            known.is_none_or(|head| !head.fits(file))
        });
        copies.sort_by_key(|(sibling, ..)| (sibling.number, sibling.age()));
        copies
    }

    /// The files in the folder that bear related names and are wanted, each once, the oldest first. None
    /// is missed, and none is taken for another, because it is renamed meanwhile.
    pub(super) fn opened(&self, wanted: impl Fn(&Sibling) -> bool) -> Vec<(Sibling, File, Look)> {
        const MOST_TRIES: usize = 8;
        let mut opened: Vec<(Sibling, File, Look)> = Vec::new();
        for _ in 0..MOST_TRIES {
            let mut is_whole = true;
            for sibling in self.siblings() {
                let identity = sibling.look.identity;
                let is_open = |it: &(Sibling, File, Look)| it.2.identity == identity;
                if !wanted(&sibling) || opened.iter().any(is_open) {
                    continue;
                }
                match open_regular(&sibling.path) {
                    Ok((file, look)) if look.identity == identity => {
                        opened.push((sibling, file, look));
                    }
                    Ok(_) | Err(TailWarning::Missing(_)) => is_whole = false,
                    Err(_) => {}
                }
            }
            if is_whole {
                break;
            }
        }
        for (sibling, ..) in &mut opened {
            let name = sibling.path.file_name().unwrap_or_default();
            sibling.number = self.arrivals.get(name).map(|it| it.number);
        }
        opened.sort_by_key(|(sibling, ..)| sibling.age());
        opened
    }

    /// The files in the folder that bear related names, compressed ones perhaps among them, each once,
    /// the oldest first.
    pub(super) fn siblings(&self) -> Vec<Sibling> {
        // While files are renamed, a listing may show one of them twice, or not at all.
        const MOST_LISTINGS: usize = 8;
        let mut siblings = self.list();
        for _ in 0..MOST_LISTINGS {
            let again = self.list();
            let is_stable = again == siblings;
            siblings = again;
            if is_stable {
                break;
            }
        }
        let mut seen = HashSet::new();
        siblings.retain(|it| seen.insert(it.look.identity));
        siblings
    }

    fn list(&self) -> Vec<Sibling> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let related = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            let name = name.as_bytes();
            // Where the link leads now is looked at by its path.
            name != self.name.as_bytes()
                && (is_related(name, self.name.as_bytes())
                    || is_related(name, self.link.as_bytes()))
        });
        let mut siblings: Vec<_> = related
            .filter_map(|entry| Sibling::at(entry.path()))
            .collect();
        siblings.sort_by_key(Sibling::age);
        siblings
    }

    /// Another file has been taken up at this place, or seen and found to be empty. Each counts once.
    pub(super) fn meet(&mut self, identity: Identity) {
        if self.seen_empty.remove(&identity) {
            return;
        }
        self.met += 1;
    }

    /// A file that has nothing to tell yet.
    pub(super) fn see_empty(&mut self, identity: Identity) {
        if self.seen_empty.len() >= MOST_KNOWN {
            self.seen_empty.clear();
        }
        if self.seen_empty.insert(identity) {
            self.met += 1;
        }
    }

    /// What was heard so far is of files that were found otherwise.
    pub(super) fn begin_to_count(&mut self) {
        self.met = self.made;
    }

    /// How many files came to this place, by what was heard, that were never taken up. They are counted
    /// once.
    pub(super) fn take_unmet(&mut self) -> u64 {
        let unmet = self.made.saturating_sub(self.met);
        self.met = self.met.max(self.made);
        unmet
    }
}

/// By file and path: what is written to a file meanwhile makes it no other.
impl PartialEq for Sibling {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.look.identity) == (&other.path, other.look.identity)
    }
}

impl Sibling {
    fn at(path: PathBuf) -> Option<Self> {
        let look = Look::at(&path).ok().filter(|look| look.is_regular)?;
        let number = None;
        Some(Self { path, look, number })
    }

    /// Smaller is older. File systems take births from a clock that ticks 250 times a second, on a busy
    /// machine less often; of files born with the same tick, the one that was moved on more often is
    /// older.
    fn age(&self) -> (i64, Reverse<u64>) {
        (self.look.age_key(), Reverse(self.moves()))
    }

    /// How often it was moved on, as its name tells: `app.log.3`.
    pub(super) fn moves(&self) -> u64 {
        const MOST_MOVES: u64 = 100_000;
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let digits = &name[name.len() - digits.count()..];
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|it| it.parse().ok());
        number.filter(|moves| *moves < MOST_MOVES).unwrap_or(0)
    }
}

impl Look {
    /// By birth, else by the last change: what was rotated earlier was written to earlier.
    pub(super) fn age_key(&self) -> i64 {
        match self.identity.born_ns {
            0 => self.modified_ns,
            born => born,
        }
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whether a rotated `name` may be called so: `app.log.1`, `app.log-20260127`, `app.2026-01-27.log`.
fn is_related(candidate: &[u8], name: &[u8]) -> bool {
    if candidate == name {
        return false;
    }
    if candidate.starts_with(name) {
        return true;
    }
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else {
        return false;
    };
    let (stem, extension) = name.split_at(dot);
    let rest = candidate.strip_prefix(stem);
    let rest = rest.and_then(|rest| rest.strip_suffix(extension));
    rest.is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'_')))
}

/// Whether nothing but a number or a date stands behind the name: `app.log.1`, `app.log-20260127`.
fn is_rotated(candidate: &[u8], name: &[u8]) -> bool {
    let rest = candidate.strip_prefix(name).unwrap_or_default();
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-_T:".contains(byte);
    rest.iter().all(is_part) && rest.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rotated_files_are_known_by_their_names() {
        for name in [
            "app.log.1",
            "app.log-20260127",
            "app.log.2.gz",
            "app.2026-01-27.log",
            "app-1.log",
        ] {
            assert!(is_related(name.as_bytes(), b"app.log"), "{name}");
        }
        for name in ["app.log", "other.log", "application.log", "app", "app.txt"] {
            assert!(!is_related(name.as_bytes(), b"app.log"), "{name}");
        }
    }

    #[test]
    fn a_number_or_a_date_makes_a_rotated_file() {
        for name in ["app.log.1", "app.log-20260127", "app.log.2026-01-27_10:00"] {
            assert!(is_rotated(name.as_bytes(), b"app.log"), "{name}");
        }
        for name in [
            "app.log",
            "app.log.bak",
            "app.log.1.gz",
            "app.log-errors",
            "other.1",
        ] {
            assert!(!is_rotated(name.as_bytes(), b"app.log"), "{name}");
        }
    }

    #[test]
    fn names_are_learnt_from_renames_and_only_new_files_are_strangers() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("log"), "a").unwrap();
        fs::write(at("log.1"), "old").unwrap();
        let mut place = Place::of(&at("log")).unwrap();
        place.know_all();
        place.know(Look::at(&at("log")).unwrap().identity);
        let moved = |place: &mut Place, from: &str, to: &str, cookie: u32| {
            fs::rename(at(from), at(to)).unwrap();
            place.hear(from.as_ref(), ReadFlags::MOVED_FROM, cookie);
            place.hear(to.as_ref(), ReadFlags::MOVED_TO, cookie);
        };
        let found = |place: &Place| -> Vec<PathBuf> {
            let mut strangers = place.moved_on();
            strangers.retain(|it| !place.knows(it.look.identity));
            strangers.into_iter().map(|it| it.path).collect()
        };
        moved(&mut place, "log.1", "log.2", 1);
        moved(&mut place, "log", "log.1", 2);
        assert_eq!(found(&place), [] as [PathBuf; 0]);
        fs::write(at("log"), "b, never seen at its first place").unwrap();
        moved(&mut place, "log.1", "log.2", 3);
        moved(&mut place, "log", "log.1", 4);
        assert_eq!(found(&place), [at("log.1")]);
        moved(&mut place, "log.1", "log.2", 5);
        fs::write(at("log.1"), "a copy").unwrap();
        place.hear("log.1".as_ref(), ReadFlags::CREATE, 0);
        moved(&mut place, "log.1", "log.3", 6);
        assert_eq!(found(&place), [at("log.2")]);
    }
}
