//! Where a predecessor stopped, and what has become of the files since.
//!
//! The file at the path may be another by now, the one that was read last may have been moved on, copied
//! and emptied, or be gone, and others may have come and gone in between. Each file is compared with the
//! positions that were noted: by what it is, then by how it begins. One that is younger than the last
//! note and belongs to none was never read; older ones were there before anybody looked.

use std::fs::File;

use super::Position;
use super::followed::open_regular;
use super::identity::{Content, Look, is_compressed};
use super::place::Place;
use super::reading::{Reading, ends_a_line};

/// How many contents are remembered as read.
const REMEMBERED: usize = 64;

/// A file may have been made a little before the last line of its predecessor was noted.
const SLACK_NS: i64 = 2_000_000_000;

/// How reading goes on.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    /// What has left the path, and was not read to its end.
    pub(super) older: Vec<Reading>,
    /// The file at the path, if some of it was read.
    pub(super) current: Option<Reading>,
    pub(super) finished: Vec<(Content, u64)>,
    /// What was read last and is not to be found, with the place where reading had stopped.
    pub(super) missing: Option<(Content, u64)>,
}

/// A file with the position that belongs to it.
struct Candidate {
    file: File,
    look: Look,
    position: Option<usize>,
    is_current: bool,
}

/// Finds out how to go on from `positions`, the newest first, of which there is at least one.
pub(super) fn resume(
    place: Option<&Place>,
    current: Option<(&File, Look)>,
    positions: &[Position],
) -> Resumed {
    let mut candidates = candidates(place, current);
    for candidate in &mut candidates {
        let is_its = |position: &Position| {
            position.content.file == candidate.look.identity && candidate.holds(position)
        };
        candidate.position = positions.iter().position(is_its);
    }
    if let Some(last) = positions.first() {
        find_copy(&mut candidates, last);
    }
    let last_read = candidates.iter().find(|it| it.position == Some(0));
    let noted_ns = positions.first().map_or(i64::MAX, |it| it.noted_ns);
    let since = noted_ns.saturating_sub(SLACK_NS);
    let mut resumed = Resumed {
        missing: match (last_read, positions.first()) {
            (None, Some(position)) => Some((position.content, position.offset)),
            _ => None,
        },
        finished: positions
            .iter()
            .take(REMEMBERED)
            .rev()
            .map(|position| (position.content, position.offset))
            .collect(),
        ..Resumed::default()
    };
    for candidate in candidates {
        let is_younger = candidate.look.age_key() > since && candidate.look.size > 0;
        match candidate.position.map(|index| positions[index]) {
            Some(Position {
                content, offset, ..
            }) => {
                let identity = candidate.look.identity;
                let is_read = offset == candidate.look.size;
                let reading = Reading::go_on(candidate.file, identity, content, offset);
                if candidate.is_current {
                    resumed.current = Some(reading);
                } else if !is_read {
                    resumed.older.push(reading);
                }
            }
            None if is_younger && !candidate.is_current && !candidate.is_copy(positions) => {
                let reading = Reading::begin(candidate.file, &candidate.look, 0);
                resumed.older.push(reading.in_order());
            }
            None => {}
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
    /// Whether this position can be one in this file.
    fn holds(&self, position: &Position) -> bool {
        position.offset <= self.look.size && position.content.head.fits(&self.file)
    }

    /// Whether it begins like something that was read, and is not that: a copy that was not emptied yet,
    /// or somebody's backup.
    fn is_copy(&self, positions: &[Position]) -> bool {
        positions.iter().any(|position| {
            let head = &position.content.head;
            head.may_be_copied_to(&self.file, position.offset)
        })
    }
}

/// The files of related names, those first that fell silent first, and the one at the path.
fn candidates(place: Option<&Place>, current: Option<(&File, Look)>) -> Vec<Candidate> {
    let current_identity = current.as_ref().map(|(_, look)| look.identity);
    let siblings = place.map(Place::siblings).unwrap_or_default();
    let mut candidates: Vec<_> = siblings
        .into_iter()
        .filter(|it| Some(it.look.identity) != current_identity)
        .filter_map(|it| open_regular(&it.path).ok())
        .filter(|(file, _)| !is_compressed(file))
        .map(|(file, look)| Candidate {
            file,
            look,
            position: None,
            is_current: false,
        })
        .collect();
    // By their last word: of a file and a copy of what it held before, the file is older and speaks
    // later.
    candidates.sort_by_key(|it| it.look.modified_ns);
    if let Some((file, look)) = current
        && let Ok(file) = file.try_clone()
    {
        candidates.push(Candidate {
            file,
            look,
            position: None,
            is_current: true,
        });
    }
    candidates
}

/// What was emptied may stand in a copy: in a file that begins like it and belongs to no position. Only
/// of what was read last some may be unread: contents are read one after the other.
fn find_copy(candidates: &mut [Candidate], position: &Position) {
    if candidates.iter().any(|it| it.position == Some(0)) {
        return;
    }
    let head = &position.content.head;
    let is_copy = |it: &&mut Candidate| {
        it.position.is_none()
            && !it.is_current
            && it.holds(position)
            && head.may_be_copied_to(&it.file, position.offset)
            && ends_a_line(&it.file, position.offset)
    };
    let copies = candidates.iter_mut().filter(is_copy);
    if let Some(copy) = copies.max_by_key(|it| it.look.size) {
        copy.position = Some(0);
    }
}
