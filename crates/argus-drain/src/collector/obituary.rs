//! Why a process ended that nobody but the collector has watched, as a `terminated` event.
//!
//! `argus run` and `argus gaze` write that event themselves. Their word on a process lasts from their
//! first event about it to some time after the last one; a process that they speak about gets no
//! second event from here. Should an observer be killed itself, the event is missing, and the run ends
//! all the same: its producer's end is noted in any case.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argus_model::{Death, Timestamp};
use argus_store::batch::{ProcessEventRow, RunKey, Subject};

/// For so long after an observer's last word nothing is added to it: the end of the same process may
/// still have to be read from its spool.
const LAST_WORD: Duration = Duration::from_secs(60);

/// Ends that are to be told.
#[derive(Debug, Default)]
pub(super) struct Obituaries {
    /// Runs that observers speak about, and since when they have no more to say.
    watched: HashMap<RunKey, Option<Instant>>,
    deaths: HashMap<RunKey, (Option<i32>, Death)>,
}

impl Obituaries {
    /// Hears what observers say.
    pub(super) fn listen(&mut self, events: &[ProcessEventRow]) {
        let is_over = |since: &Option<Instant>| since.is_some_and(|at| at.elapsed() > LAST_WORD);
        self.watched.retain(|_, since| !is_over(since));
        for event in events {
            let is_last = ["terminated", "monitoring_stopped"].contains(&event.event_type.as_str());
            let since = is_last.then(Instant::now);
            self.watched.insert(event.subject.run, since);
        }
    }

    /// Notes how a process has ended.
    pub(super) fn note(&mut self, run: RunKey, exit_code: Option<i32>, why: Death) {
        self.deaths.insert(run, (exit_code, why));
    }

    /// The event, once, if the end was noted and nobody else tells it.
    pub(super) fn write(
        &mut self,
        subject: &Arc<Subject>,
        at: Timestamp,
    ) -> Option<ProcessEventRow> {
        let (exit_code, why) = self.deaths.remove(&subject.run)?;
        let is_watched = self.watched.contains_key(&subject.run);
        (!is_watched).then(|| ProcessEventRow {
            at,
            subject: Arc::clone(subject),
            event_type: "terminated".into(),
            exit_code,
            detail: Some(why.detail()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(pid: u32) -> Arc<Subject> {
        Arc::new(Subject {
            run: RunKey {
                pid,
                ..RunKey::default()
            },
            ..Subject::default()
        })
    }

    fn event(pid: u32, event_type: &str) -> ProcessEventRow {
        ProcessEventRow {
            at: Timestamp::default(),
            subject: subject(pid),
            event_type: event_type.into(),
            exit_code: None,
            detail: None,
        }
    }

    #[test]
    fn an_end_is_told_once_and_only_of_whom_nobody_watched() {
        let mut obituaries = Obituaries::default();
        obituaries.listen(&[event(1, "started"), event(2, "monitoring_started")]);
        obituaries.listen(&[event(2, "terminated")]);
        for pid in [1, 2, 3] {
            obituaries.note(subject(pid).run, Some(3), Death::of_code(Some(3)));
        }
        let at = Timestamp::default();
        assert_eq!(obituaries.write(&subject(1), at), None);
        assert_eq!(obituaries.write(&subject(2), at), None, "told already");
        let told = obituaries.write(&subject(3), at).unwrap();
        assert_eq!(
            (told.event_type.as_str(), told.exit_code),
            ("terminated", Some(3))
        );
        assert_eq!(told.detail, Some(Death::of_code(Some(3)).detail()));
        assert_eq!(obituaries.write(&subject(3), at), None);
        assert_eq!(obituaries.write(&subject(4), at), None, "nothing is known");
    }
}
