//! Where a path leads, and the names under which its file may be found when it was moved away.
//!
//! Rotation renames: `app.log` becomes `app.log.1`, which becomes `app.log.2`. inotify tells every rename
//! with both names, so that the names that files of a path take are learnt, and a file that was made,
//! filled and moved on between two looks is found where it is now. What was *made* under such a name is a
//! copy, and no stranger. Files that stood there before anybody looked are known, and not read.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::ReadFlags;

use super::identity::{Identity, Look};

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
    /// The names that files of this name were given, and bear now as far as was heard.
    arrivals: BTreeSet<OsString>,
    /// Renames of a file of this name of which one half was heard.
    moves: Vec<u32>,
    /// Files that came to the name, as far as was heard, and files that were taken up there.
    made: u64,
    met: u64,
    seen_empty: HashSet<Identity>,
    /// Files that were there before, or were read.
    known: HashSet<Identity>,
}

/// A file in the folder that bears a related name.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) look: Look,
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
        let mut place = Self {
            folder: folder_of(&whole).to_owned(),
            name: whole.file_name().unwrap_or_default().to_owned(),
            link: path.file_name().unwrap_or_default().to_owned(),
            arrivals: BTreeSet::new(),
            moves: Vec::new(),
            made: 0,
            met: 0,
            seen_empty: HashSet::new(),
            known: HashSet::new(),
        };
        // What is empty may be a copy that is being made.
        let there = place.siblings().into_iter().filter(|it| it.look.size > 0);
        place.known = there.map(|it| it.look.identity).collect();
        Ok(place)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
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
            let moved = self.moves.iter().position(|heard| *heard == cookie);
            if let Some(index) = moved {
                self.moves.swap_remove(index);
                self.made += u64::from(is_own);
                self.arrive(name);
                return true;
            }
        }
        if is_own && what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            self.made += 1;
        }
        // Whatever happens to the name otherwise, what bears it now is no file of ours.
        let was_ours = self.arrivals.remove(name) || is_own;
        if was_ours && what.contains(ReadFlags::MOVED_FROM) {
            if self.moves.len() == MOST_MOVES {
                self.moves.remove(0);
            }
            self.moves.push(cookie);
        }
        was_ours
    }

    fn arrive(&mut self, name: &OsStr) {
        if name == self.name {
            return;
        }
        if self.arrivals.len() >= MOST_ARRIVALS {
            let folder = &self.folder;
            self.arrivals.retain(|name| folder.join(name).exists());
        }
        self.arrivals.insert(name.to_owned());
    }

    /// Whether a file of this place bears this name now, as far as was heard.
    pub(super) fn has_arrived(&self, path: &Path) -> bool {
        path.file_name()
            .is_some_and(|name| self.arrivals.contains(name))
    }

    /// Remembers that a file needs no more attention.
    pub(super) fn know(&mut self, identity: Identity) {
        if self.known.len() >= MOST_KNOWN {
            let there = self.siblings();
            let there: HashSet<_> = there.iter().map(|it| it.look.identity).collect();
            self.known.retain(|identity| there.contains(identity));
        }
        self.known.insert(identity);
    }

    /// Files under the learnt names that are not known, the oldest first.
    pub(super) fn strangers(&self) -> Vec<Sibling> {
        let paths = self.arrivals.iter().map(|name| self.folder.join(name));
        let mut strangers = self.unknown(paths.filter_map(Sibling::at).collect());
        strangers.sort_by_key(Sibling::age);
        strangers
    }

    /// Files under any related name that are not known, the oldest first.
    pub(super) fn strangers_by_name(&self) -> Vec<Sibling> {
        self.unknown(self.siblings())
    }

    /// Unknown files that are called as rotated ones are: copies of what the file held once.
    pub(super) fn copies(&self) -> Vec<Sibling> {
        let mut siblings = self.strangers_by_name();
        siblings.retain(|it| {
            let name = it.path.file_name().unwrap_or_default().as_bytes();
            is_rotated(name, self.name.as_bytes())
        });
        siblings
    }

    fn unknown(&self, mut siblings: Vec<Sibling>) -> Vec<Sibling> {
        siblings.retain(|it| !self.known.contains(&it.look.identity));
        siblings
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
        Some(Self { path, look })
    }

    /// Smaller is older. File systems take births from a clock that ticks 250 times a second; of files
    /// born with the same tick, the one that was moved on more often is older.
    fn age(&self) -> (i64, Reverse<u64>) {
        const MOST_MOVES: u64 = 100_000;
        let name = self.path.file_name().unwrap_or_default().as_bytes();
        let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let digits = &name[name.len() - digits.count()..];
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|it| it.parse().ok());
        let moves = number.filter(|moves| *moves < MOST_MOVES).unwrap_or(0);
        (self.look.age_key(), Reverse(moves))
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
        place.know(Look::at(&at("log")).unwrap().identity);
        let moved = |place: &mut Place, from: &str, to: &str, cookie: u32| {
            fs::rename(at(from), at(to)).unwrap();
            place.hear(from.as_ref(), ReadFlags::MOVED_FROM, cookie);
            place.hear(to.as_ref(), ReadFlags::MOVED_TO, cookie);
        };
        moved(&mut place, "log.1", "log.2", 1);
        moved(&mut place, "log", "log.1", 2);
        assert!(place.strangers().is_empty());
        fs::write(at("log"), "b, never seen at its first place").unwrap();
        moved(&mut place, "log.1", "log.2", 3);
        moved(&mut place, "log", "log.1", 4);
        let found = |place: &Place| -> Vec<PathBuf> {
            let strangers = place.strangers().into_iter();
            strangers.map(|it| it.path).collect()
        };
        assert_eq!(found(&place), [at("log.1")]);
        moved(&mut place, "log.1", "log.2", 5);
        fs::write(at("log.1"), "a copy").unwrap();
        place.hear("log.1".as_ref(), ReadFlags::CREATE, 0);
        moved(&mut place, "log.1", "log.3", 6);
        assert_eq!(found(&place), [at("log.2")]);
    }
}
