//! Lines that are not where they were: in files that were moved on, in copies of what was emptied.
//!
//! A copy is made when its content ended, and is complete when the file is emptied. Each is read right
//! before the content that stood in the file after it, when that one's turn has come: only then it is
//! known which contents are read already.

use std::fs::File;
use std::path::Path;

use super::{Followed, Tell, open_regular};
use crate::line::Taken;
use crate::tail::identity::{Identity, Look, hold_the_same, is_compressed};
use crate::tail::notices::Notices;
use crate::tail::place::Sibling;
use crate::tail::reading::Reading;
use crate::tail::{Gap, GapReason, Registry, TailWarning, Told};

/// Files that may have come and been moved on between two looks.
#[derive(Debug)]
pub(in crate::tail) struct Strangers {
    by: By,
    found: Vec<Sibling>,
}

/// By what they were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Arrival,
    Name,
}

/// What became of the search for copies of what was never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// So many are read now.
    Found(usize),
    /// There are files of which it must be heard first how they came by their names.
    InDoubt,
    /// The file was emptied meanwhile: what looked like a copy of something else may be its own.
    Another,
}

/// A copy of what was never read.
struct Missed {
    sibling: Sibling,
    file: File,
    look: Look,
}

impl Followed {
    /// Files that may have come and been moved on since the last look.
    pub(in crate::tail) fn spot_strangers(&mut self) -> Strangers {
        let by = if std::mem::take(&mut self.needs.search) {
            By::Name
        } else {
            By::Arrival
        };
        let Some(place) = &mut self.place else {
            return Strangers {
                by,
                found: Vec::new(),
            };
        };
        let found = match by {
            By::Arrival => place.moved_on(),
            By::Name => {
                let mut found = place.strangers_by_name();
                // One that is being made has nothing to tell yet, and may turn out to be a copy.
                let before = found.len();
                found.retain(|stranger| {
                    if stranger.look.size == 0 {
                        place.see_empty(stranger.look.identity);
                    }
                    stranger.look.size > 0
                });
                self.has_riddles = found.len() < before;
                found
            }
        };
        Strangers { by, found }
    }

    /// Reads those that are files of this path, by all that was heard until now: whoever was moved on,
    /// and replaced by another, while they were spotted is spotted again.
    pub(in crate::tail) fn adopt_strangers(
        &mut self,
        strangers: &Strangers,
        notices: &mut Notices,
        registry: &mut Registry,
    ) {
        let Strangers { by, found } = strangers;
        for stranger in found {
            let identity = stranger.look.identity;
            let place = self.place.as_ref();
            let is_known = place.is_none_or(|place| place.knows(identity));
            let has_arrived = place.is_some_and(|place| place.has_arrived(&stranger.path));
            let mut readings = self.readings.iter_mut();
            if let Some(reading) = readings.find(|it| it.identity() == identity) {
                let left = stranger.number.filter(|_| has_arrived);
                left.into_iter().for_each(|number| reading.leave(number));
                continue;
            }
            if is_known {
                continue;
            }
            let is_ours = *by == By::Name || has_arrived;
            if !is_ours || !self.adopt_stranger(stranger, notices, registry) {
                self.needs.look = true;
                self.needs.search |= *by == By::Name;
            }
        }
    }

    /// Whether it is settled what becomes of it.
    fn adopt_stranger(
        &mut self,
        stranger: &Sibling,
        notices: &mut Notices,
        registry: &mut Registry,
    ) -> bool {
        let identity = stranger.look.identity;
        if registry.is_anothers(identity, self.source) {
            return true;
        }
        let (file, look) = match open_regular(&stranger.path) {
            Ok(opened) => opened,
            Err(TailWarning::Missing(_)) => return false,
            Err(_) => {
                self.has_riddles = true;
                return true;
            }
        };
        if look.identity != identity {
            return false;
        }
        // Who has left the path is no copy of anything, however alike it begins.
        if stranger.number.is_none() && self.has_copy_in(&file) {
            return true;
        }
        self.know(identity);
        if is_compressed(&file) {
            return true;
        }
        let index = self.index_of(stranger);
        let mut reading = self.begin(file, &look);
        reading.leave(stranger.number.unwrap_or(0));
        self.meet(identity);
        self.insert(index, reading, notices, registry);
        self.has_current &= index + 1 < self.readings.len();
        true
    }

    /// Before which reading a stranger is read: behind those that have left the path before it, before
    /// what stands there now.
    fn index_of(&self, stranger: &Sibling) -> usize {
        let is_later = |reading: &Reading| {
            match (stranger.number, reading.left()) {
                (Some(number), Some(others)) => number < others,
                // It has not left the path, as far as was heard.
                (Some(_), None) => true,
                (None, _) => stranger.look.age_key() < reading.identity().born_ns,
            }
        };
        let readings = self.readings.iter();
        let later = readings
            .rev()
            .take_while(|it| !it.has_begun() && is_later(it));
        self.readings.len() - later.count()
    }

    fn reads(&self, identity: Identity) -> bool {
        self.readings
            .iter()
            .any(|reading| reading.identity() == identity)
    }

    /// Whether this is a copy of something that is being read.
    fn has_copy_in(&self, file: &File) -> bool {
        let mut readings = self.readings.iter();
        readings.any(|reading| hold_the_same(reading.file(), file))
    }

    /// Whether the file at `path` is called as a rotated one of this path, and holds what is read here: it
    /// is a copy, and no file of its own.
    pub(in crate::tail) fn is_copied_to(&self, path: &Path) -> bool {
        let is_rotated = self.place.as_ref().is_some_and(|it| it.rotates_to(path));
        let Some((file, _)) = open_regular(path).ok().filter(|_| is_rotated) else {
            return false;
        };
        let mut read = self.readings.iter().map(Reading::place);
        self.has_copy_in(&file)
            || read.any(|(content, offset)| content.head.may_be_copied_to(&file, offset))
    }

    /// Whether what this file holds is read elsewhere, or was.
    fn is_read_elsewhere(&self, file: &File, look: &Look) -> bool {
        let others = || {
            self.readings
                .iter()
                .filter(|it| it.identity() != look.identity)
        };
        let was_read = || self.finished.iter().chain(&self.shorter);
        others().any(|it| it.is_intact() && hold_the_same(it.file(), file))
            || was_read().any(|(content, offset)| content.is_all_of(*offset, file, look.size))
    }

    /// A file was emptied. What was in it may stand in a copy.
    pub(super) fn recover(
        &mut self,
        index: usize,
        notices: &mut Notices,
        registry: &mut Registry,
        told: Tell<'_>,
    ) -> Taken {
        // One that was written over may hold it.
        if self.let_go_of_overwritten(notices, registry) > 0 {
            return Taken::Yes;
        }
        let (content, accepted) = self.readings[index].place();
        let copy = self.copy_of(index);
        // Of what was never read a copy may be found all the same, though its beginning tells too little.
        let is_told = accepted > 0 || content.head.tells();
        let is_lost = copy.is_none() && (is_told || !self.has_missed(index, registry));
        if is_lost {
            let cut = &mut self.readings[index];
            let gap = Gap {
                source: self.source,
                content: Some(content),
                from: accepted,
                bytes: Some(cut.unread()).filter(|bytes| *bytes > 0),
                reason: GapReason::Emptied,
            };
            let path = self.path.as_path();
            let is_finished = cut.finish_line(self.source, told) == Taken::Yes;
            if !is_finished || told(Told::Gap { path, gap }) == Taken::NoRoom {
                return Taken::NoRoom;
            }
        }
        self.readings[index].begin_anew();
        match copy {
            Some(copy) => self.insert(index, copy, notices, registry),
            None => {
                self.remember((content, accepted));
                if !self.is_current(index) && self.holds_a_copy(index) {
                    self.let_go(index, notices, registry);
                }
            }
        }
        Taken::Yes
    }

    /// Whether a file that was emptied holds a copy of something that is read already.
    fn holds_a_copy(&self, index: usize) -> bool {
        let file = self.readings[index].file();
        Look::through(file).is_ok_and(|look| self.is_read_elsewhere(file, &look))
    }

    /// Copies that were read, and were written over: they may be copies of something else by now.
    /// Tells how many.
    pub(super) fn let_go_of_overwritten(
        &mut self,
        notices: &mut Notices,
        registry: &mut Registry,
    ) -> usize {
        let is_overwritten = |it: &Reading| it.is_read_copy() && !it.is_intact();
        let before = self.readings.len();
        while let Some(index) = self.readings.iter().position(is_overwritten) {
            self.let_go(index, notices, registry);
        }
        before - self.readings.len()
    }

    fn let_go(&mut self, index: usize, notices: &mut Notices, registry: &mut Registry) {
        if let Some(mut reading) = self.readings.remove(index) {
            let identity = reading.identity();
            notices.unwatch(&mut reading, self.source);
            registry.release(identity, self.source);
            self.remember(reading.place());
            if let Some(place) = &mut self.place {
                place.forget(identity);
            }
        }
    }

    /// Before the first byte of a content is read: contents that stood in its place before it, and were
    /// copied and emptied before anybody looked, are read before it.
    pub(super) fn insert_missed(
        &mut self,
        index: usize,
        notices: &mut Notices,
        registry: &mut Registry,
    ) -> Missing {
        let missed = self.find_missed(index, registry);
        // A file that was moved there meanwhile is no copy. That was heard of, if it was seen before.
        if !self.suspect(&missed) {
            return Missing::InDoubt;
        }
        let missed = self.of_turn(index, missed);
        if !self.readings[index].is_intact() {
            return Missing::Another;
        }
        let copies = missed.len();
        for (place, it) in missed.into_iter().enumerate() {
            let mut copy = Reading::begin(it.file, &it.look, 0).of_copy();
            it.sibling
                .number
                .into_iter()
                .for_each(|number| copy.leave(number));
            self.insert(index + place, copy, notices, registry);
        }
        Missing::Found(copies)
    }

    fn has_missed(&self, index: usize, registry: &Registry) -> bool {
        let missed = self.find_missed(index, registry);
        !self.of_turn(index, missed).is_empty()
    }

    /// Whether all of them were seen before, under the names that they bear.
    fn suspect(&mut self, seen: &[Missed]) -> bool {
        let seen = seen
            .iter()
            .map(|it| (it.look.identity, it.sibling.path.clone()));
        let seen: Vec<_> = seen.collect();
        let is_sure = seen.iter().all(|it| self.suspects.contains(it));
        self.suspects = seen;
        is_sure
    }

    /// Those of them that stood in the file of this reading, or in one that is not read any more: they
    /// were made before it left its place.
    fn of_turn(&self, index: usize, missed: Vec<Missed>) -> Vec<Missed> {
        let is_its = |of: usize, it: &Missed| {
            let reading = &self.readings[of];
            match (it.sibling.number, reading.left()) {
                (Some(number), Some(left)) => number < left,
                (Some(_), None) if self.is_current(of) => true,
                // Its content ended before the last word in the file that holds the next one.
                _ => it.look.modified_ns <= reading.modified_ns(),
            }
        };
        let mut missed = missed;
        missed.retain(|it| {
            let first = (index..self.readings.len()).find(|of| is_its(*of, it));
            first == Some(index)
        });
        missed
    }

    /// Copies of contents that were never read, and stood where this is read before what it holds now,
    /// or where what comes after it is read.
    fn find_missed(&self, index: usize, registry: &Registry) -> Vec<Missed> {
        let Some(place) = &self.place else {
            return Vec::new();
        };
        let mut missed: Vec<_> = place
            .copies(self.readings[index].follows_ns())
            .into_iter()
            .map(|(sibling, file, look)| Missed {
                sibling,
                file,
                look,
            })
            .filter(|Missed { file, look, .. }| {
                !self.reads(look.identity)
                    && !registry.is_anothers(look.identity, self.source)
                    && !is_compressed(file)
                    && !self.is_read_elsewhere(file, look)
            })
            .collect();
        // A backup of a moment before is shorter than the copy made in the end.
        let mut at = 0;
        while at < missed.len() {
            let is_more = |other: usize| {
                let (one, by) = (&missed[at], &missed[other]);
                (by.look.size, at) > (one.look.size, other) && hold_the_same(&one.file, &by.file)
            };
            if (0..missed.len()).any(is_more) {
                missed.remove(at);
            } else {
                at += 1;
            }
        }
        missed
    }

    /// The copy of what the file of a reading held, from where it was read to.
    fn copy_of(&self, index: usize) -> Option<Reading> {
        let cut = &self.readings[index];
        let (content, accepted) = cut.place();
        let siblings = self
            .place
            .as_ref()?
            .opened(|it| !self.reads(it.look.identity));
        let mut copies: Vec<_> = siblings
            .into_iter()
            .filter(|(_, file, look)| {
                content.head.may_be_copied_to(file, accepted)
                    && cut.is_continued_by(file, look.size)
            })
            .collect();
        // It was copied after it was written. Of those that begin alike, it is the oldest.
        let age = |index: &usize| {
            let look = copies[*index].2;
            (look.modified_ns < cut.follows_ns(), look.age_key())
        };
        let first = (0..copies.len()).min_by_key(age)?;
        // A backup of a moment before would be shorter.
        let is_whole = |index: &usize| hold_the_same(&copies[first].1, &copies[*index].1);
        let whole = (0..copies.len()).filter(is_whole);
        let whole = whole.max_by_key(|index| copies[*index].2.size)?;
        let (sibling, file, look) = copies.swap_remove(whole);
        let mut copy = Reading::go_on(file, look.identity, content, accepted).of_copy_from(cut);
        sibling
            .number
            .into_iter()
            .for_each(|number| copy.leave(number));
        Some(copy)
    }
}
