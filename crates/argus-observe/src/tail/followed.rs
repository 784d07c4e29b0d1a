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

use super::identity::{Content, Identity, Look, place_in};
use super::notices::{Notice, Notices};
use super::place::{Before, Place, folder_of};
use super::reading::{Progress, Reading};
use super::resume::{Resumed, resume};
use super::{Gap, GapReason, Position, Registry, StartAt, TailWarning, Told};
use crate::line::Taken;
use recover::Missing;

/// How long a file that has left its path must be quiet before its last line counts as all there is,
/// and before it may have to give way to others.
const QUIET: Duration = Duration::from_secs(5);

/// How long it must be quiet to be let go: servers that keep their file open until they are told to
/// reopen it write to it for a while.
const SILENT: Duration = Duration::from_secs(600);

/// Files that have left their path and are kept open.
const MOST_RETIRED: usize = 64;

/// Contents of which it is remembered how far they were read.
const MOST_FINISHED: usize = 256;

/// How long a path may lead nowhere before that is said: rotation leaves it empty for a moment.
const ABSENCE: Duration = Duration::from_secs(2);

/// How long a receiver that had no room is left alone.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks at a path that changes all the time.
pub(super) const MOST_LOOKS: usize = 16;

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
    /// Contents that were known by fewer bytes while they were short, and how much of them was read then.
    shorter: VecDeque<(Content, u64)>,
    /// What looked like copies of what was never read, before it was heard whether they are.
    suspects: Vec<(Identity, PathBuf)>,
    /// How much of a file that was there at the start, but could not be opened, is old.
    old: Option<(Identity, u64)>,
    /// Something was spotted of which nothing can be said yet: to be looked at again.
    has_riddles: bool,
    /// The folder is another by now, or gone: nothing is told of what happens there.
    is_deaf: bool,
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
            shorter: VecDeque::new(),
            suspects: Vec::new(),
            old: None,
            has_riddles: false,
            is_deaf: false,
            complaint: None,
            absent_since: None,
            needs: Needs {
                read: true,
                ..Needs::default()
            },
            paused_until: None,
        };
        followed.settle(notices, Before::Known);
        let mut opened = open_regular(path);
        let mut gaps = Vec::new();
        if start == StartAt::Resume && !positions.is_empty() {
            let mut resumed = Resumed::default();
            for _ in 0..MOST_LOOKS {
                let current = opened.as_ref().ok().map(|(file, look)| (file, *look));
                resumed = resume(followed.place.as_ref(), current, positions);
                // It may have been rotated while it was looked for.
                let there = Look::at(path).map(|look| look.identity).ok();
                let is_there = there == opened.as_ref().ok().map(|(_, look)| look.identity);
                if resumed.missing.is_empty() && !resumed.is_stale && is_there {
                    break;
                }
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
    ) -> Vec<Gap> {
        let of_others = |it: &Reading| registry.is_anothers(it.identity(), self.source);
        let older: Vec<_> = resumed
            .older
            .into_iter()
            .filter(|it| !of_others(it))
            .collect();
        for mut reading in older {
            reading.leave(0);
            self.insert(0, reading, notices, registry);
            self.readings.rotate_left(1);
        }
        if let Some(current) = resumed.current {
            self.enter(current, notices, registry);
        }
        self.finished.extend(resumed.finished);
        // What was not emptied yet may be by now.
        if let Some(place) = &mut self.place {
            resumed.copies.into_iter().for_each(|it| place.forget(it));
        }
        let gap = |(content, from, reason)| Gap {
            source: self.source,
            content: Some(content),
            from,
            bytes: None,
            reason,
        };
        resumed.missing.into_iter().map(gap).collect()
    }

    /// Finds out where the path leads, and asks to be told what happens there.
    fn settle(&mut self, notices: &mut Notices, before: Before) {
        // A link is turned in its own folder.
        notices.watch_folder(folder_of(&self.path), self.source);
        let Ok(mut place) = Place::of(&self.path) else {
            return;
        };
        notices.watch_folder(place.folder(), self.source);
        if self.is_deaf {
            // What came before it could be heard of is found by its name.
            self.is_deaf = false;
            self.needs.look = true;
            self.needs.search = true;
        }
        if self.place.as_ref().is_some_and(|it| it.is_where(&place)) {
            return;
        }
        // A folder that was not there held nothing.
        if self.place.is_some() || before == Before::Known {
            place.know_all();
        } else {
            self.needs.look = true;
            self.needs.search = true;
        }
        if let Some(before) = &self.place {
            place.go_on_counting(before);
        }
        self.place = Some(place);
        // What stood elsewhere stood there before.
        self.readings.iter_mut().for_each(|it| it.leave(0));
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
                if let Some(place) = &mut self.place {
                    place.unlearn();
                }
                self.needs = Needs {
                    read: true,
                    look: true,
                    search: true,
                }
            }
            Notice::Deaf => {
                self.is_deaf = true;
                self.hear(Notice::Lost);
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
        let look = Look::at(&self.path).ok();
        let mut readings = self.readings.iter();
        let is_alone = self.has_current && self.readings.len() == 1;
        let rests = look.is_some_and(|look| readings.all(|reading| reading.rests(&look)));
        self.needs.read |= !(is_alone && rests);
        let there = look.map(|look| look.identity);
        let expected = self.current().map(Reading::identity);
        if there != expected || there.is_none() || self.has_riddles || self.is_deaf {
            self.needs.look = true;
            self.needs.search |= !is_told || self.is_deaf;
        }
    }

    /// Notices when another file has taken the path, and finds those that were there in between.
    pub(super) fn look_at_path(
        &mut self,
        notices: &mut Notices,
        registry: &mut Registry,
        told: Tell<'_>,
    ) {
        if self.is_deaf {
            self.settle(notices, Before::New);
        }
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
            self.settle(notices, Before::New);
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
        let places = || self.finished.iter().rev().copied();
        let read_before = place_in(&file, look, places());
        if let Some((content, offset)) = read_before.and_then(|index| places().nth(index)) {
            return Reading::go_on(file, look.identity, content, offset);
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
        self.let_go_of_overwritten(notices, registry);
        let mut index = 0;
        while index < self.readings.len() {
            if let Some(modified_ns) = self.readings[index].is_met_first() {
                match self.insert_missed(index, notices, registry) {
                    Missing::InDoubt => {
                        self.needs.look = true;
                        return true;
                    }
                    Missing::Found(copies) => {
                        self.readings[index + copies].meet(modified_ns);
                    }
                    Missing::Another => {}
                }
            }
            let progress = self.read_one(index, buffer, told);
            match progress {
                // What is younger waits, so that the order is kept.
                Progress::More => return true,
                Progress::NoRoom => return self.pause(),
                Progress::Cut if self.recover(index, notices, registry, told) == Taken::Yes => {
                    index = 0;
                    continue;
                }
                Progress::Cut => return self.pause(),
                Progress::AtEnd => {}
                Progress::Failed(source) => self.complain_of_failure(index, source, told),
            }
            if !self.is_current(index) && self.retire(index, notices, registry, told) {
                continue;
            }
            index += 1;
        }
        false
    }

    fn read_one(&mut self, index: usize, buffer: &mut [u8], told: Tell<'_>) -> Progress {
        let reading = &mut self.readings[index];
        if reading.is_read_copy() {
            return Progress::AtEnd;
        }
        let mut progress = reading.read((self.source, &self.path), buffer, told);
        let is_at_end = matches!(progress, Progress::AtEnd);
        if is_at_end && reading.finish_copy(self.source, told) == Taken::NoRoom {
            progress = Progress::NoRoom;
        }
        if let Some(known) = reading.take_known_before() {
            keep(&mut self.shorter, known);
        }
        progress
    }

    /// Whether this reading is of what stands at the path.
    fn is_current(&self, index: usize) -> bool {
        self.has_current && index + 1 == self.readings.len()
    }

    fn complain_of_failure(&mut self, index: usize, source: io::Error, told: Tell<'_>) {
        if self.is_current(index) {
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
        keep(&mut self.finished, finished);
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

fn keep(contents: &mut VecDeque<(Content, u64)>, content: (Content, u64)) {
    if contents.len() >= MOST_FINISHED {
        contents.pop_front();
    }
    contents.push_back(content);
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
