//! Where observations go: recorded first, then shown.

use argus_model::Monotonic;
use argus_model::paths::DataDir;
use argus_observe::alarm::Transition;
use argus_observe::sample::Reading;

use super::console::{Console, Label};
use super::recorder::{Event, Named, Recorder, Subject};

/// The recorder and the console of one gaze, and the data folder.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) recorder: &'a Recorder,
    pub(super) console: &'a Console,
    pub(super) data: &'a DataDir,
}

/// Whom an observation is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) subject: &'a Subject,
    pub(super) label: &'a Label,
}

impl Desk<'_> {
    /// A measurement.
    pub(super) fn sample(self, about: About<'_>, reading: &Reading) {
        self.console.collecting();
        let number = self.recorder.sample(about.subject, reading);
        self.console.sample(about.label, reading, number);
    }

    /// An alert that has fired or is over.
    pub(super) fn alert(self, about: About<'_>, transition: &Transition) {
        let event = Event {
            detail: &transition.detail(),
            ..Event::plain(transition.event_type())
        };
        self.recorder.event(about.subject, &event);
        self.console.alert(about.label, &transition.to_string());
    }

    /// A named quantity.
    pub(super) fn metric(
        self,
        about: About<'_>,
        at: Monotonic,
        metric: &Named<'_>,
        attributes: &[(&str, &str)],
    ) {
        self.recorder.metric(about.subject, at, metric, attributes);
    }
}
