//! Where a predecessor stopped, and what has become of the files since.
//!
//! The file at the path may be another by now, the one that was read last may have been moved on, copied
//! and emptied, or be gone, and others may have come and gone in between. Each file is compared with the
//! positions that were noted: by what it is, then by how it begins. One that belongs to none, and is
//! younger than the last note or fell silent after what was read last, was never read; older ones were
//! there before anybody looked.
//!
//! A position tells how its content began, and not what stood before the place itself. Of contents that
//! begin alike for hundreds of bytes, the one that was copied first is taken for the one that was read.

use std::cmp::Reverse;
use std::fs::File;

use super::identity::{Content, Identity, Look, hold_the_same, is_compressed, place_in};
use super::place::Place;
use super::reading::{Reading, ends_a_line};
use super::{GapReason, Position};

/// How many contents are remembered as read.
const REMEMBERED: usize = 256;

/// A file may have been made a little before the last line of its predecessor was noted.
const SLACK_NS: i64 = 2_000_000_000;

/// So long before the last note a file that has left its path must have been written to last, if nobody
/// writes to it any more.
const SILENT_NS: i64 = 600_000_000_000;

/// How reading goes on.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// What has left the path, and was not read to its end, or may be written to still.
    pub(super) older: Vec<Reading>,
    /// The file at the path, if some of it was read.
    pub(super) current: Option<Reading>,
    pub(super) finished: Vec<(Content, u64)>,
    /// Young copies of what is read elsewhere.
    pub(super) copies: Vec<Identity>,
    /// What was not read to its end, as far as is known, and is not to be found; with the place where
    /// reading had stopped.
    pub(super) missing: Vec<(Content, u64, GapReason)>,
    /// A file was emptied while it was compared with others.
    pub(super) is_stale: bool,
}

/// A file with the position that belongs to it.
struct Candidate {
    file: File,
    look: Look,
    belongs: Belongs,
    is_current: bool,
}

/// What a file is to the positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    /// This one, by its index, is a position in it.
    Own(usize),
    /// It is the copy of what that position was in.
    CopyOf(usize),
    /// It holds what was read, or what stands in another file as well.
    Copy,
    /// None is.
    Nowhere,
}

/// Finds out how to go on from `positions`, the newest first, of which there is at least one.
pub(super) fn resume(
    place: Option<&Place>,
    current: Option<(&File, Look)>,
    positions: &[Position],
) -> Resumed {
    let mut candidates = candidates(place, current);
    for candidate in &mut candidates {
        let places = positions.iter().map(|it| (it.content, it.offset));
        if let Some(index) = place_in(&candidate.file, &candidate.look, places) {
            candidate.belongs = Belongs::Own(index);
        }
    }
    let noted_ns = positions.first().map_or(i64::MAX, |it| it.noted_ns);
    let since = noted_ns.saturating_sub(SLACK_NS);
    let mut missing = Vec::new();
    for (index, reason) in emptied(&candidates, positions) {
        if !find_copy(&mut candidates, index, &positions[index]) {
            let position = &positions[index];
            missing.push((position.content, position.offset, reason));
        }
    }
    // Who was far behind noted late what had been written long before.
    let is_last = |it: &&Candidate| matches!(it.belongs, Belongs::Own(0) | Belongs::CopyOf(0));
    let last = candidates.iter().find(is_last);
    let last_word_ns = last
        .filter(|it| !it.is_current)
        .map(|it| it.look.modified_ns);
    let is_young = |look: &Look| {
        look.age_key() > since || last_word_ns.is_some_and(|last_ns| look.modified_ns >= last_ns)
    };
    find_copies(&mut candidates, positions, is_young);
    let is_stale = candidates.iter().any(|it| !it.is_still(positions));
    let mut resumed = Resumed {
        missing,
        is_stale,
        finished: positions
            .iter()
            .take(REMEMBERED)
            .rev()
            .map(|position| (position.content, position.offset))
            .collect(),
        ..Resumed::default()
    };
    for candidate in candidates {
        let Candidate { file, look, .. } = candidate;
        let go_on = |file: File, position: &Position| {
            Reading::go_on(file, look.identity, position.content, position.offset)
        };
        match candidate.belongs {
            Belongs::Own(index) if candidate.is_current => {
                resumed.current = Some(go_on(file, &positions[index]));
            }
            Belongs::Own(index) => {
                let is_read = positions[index].offset == look.size;
                let is_silent = look.modified_ns < noted_ns.saturating_sub(SILENT_NS);
                if !is_read || !is_silent {
                    resumed.older.push(go_on(file, &positions[index]));
                }
            }
            Belongs::CopyOf(index) => {
                let copy = go_on(file, &positions[index]);
                resumed.older.push(copy.of_copy());
            }
            Belongs::Nowhere if !candidate.is_current => {
                if is_young(&look) && look.size > 0 {
                    let reading = Reading::begin(file, &look, 0);
                    resumed.older.push(reading.in_order());
                }
            }
            Belongs::Copy if is_young(&look) => resumed.copies.push(look.identity),
            Belongs::Nowhere | Belongs::Copy => {}
        }
    }
    resumed
}

/// Whether a file in which no position was noted has come since the last of `known` was noted, and is none of
/// the files that those are in.
pub(super) fn is_new(look: &Look, known: &[Position]) -> bool {
    let last = known.iter().map(|position| position.noted_ns).max();
    let is_younger = last.is_some_and(|last| look.age_key() > last.saturating_sub(SLACK_NS));
    let mut files = known.iter().map(|position| position.content.file);
    is_younger && files.all(|file| file != look.identity)
}

impl Candidate {
    fn new(file: File, look: Look) -> Self {
        Self {
            file,
            look,
            belongs: Belongs::Nowhere,
            is_current: false,
        }
    }

    /// Whether the position that was found in it is one in it still.
    fn is_still(&self, positions: &[Position]) -> bool {
        let Belongs::Own(index) = self.belongs else {
            return true;
        };
        let Position {
            content, offset, ..
        } = positions[index];
        Look::through(&self.file).is_ok_and(|look| offset <= look.size)
            && content.head.fits(&self.file)
    }

    fn is_loose(&self) -> bool {
        self.belongs == Belongs::Nowhere && !self.is_current
    }

    /// Whether this holds what stands in another file as well, of which more is known or which holds
    /// more: it is a copy that was not emptied yet, or somebody's backup.
    fn is_copy_of(&self, other: &Self) -> bool {
        let is_more = !other.is_loose()
            || (other.look.size, self.look.modified_ns) > (self.look.size, other.look.modified_ns);
        is_more && hold_the_same(&self.file, &other.file)
    }
}

/// The files of related names, those first that fell silent first, and the one at the path.
fn candidates(place: Option<&Place>, current: Option<(&File, Look)>) -> Vec<Candidate> {
    let current_identity = current.as_ref().map(|(_, look)| look.identity);
    let siblings = place
        .map(|place| place.opened(|_| true))
        .unwrap_or_default();
    let mut siblings: Vec<_> = siblings
        .into_iter()
        .filter(|(_, file, look)| Some(look.identity) != current_identity && !is_compressed(file))
        .collect();
    // By their last word: of a file and a copy of what it held before, the file is older and speaks
    // later. Of those that spoke in the same tick of the clock, the one that was moved on more often is
    // older.
    siblings.sort_by_key(|(sibling, _, look)| (look.modified_ns, Reverse(sibling.moves())));
    let siblings = siblings.into_iter();
    let mut candidates: Vec<_> = siblings
        .map(|(_, file, look)| Candidate::new(file, look))
        .collect();
    if let Some((file, look)) = current
        && let Ok(file) = file.try_clone()
    {
        candidates.push(Candidate {
            is_current: true,
            ..Candidate::new(file, look)
        });
    }
    candidates
}

/// Positions in contents that are not where they were, of which some may be unread: in what was read
/// last, and in what stood last in a file that is still there. Contents of a file are read one after the
/// other, and who removes a file keeps nothing of it.
fn emptied(candidates: &[Candidate], positions: &[Position]) -> Vec<(usize, GapReason)> {
    let mut gone = Vec::new();
    for (index, position) in positions.iter().enumerate() {
        let file = position.content.file;
        let is_newest = !positions[..index].iter().any(|it| it.content.file == file);
        let is_own = candidates
            .iter()
            .any(|it| it.belongs == Belongs::Own(index));
        let is_there = candidates.iter().any(|it| it.look.identity == file);
        if is_newest && !is_own && (is_there || index == 0) {
            let reason = if is_there {
                GapReason::Emptied
            } else {
                GapReason::Vanished
            };
            gone.push((index, reason));
        }
    }
    gone
}

/// What was emptied may stand in a copy: in a file that begins like it and belongs to no position. Whether
/// there is one.
fn find_copy(candidates: &mut [Candidate], index: usize, position: &Position) -> bool {
    let since = position.noted_ns.saturating_sub(SLACK_NS);
    let head = &position.content.head;
    let is_copy = |it: &Candidate| {
        it.is_loose()
            && position.offset <= it.look.size
            && head.may_be_copied_to(&it.file, position.offset)
            && ends_a_line(&it.file, position.offset)
    };
    let is_copy: Vec<bool> = candidates.iter().map(is_copy).collect();
    let copies = || (0..candidates.len()).filter(|index| is_copy[*index]);
    // What was there when it was read was copied later; others that begin alike were copied before it,
    // or after. One from before is still better than none: who copies may keep the time.
    let age = |index: &usize| {
        let look = candidates[*index].look;
        (look.modified_ns < since, look.age_key())
    };
    let Some(first) = copies().min_by_key(age) else {
        return false;
    };
    // A backup of a moment before would be shorter.
    let holds_it = |index: &usize| hold_the_same(&candidates[first].file, &candidates[*index].file);
    let whole = copies().filter(holds_it);
    let whole = whole.max_by_key(|index| candidates[*index].look.size);
    candidates[whole.unwrap_or(first)].belongs = Belongs::CopyOf(index);
    true
}

/// Copies of what is read elsewhere, or was.
fn find_copies(
    candidates: &mut [Candidate],
    positions: &[Position],
    is_young: impl Fn(&Look) -> bool,
) {
    let is_copy = |index: usize| {
        let it = &candidates[index];
        let concerns = |by: &Candidate| !by.is_loose() || is_young(&by.look);
        let mut others = candidates.iter().enumerate();
        let is_copy = others.any(|(other, by)| other != index && concerns(by) && it.is_copy_of(by));
        let is_all = |by: &Position| by.content.is_all_of(by.offset, &it.file, it.look.size);
        it.is_loose() && it.look.size > 0 && (is_copy || positions.iter().any(is_all))
    };
    let copies: Vec<usize> = (0..candidates.len()).filter(|it| is_copy(*it)).collect();
    for index in copies {
        candidates[index].belongs = Belongs::Copy;
    }
}
