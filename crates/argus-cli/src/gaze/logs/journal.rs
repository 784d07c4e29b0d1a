//! The journal's entries, each with whose words they are.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use argus_model::record::LogSource;
use argus_observe::journal::{self, Entry, Journal, Place};
use argus_observe::line::Taken;
use argus_observe::process::{Target, find_by_pid};
use argus_observe::tail::Told;
use argus_observe::wake::{Bell, wait_any};

use super::{Pipe, Scribe, Voice, show};
use crate::gaze::AppName;
use crate::gaze::console;
use crate::gaze::desk::Desk;
use crate::gaze::recorder::Subject;

/// Speakers that are remembered: a unit may start a process for every request.
const MOST_SPEAKERS: usize = 256;

/// When a line that found no room is offered again.
const PAUSE: Duration = Duration::from_millis(50);

/// A unit's entries on their way into the spool.
struct Clerk<'a> {
    name: String,
    scribe: Scribe<'a>,
    voice: &'a Voice,
    desk: Desk<'a>,
    speakers: HashMap<u32, Subject>,
    /// The log that is read, and the key of its content.
    log: Option<(u128, u64)>,
}

/// Records and shows every entry until `stop` rings.
pub(super) fn read(
    mut journal: Journal,
    unit: &str,
    scribe: Scribe<'_>,
    stop: &Bell,
    voice: &Voice,
    desk: Desk<'_>,
) {
    let mut clerk = Clerk {
        name: journal::name(unit),
        scribe,
        voice,
        desk,
        speakers: HashMap::new(),
        log: None,
    };
    let mut taken = match journal.begins_behind() {
        Some(place) => clerk.begin(place),
        None => Taken::Yes,
    };
    while let Some(descriptor) = journal.descriptor() {
        let (is_ready, is_over) = match taken {
            Taken::Yes => match wait_any([descriptor, stop.as_fd()], None) {
                Ok([is_ready, is_over]) => (is_ready, is_over),
                Err(_) => return,
            },
            Taken::NoRoom => match wait_any([stop.as_fd()], Some(PAUSE)) {
                Ok([is_over]) => (!is_over, is_over),
                Err(_) => return,
            },
        };
        if is_ready {
            taken = journal.read(|entry| clerk.take(entry));
            desk.console.release();
        }
        if is_over {
            return;
        }
    }
    let said = journal.last_words();
    let why = said.as_deref().unwrap_or("journalctl has ended");
    console::warn(&format!(
        "the journal of {unit} is not read any more: {why}"
    ));
}

impl Clerk<'_> {
    fn take(&mut self, entry: &Entry<'_>) -> Taken {
        if let Some(place) = entry.place
            && self.log.is_none_or(|(log, _)| log != place.log)
            && self.begin(Place { lines: 0, ..place }) == Taken::NoRoom
        {
            return Taken::NoRoom;
        }
        let place = entry
            .place
            .zip(self.log)
            .map(|(place, (_, key))| (key, place.offset()));
        let from = Pipe {
            level: entry.level,
            said_at: entry.said_at,
            place,
            ..Pipe::of(LogSource::Journal)
        };
        let (own, label) = self.voice.speaker();
        if self.speakers.len() > MOST_SPEAKERS {
            self.speakers.clear();
        }
        let subject: &Subject = match entry.pid.filter(|pid| *pid != own.pid()) {
            Some(pid) => self
                .speakers
                .entry(pid)
                .or_insert_with(|| speaker_of(pid, entry)),
            None => &own,
        };
        let (voice, desk) = (self.voice, self.desk);
        self.scribe.line(subject, &from, &entry.line, |outcome| {
            show(outcome, voice, &label, desk);
        })
    }

    /// Notes that a log is read from behind this place on.
    fn begin(&mut self, place: Place) -> Taken {
        let key = self.log.map_or(0, |(_, key)| key + 1);
        let content = place.content();
        let begins = Told::Begins {
            source: LogSource::Journal as usize,
            path: Path::new(&self.name),
            content: &content,
            key,
            offset: place.offset(),
            file: None,
        };
        let (own, _) = self.voice.speaker();
        let taken = self.scribe.take(&own, begins, |_| {});
        if taken == Taken::Yes {
            self.log = Some((place.log, key));
        }
        taken
    }
}

/// The process that an entry is of, which may have ended.
fn speaker_of(pid: u32, entry: &Entry<'_>) -> Subject {
    let target = find_by_pid(pid).unwrap_or_else(|_| Target {
        pid,
        start_ticks: 0,
        process_name: entry.process_name.unwrap_or_default().to_owned(),
        command_line: String::new(),
        exe: None,
    });
    let app_name = AppName::of(None, &target.process_name);
    Subject::new(&target, &app_name.text, None)
}
