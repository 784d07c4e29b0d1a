//! The last bytes of processes that have ended.
//!
//! The kernel tells the end of a process at once, and those of its connections when it finds time to:
//! with them comes what moved after the last look. So the totals that are written before the
//! `terminated` event are written again after it when they have grown. They are sums from the
//! beginning on, and the greatest is the last.

use std::sync::Arc;
use std::time::Duration;

use argus_model::{Measure, Monotonic};
use argus_observe::network::{Departed, Traffic};
use argus_observe::platform;

use super::Engine;
use crate::gaze::recorder::{Named, Recorder, Subject};
use crate::gaze::watched::Watched;

/// How long the kernel is given. A connection whose other side does not answer any more takes minutes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is listened to meanwhile.
const EVERY: Duration = Duration::from_millis(20);

/// A process that has ended, of whose connections not all are known to have.
pub(super) struct Late {
    subject: Arc<Subject>,
    account: Departed,
    told: Traffic,
    due: Monotonic,
    until: Monotonic,
}

impl Late {
    /// When it is worth listening again.
    pub(super) fn due(&self) -> Monotonic {
        self.due
    }
}

impl Engine<'_, '_> {
    /// Tells what a process that has ended has moved, as far as it is known.
    pub(super) fn tell_traffic(&mut self, process: &Watched, now: Monotonic) {
        let Some(network) = &mut self.network else {
            return;
        };
        let account = network.ended(process.target.pid);
        // What moved since the last look: it may fail, and then that look stands.
        let _ = network.look_at_once(now);
        let Some(account) = account else {
            return;
        };
        let told = network.last_traffic(&account);
        tell(self.desk.recorder, &process.subject, told, now);
        if network.is_settled(&account) {
            network.close(account);
        } else {
            self.late.push(Late {
                subject: Arc::clone(&process.subject),
                account,
                told,
                due: now.plus(EVERY),
                until: now.plus(PATIENCE),
            });
        }
    }

    /// Tells what is known of all that have ended, and waits no more.
    pub(super) fn hear_no_more(&mut self) {
        for late in &mut self.late {
            (late.due, late.until) = Default::default();
        }
        self.hear_the_last();
    }

    /// Tells what has become known since of those that have ended.
    pub(super) fn hear_the_last(&mut self) {
        let now = platform::monotonic_now();
        let Some(network) = &mut self.network else {
            return;
        };
        if self.late.iter().all(|late| late.due > now) {
            return;
        }
        network.hear_of_ends();
        for mut late in std::mem::take(&mut self.late) {
            late.due = now.plus(EVERY);
            let is_over = now >= late.until || network.is_settled(&late.account);
            if !is_over {
                self.late.push(late);
                continue;
            }
            let traffic = network.last_traffic(&late.account);
            if traffic != late.told {
                tell(self.desk.recorder, &late.subject, traffic, now);
            }
            network.close(late.account);
        }
    }
}

/// What a process has moved over TCP in all.
fn tell(recorder: &Recorder, subject: &Subject, traffic: Traffic, now: Monotonic) {
    for (measure, bytes) in [
        (Measure::NetworkReceived, traffic.received),
        (Measure::NetworkSent, traffic.sent),
    ] {
        if bytes > 0 {
            let named = Named {
                name: measure.name(),
                #[expect(clippy::cast_precision_loss, reason = "exact up to eight pebibytes")]
                value: bytes as f64,
                unit: "By",
            };
            recorder.metric(subject, now, &named, &[]);
        }
    }
}
