//! Up to which moment things go.

use std::collections::BTreeMap;
use std::time::Duration;

use argus_model::Timestamp;

use super::statistics;
use crate::retention::Retention;

/// The moments that the ages of a [`Retention`] stand for. All are whole minutes, as the
/// statistics are, so that these never describe half of a minute's spans.
#[derive(Debug)]
pub(super) struct Cutoffs {
    /// What is older goes.
    pub(super) all: Option<Timestamp>,
    /// Spans of these groups go by these moments instead.
    pub(super) groups: BTreeMap<String, Timestamp>,
    /// Nothing of what is older is left, whatever its group.
    pub(super) longest: Option<Timestamp>,
}

impl Cutoffs {
    pub(super) fn new(retention: &Retention, now: Timestamp) -> Self {
        let before = |age: &Duration| statistics::whole_minute(now.minus(*age));
        let all = retention.age.as_ref().map(before);
        let groups: BTreeMap<String, Timestamp> = retention
            .groups
            .iter()
            .map(|(group, age)| (group.clone(), before(age)))
            .collect();
        let longest = all.map(|all| groups.values().copied().fold(all, Timestamp::min));
        Self {
            all,
            groups,
            longest,
        }
    }

    /// The moment before which spans of this group go.
    pub(super) fn of(&self, group: Option<&str>) -> Option<Timestamp> {
        group
            .and_then(|group| self.groups.get(group).copied())
            .or(self.all)
    }
}
