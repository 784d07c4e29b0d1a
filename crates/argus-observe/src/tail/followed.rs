//! One followed path: the file that stands there now, and those that stood there before.
//!
//! Files that have left the path are read on: their writer may not have noticed yet, and what they hold
//! is read before their successors. They are let go when they have been quiet for long, or when there
//! are many of them.

mod recover;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::identity::{Content, Identity, Look};
use super::notices::{Notice, Notices};
use super::place::{Place, folder_of};
use super::reading::{Progress, Reading};
use super::resume::{Resumed, resume};
use super::{Gap, GapReason, Position, Registry, StartAt, TailWarning, Told};
use crate::line::Taken;

/// How long a file that has left its path must be quiet before its last line counts as all there is,
/// and before it may have to give way to others.
const QUIET: Duration = Duration::from_secs(5);

/// How long it must be quiet to be let go: servers that keep their file open until they are told to
/// reopen it write to it for a while.
const SILENT: Duration = Duration::from_secs(600);

/// Files that have left their path and are kept open.
const MOST_RETIRED: usize = 64;

/// Contents of which it is remembered how far they were read.
const MOST_FINISHED: usize = 64;

/// How long a path may lead nowhere before that is said: rotation leaves it empty for a moment.
const ABSENCE: Duration = Duration::from_secs(2);

/// How long a receiver that had no room is left alone.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks at a path that changes all the time.
const MOST_LOOKS: usize = 16;

/// A path and what stands, or stood, there.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) path: PathBuf,
    source: usize,
    place: Option<Place>,
    /// In the order in which they stood at the path; the last one may stand there still.
    readings: VecDeque<Reading>,
    has_current: bool,
    finished: VecDeque<(Content, u64)>,
    /// How much of a file that was there at the start, but could not be opened, is old.
    old: Option<(Identity, u64)>,
    /// Something was spotted of which nothing can be said yet: to be looked at again.
    has_riddles: bool,
    complaint: Option<Complaint>,
    absent_since: Option<Instant>,
    pub(super) needs: Needs,
    paused_until: Option<Instant>,
}

/// What is to be done for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    /// A look whether its files have new bytes.
    pub(super) read: bool,
    /// A look at what stands there, and at the files that it may have moved on.
    pub(super) look: bool,
    /// Notices were lost: files that were moved on are found by their names only.
    pub(super) search: bool,
}

/// What was complained of last: each state is said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Complaint {
    Missing,
    NotPermitted,
    NotAFile,
    Io,
    Unreadable,
}

/// Tells a receiver.
pub(super) type Tell<'a> = &'a mut dyn FnMut(Told<'_>) -> Taken;

impl Followed {
    pub(super) fn open(
        path: &Path,
        source: usize,
        start: StartAt,
        positions: &[Position],
        notices: &mut Notices,
        registry: &mut Registry,
    ) -> (Self, Option<TailWarning>, Vec<Gap>) {
        let mut followed = Self {
            path: path.to_owned(),
            source,
            place: None,
            readings: VecDeque::new(),
            has_current: false,
            finished: VecDeque::new(),
            old: None,
            has_riddles: false,
            complaint: None,
            absent_since: None,
            needs: Needs {
                read: true,
                ..Needs::default()
            },
            paused_until: None,
        };
        followed.settle(notices);
        let mut opened = open_regular(path);
        let mut gaps = Vec::new();
        if start == StartAt::Resume && !positions.is_empty() {
            let mut resumed = Resumed::default();
            for _ in 0..MOST_LOOKS {
                let current = opened.as_ref().ok().map(|(file, look)| (file, *look));
                resumed = resume(followed.place.as_ref(), current, positions);
                if resumed.missing.is_none() {
                    break;
                }
                // It may have been rotated while it was looked for.
                opened = open_regular(path);
            }
            gaps.extend(followed.adopt(resumed, notices, registry));
        }
        let warning = match opened {
            Ok((file, look)) if !followed.has_current => {
                let offset = match (start, positions.is_empty()) {
                    (StartAt::Beginning, _) | (StartAt::Resume, false) => 0,
                    (StartAt::End, _) | (StartAt::Resume, true) => look.size,
                };
                followed.enter(Reading::begin(file, &look, offset), notices, registry);
                None
            }
            Ok(_) => None,
            Err(warning) => {
                if let (Ok(look), StartAt::End) = (Look::at(path), start) {
                    followed.old = Some((look.identity, look.size));
                }
                followed.complaint = Some(Complaint::of(&warning));
                Some(warning)
            }
        };
        (followed, warning, gaps)
    }

    /// Goes on where a predecessor stopped.
    fn adopt(
        &mut self,
        resumed: Resumed,
        notices: &mut Notices,
        registry: &mut Registry,
    ) -> Option<Gap> {
        let of_others = |it: &Reading| registry.is_anothers(it.identity(), self.source);
        let older: Vec<_> = resumed
            .older
            .into_iter()
            .filter(|it| !of_others(it))
            .collect();
        for reading in older {
            self.insert(0, reading, notices, registry);
            self.readings.rotate_left(1);
        }
        if let Some(current) = resumed.current {
            self.enter(current, notices, registry);
        }
        self.finished.extend(resumed.finished);
        resumed.missing.map(|(content, offset)| Gap {
            source: self.source,
            content: Some(content),
            from: offset,
            bytes: None,
            reason: GapReason::Vanished,
        })
    }

    /// Finds out where the path leads, and asks to be told what happens there.
    fn settle(&mut self, notices: &mut Notices) {
        // A link is turned in its own folder.
        notices.watch_folder(folder_of(&self.path), self.source);
        let Ok(place) = Place::of(&self.path) else {
            return;
        };
        notices.watch_folder(place.folder(), self.source);
        if !self.place.as_ref().is_some_and(|it| it.is_where(&place)) {
            self.place = Some(place);
        }
    }

    /// `reading` is what stands at the path now.
    fn enter(&mut self, reading: Reading, notices: &mut Notices, registry: &mut Registry) {
        self.insert(self.readings.len(), reading, notices, registry);
        self.has_current = true;
        self.complaint = None;
    }

    /// `reading` is read before what stands at this place of the list.
    fn insert(
        &mut self,
        index: usize,
        mut reading: Reading,
        notices: &mut Notices,
        registry: &mut Registry,
    ) {
        registry.claim(reading.identity(), self.source);
        notices.watch(&mut reading, self.source);
        self.know(reading.identity());
        self.readings.insert(index, reading);
        self.needs.read = true;
    }

    fn current(&self) -> Option<&Reading> {
        self.readings.back().filter(|_| self.has_current)
    }

    fn know(&mut self, identity: Identity) {
        if let Some(place) = &mut self.place {
            place.know(identity);
        }
    }

    fn meet(&mut self, identity: Identity) {
        if let Some(place) = &mut self.place {
            place.meet(identity);
        }
    }

    /// From here on what comes to the path is counted. It is looked at once more: something may have
    /// come while it was opened.
    pub(super) fn begin_to_count(&mut self) {
        self.needs.look = true;
        if let Some(place) = &mut self.place {
            place.begin_to_count();
        }
    }

    /// Files that came and were gone before they could be opened.
    pub(super) fn take_unmet(&mut self) -> Option<Gap> {
        let unmet = self.place.as_mut().map_or(0, Place::take_unmet);
        (unmet > 0).then_some(Gap {
            source: self.source,
            content: None,
            from: 0,
            bytes: None,
            reason: GapReason::Removed(unmet),
        })
    }

    /// Takes in a notice.
    pub(super) fn hear(&mut self, notice: Notice<'_>) {
        match notice {
            Notice::Written => self.needs.read = true,
            Notice::Lost => {
                self.needs = Needs {
                    read: true,
                    look: true,
                    search: true,
                }
            }
            Notice::Moved { name, what, cookie } => {
                let is_own = self.path.file_name() == Some(name);
                let place = self.place.as_mut();
                let is_there = place.is_none_or(|place| place.hear(name, what, cookie));
                self.needs.look |= is_own || is_there;
            }
        }
    }

    /// Whether its receiver is to be left alone at this moment.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// A regular look, because not everything is told: cheap when nothing has happened.
    pub(super) fn look_regularly(&mut self, is_told: bool) {
        self.needs.read = true;
        let there = Look::at(&self.path).map(|look| look.identity).ok();
        let expected = self.current().map(Reading::identity);
        if there != expected || there.is_none() || self.has_riddles {
            self.needs.look = true;
            self.needs.search |= !is_told;
        }
    }

    /// Notices when another file has taken the path, and finds those that were there in between.
    pub(super) fn look_at_path(
        &mut self,
        notices: &mut Notices,
        registry: &mut Registry,
        told: Tell<'_>,
    ) {
        self.needs.look = false;
        for _ in 0..MOST_LOOKS {
            match Look::at(&self.path) {
                Err(error) => {
                    self.complain_of_absence(&error, told);
                    return;
                }
                Ok(look) => {
                    self.absent_since = None;
                    let expected = self.current().map(Reading::identity);
                    if expected == Some(look.identity)
                        || registry.is_anothers(look.identity, self.source)
                    {
                        return;
                    }
                }
            }
            self.settle(notices);
            // Once more afterwards: it may have been moved on while it was opened.
            if !self.take_successor(notices, registry, told) {
                return;
            }
        }
    }

    /// Opens what stands at the path; whether that could be done.
    fn take_successor(
        &mut self,
        notices: &mut Notices,
        registry: &mut Registry,
        told: Tell<'_>,
    ) -> bool {
        let (file, look) = match open_regular(&self.path) {
            Ok(opened) => opened,
            Err(TailWarning::Missing(_)) => return true,
            Err(warning) => {
                self.complain(Complaint::of(&warning), warning, told);
                return false;
            }
        };
        let is_it = |reading: &Reading| reading.identity() == look.identity;
        let known = self.readings.iter().position(is_it);
        // It may have stood here before and come back: read on where we were.
        let known = known.and_then(|index| self.readings.remove(index));
        let successor = known.unwrap_or_else(|| self.begin(file, &look));
        self.meet(look.identity);
        self.enter(successor, notices, registry);
        true
    }

    /// A file that is met for the first time, or again.
    fn begin(&mut self, file: File, look: &Look) -> Reading {
        let fits = |content: &Content| content.file == look.identity && content.head.fits(&file);
        let read_before = self
            .finished
            .iter()
            .rev()
            .find(|(content, offset)| *offset <= look.size && fits(content));
        if let Some((content, offset)) = read_before {
            return Reading::go_on(file, look.identity, *content, *offset);
        }
        let offset = match self.old.take() {
            Some((old, length)) if old == look.identity && length <= look.size => length,
            _ => 0,
        };
        Reading::begin(file, look, offset)
    }

    fn complain_of_absence(&mut self, error: &io::Error, told: Tell<'_>) {
        let since = *self.absent_since.get_or_insert_with(Instant::now);
        let is_missing = error.kind() == ErrorKind::NotFound;
        if is_missing && since.elapsed() < ABSENCE {
            // Moved away, with no successor yet: its writer may still write to it.
            return;
        }
        let warning = TailWarning::of(&self.path, io::Error::from(error.kind()));
        self.complain(Complaint::of(&warning), warning, told);
    }

    fn complain(&mut self, complaint: Complaint, warning: TailWarning, told: Tell<'_>) {
        if self.complaint != Some(complaint) {
            self.complaint = Some(complaint);
            told(Told::Warning(warning));
        }
    }

    /// Reads what is new, the older files first. Whether there is more to read at once.
    pub(super) fn read(
        &mut self,
        notices: &mut Notices,
        registry: &mut Registry,
        buffer: &mut [u8],
        told: Tell<'_>,
    ) -> bool {
        self.needs.read = false;
        self.paused_until = None;
        let mut index = 0;
        while index < self.readings.len() {
            if self.readings[index].is_met_first() {
                self.insert_missed(index, notices, registry);
            }
            let progress = self.readings[index].read((self.source, &self.path), buffer, told);
            if let Some(known) = self.readings[index].take_known_before() {
                self.remember(known);
            }
            match progress {
                // What is younger waits, so that the order is kept.
                Progress::More => return true,
                Progress::NoRoom => return self.pause(),
                Progress::Cut if self.recover(index, notices, registry, told) == Taken::Yes => {
                    continue;
                }
                Progress::Cut => return self.pause(),
                Progress::AtEnd => {}
                Progress::Failed(source) => self.complain_of_failure(index, source, told),
            }
            let has_left = !(self.has_current && index + 1 == self.readings.len());
            if has_left && self.retire(index, notices, registry, told) {
                continue;
            }
            index += 1;
        }
        false
    }

    fn complain_of_failure(&mut self, index: usize, source: io::Error, told: Tell<'_>) {
        if self.has_current && index + 1 == self.readings.len() {
            let path = self.path.clone();
            let warning = TailWarning::Unreadable { path, source };
            self.complain(Complaint::Unreadable, warning, told);
        }
    }

    fn pause(&mut self) -> bool {
        self.paused_until = Some(Instant::now() + PAUSE);
        self.needs.read = true;
        false
    }

    /// A file that has left its path and is at its end: whether it is let go.
    fn retire(
        &mut self,
        index: usize,
        notices: &mut Notices,
        registry: &mut Registry,
        told: Tell<'_>,
    ) -> bool {
        let is_crowded = self.readings.len() > MOST_RETIRED;
        let reading = &mut self.readings[index];
        let quiet_for = reading.moved_at().elapsed();
        if quiet_for < QUIET || reading.finish_line(self.source, told) == Taken::NoRoom {
            return false;
        }
        if quiet_for < SILENT && !is_crowded {
            return false;
        }
        if let Some(mut reading) = self.readings.remove(index) {
            notices.unwatch(&mut reading, self.source);
            registry.release(reading.identity(), self.source);
            self.remember(reading.place());
        }
        true
    }

    fn remember(&mut self, finished: (Content, u64)) {
        if self.finished.len() == MOST_FINISHED {
            self.finished.pop_front();
        }
        self.finished.push_back(finished);
    }

    /// Hands out unfinished lines as well: the last call.
    pub(super) fn finish(&mut self, told: Tell<'_>) {
        for reading in &mut self.readings {
            reading.finish_line(self.source, told);
        }
    }
}

impl Complaint {
    fn of(warning: &TailWarning) -> Self {
        match warning {
            TailWarning::Missing(_) => Self::Missing,
            TailWarning::NotPermitted(_) => Self::NotPermitted,
            TailWarning::NotAFile(_) => Self::NotAFile,
            TailWarning::Io { .. } | TailWarning::BadPattern { .. } => Self::Io,
            TailWarning::Unreadable { .. } => Self::Unreadable,
        }
    }
}

/// Opens nothing but files: to open a pipe would let its writer go on, who then writes to nobody, and some
/// devices do things when they are opened. What takes the place of a file in between is opened without
/// waiting for its other end, and without becoming a terminal's owner.
pub(super) fn open_regular(path: &Path) -> Result<(File, Look), TailWarning> {
    let refused = |error: io::Error| TailWarning::of(path, error);
    if !Look::at(path).map_err(refused)?.is_regular {
        return Err(TailWarning::NotAFile(path.to_owned()));
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(refused)?;
    let look = Look::through(&file).map_err(refused)?;
    if look.is_regular {
        Ok((file, look))
    } else {
        Err(TailWarning::NotAFile(path.to_owned()))
    }
}
