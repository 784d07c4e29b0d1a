//! Lines that are not where they were: in files that were moved on, in copies of what was emptied.

use std::fs::File;

use super::{Followed, MOST_LOOKS, Tell, open_regular};
use crate::line::Taken;
use crate::tail::identity::{Identity, is_compressed};
use crate::tail::notices::Notices;
use crate::tail::place::{Place, Sibling};
use crate::tail::reading::Reading;
use crate::tail::{Gap, GapReason, Registry, Told};

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

impl Followed {
    /// Files that may have come and been moved on since the last look.
    pub(in crate::tail) fn spot_strangers(&mut self) -> Strangers {
        let by = if std::mem::take(&mut self.needs.search) {
            By::Name
        } else {
            By::Arrival
        };
        let mut found = match (&self.place, by) {
            (None, _) => Vec::new(),
            (Some(place), By::Arrival) => place.strangers(),
            (Some(place), By::Name) => place.strangers_by_name(),
        };
        // One that is being made has nothing to tell yet, and may turn out to be a copy.
        let before = found.len();
        found.retain(|stranger| {
            if let Some(place) = self.place.as_mut().filter(|_| stranger.look.size == 0) {
                place.see_empty(stranger.look.identity);
            }
            stranger.look.size > 0
        });
        self.has_riddles = found.len() < before;
        Strangers { by, found }
    }

    /// Reads those that are files of this path, by all that was heard until now: whoever was moved on,
    /// and replaced by another, while they were spotted is spotted again.
    pub(in crate::tail) fn adopt_strangers(
        &mut self,
        strangers: Strangers,
        notices: &mut Notices,
        registry: &mut Registry,
    ) {
        let Strangers { by, found } = strangers;
        for stranger in found {
            let place = self.place.as_ref();
            let has_arrived = place.is_some_and(|place| place.has_arrived(&stranger.path));
            if by == By::Name || has_arrived {
                self.adopt_stranger(&stranger, notices, registry);
            } else {
                self.has_riddles = true;
            }
        }
    }

    fn adopt_stranger(
        &mut self,
        stranger: &Sibling,
        notices: &mut Notices,
        registry: &mut Registry,
    ) {
        let identity = stranger.look.identity;
        if self.reads(identity) || registry.is_anothers(identity, self.source) {
            return;
        }
        let Ok((file, look)) = open_regular(&stranger.path) else {
            return;
        };
        if look.identity != identity || self.has_copy_in(&file, look.size) {
            return;
        }
        self.know(identity);
        if is_compressed(&file) {
            return;
        }
        let reading = self.begin(file, &look);
        self.meet(identity);
        // Behind what has left the path before it, before what stands there now.
        self.insert(self.readings.len(), reading, notices, registry);
        self.has_current = false;
    }

    fn reads(&self, identity: Identity) -> bool {
        self.readings
            .iter()
            .any(|reading| reading.identity() == identity)
    }

    /// Whether this is a copy of something that is being read.
    fn has_copy_in(&self, file: &File, size: u64) -> bool {
        self.readings
            .iter()
            .any(|reading| reading.has_copy_in(file, size))
    }

    /// A file was emptied. What was in it may stand in a copy.
    pub(super) fn recover(
        &mut self,
        index: usize,
        notices: &mut Notices,
        registry: &mut Registry,
        told: Tell<'_>,
    ) -> Taken {
        let cut = &mut self.readings[index];
        let (content, accepted) = cut.place();
        // It may be moved on while it is looked for.
        let mut looks = (0..MOST_LOOKS).map(|_| copy_of(cut, self.place.as_ref()));
        let copy = looks.find_map(|copy| copy);
        if copy.is_none() {
            let gap = Gap {
                source: self.source,
                content: Some(content),
                from: accepted,
                bytes: Some(cut.unread()).filter(|bytes| *bytes > 0),
                reason: GapReason::Emptied,
            };
            let path = self.path.as_path();
            let is_told = cut.finish_line(self.source, told) == Taken::Yes;
            if !is_told || told(Told::Gap { path, gap }) == Taken::NoRoom {
                return Taken::NoRoom;
            }
        }
        cut.begin_anew();
        self.remember((content, accepted));
        if let Some(copy) = copy {
            self.insert(index, copy, notices, registry);
        }
        Taken::Yes
    }

    /// Before the first byte of a content is read: contents that stood in its place before it, and were
    /// copied and emptied before anybody looked, are read before it.
    pub(super) fn insert_missed(
        &mut self,
        index: usize,
        notices: &mut Notices,
        registry: &mut Registry,
    ) {
        let Some(place) = &self.place else { return };
        for sibling in place.copies() {
            let identity = sibling.look.identity;
            if self.reads(identity) || registry.is_anothers(identity, self.source) {
                continue;
            }
            let Ok((file, look)) = open_regular(&sibling.path) else {
                continue;
            };
            let read = self.readings.iter().map(Reading::place);
            let mut read = read.chain(self.finished.iter().copied());
            let is_read =
                read.any(|(content, offset)| content.head.may_be_copied_to(&file, offset));
            if look.identity == identity && look.size > 0 && !is_read && !is_compressed(&file) {
                // A copy was made when its content ended: before the last word in any younger file.
                let is_younger = |it: &Reading| it.modified_ns() >= look.modified_ns;
                let later = self.readings.iter().skip(index).position(is_younger);
                let place = later.map_or(self.readings.len(), |later| index + later);
                let place = place.min(self.readings.len() - usize::from(self.has_current));
                let missed = Reading::begin(file, &look, 0).in_order();
                self.insert(place, missed, notices, registry);
            }
        }
    }
}

/// The copy of what `cut` held, from where it was read to.
fn copy_of(cut: &Reading, place: Option<&Place>) -> Option<Reading> {
    let (content, accepted) = cut.place();
    let siblings = place?.siblings().into_iter();
    let others = siblings.filter(|it| it.look.identity != cut.identity());
    let copies = others
        .filter_map(|it| open_regular(&it.path).ok())
        .filter(|(file, _)| content.head.may_be_copied_to(file, accepted))
        .filter(|(file, look)| cut.is_continued_by(file, look.size));
    // A backup of a moment before would be shorter.
    let (file, look) = copies.max_by_key(|(_, look)| look.size)?;
    Some(Reading::go_on(file, look.identity, content, accepted).in_order())
}
