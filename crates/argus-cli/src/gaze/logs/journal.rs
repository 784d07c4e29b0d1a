//! The journal's entries, each with whose words they are.

use std::collections::HashMap;
use std::os::fd::AsFd;

use argus_model::record::LogSource;
use argus_observe::journal::{Entry, Journal};
use argus_observe::process::{Target, find_by_pid};
use argus_observe::wake::{Bell, wait_any};

use super::{Pipe, Scribe, Voice, show};
use crate::gaze::AppName;
use crate::gaze::console;
use crate::gaze::desk::Desk;
use crate::gaze::recorder::Subject;

/// Speakers that are remembered: a unit may start a process for every request.
const MOST_SPEAKERS: usize = 256;

/// Records and shows every entry until `stop` rings.
pub(super) fn read(
    mut journal: Journal,
    unit: &str,
    mut scribe: Scribe<'_>,
    stop: &Bell,
    voice: &Voice,
    desk: Desk<'_>,
) {
    let mut speakers: HashMap<u32, Subject> = HashMap::new();
    while let Some(descriptor) = journal.descriptor() {
        let Ok([is_ready, is_over]) = wait_any([descriptor, stop.as_fd()], None) else {
            return;
        };
        if is_ready {
            journal.read(|entry| {
                let (own, label) = voice.speaker();
                if speakers.len() > MOST_SPEAKERS {
                    speakers.clear();
                }
                let speaker = entry.pid.filter(|pid| *pid != own.pid());
                let subject: &Subject = match speaker {
                    Some(pid) => speakers
                        .entry(pid)
                        .or_insert_with(|| speaker_of(pid, entry)),
                    None => &own,
                };
                let from = Pipe {
                    level: entry.level,
                    said_at: entry.said_at,
                    ..Pipe::of(LogSource::Journal)
                };
                scribe.line(subject, &from, &entry.line, |outcome| {
                    show(outcome, voice, &label, desk);
                });
            });
            desk.console.release();
        } else if is_over {
            return;
        }
    }
    let said = journal.last_words();
    let why = said.as_deref().unwrap_or("journalctl has ended");
    console::warn(&format!(
        "the journal of {unit} is not read any more: {why}"
    ));
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
