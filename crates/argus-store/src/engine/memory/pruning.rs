//! Retention: by age and count as everywhere; memory has no file whose size could be limited.

use argus_model::Timestamp;
use argus_model::session::SessionStatus;

use super::Data;
use crate::engine::cutoff::Cutoffs;
use crate::retention::{Pruned, Rest, Retention};

impl Data {
    /// Removes one slice of what is beyond the limits.
    pub(super) fn prune(&mut self, retention: &Retention, now: Timestamp, slice: usize) -> Pruned {
        let cutoffs = Cutoffs::new(retention, now);
        let mut left = slice;
        left -= self.spans.remove(left, |span| {
            let before = cutoffs.of(span.group.as_deref());
            before.is_some_and(|before| span.ended_at < before)
        });
        if let Some(before) = cutoffs.all {
            left -= self.samples.remove(left, |row| row.at < before);
            left -= self.logs.remove(left, |row| row.at < before);
            left -= self.process_events.remove(left, |row| row.at < before);
            left -= self.metrics.remove(left, |row| row.at < before);
            left -= self.stacks.remove(left, |row| row.at < before);
        }
        left -= self.prune_sessions(&cutoffs, retention.sessions, left);
        if let Some(before) = cutoffs.longest
            && left == slice
        {
            left -= self.prune_processes(before, left);
        }
        Pruned {
            rows: (slice - left) as u64,
            rest: if left == 0 { Rest::More } else { Rest::Nothing },
        }
    }

    fn prune_sessions(&mut self, cutoffs: &Cutoffs, kept: Option<usize>, most: usize) -> usize {
        let has_ended = |status| matches!(status, SessionStatus::Completed | SessionStatus::Failed);
        let ended = |session: &&super::Session| has_ended(session.record.status);
        let before = self.sessions.len();
        let mut surplus = kept.map_or(0, |kept| {
            self.sessions
                .iter()
                .filter(ended)
                .count()
                .saturating_sub(kept)
        });
        let mut left = most;
        self.sessions.retain(|session| {
            if !ended(&session) || left == 0 {
                return true;
            }
            let old = cutoffs.all.zip(session.record.ended_at);
            let goes = surplus > 0 || old.is_some_and(|(before, ended)| ended < before);
            surplus = surplus.saturating_sub(usize::from(goes));
            left -= usize::from(goes);
            !goes
        });
        before - self.sessions.len()
    }

    fn prune_processes(&mut self, before: Timestamp, most: usize) -> usize {
        let (sessions, open, positions) = (&self.sessions, &self.open, &self.positions);
        let count = self.producers.len();
        let mut left = most;
        self.producers.retain(|producer| {
            let goes = left > 0
                && producer.ended_at.is_some_and(|ended| ended < before)
                && sessions
                    .iter()
                    .all(|session| session.producer != producer.id)
                && open.keys().all(|key| key.producer != producer.id)
                && positions.keys().all(|&(id, _)| id != producer.id);
            left -= usize::from(goes);
            !goes
        });
        let producers = &self.producers;
        let known = |id| producers.iter().any(|producer| producer.id == id);
        self.gaps.retain(|&(id, _), _| known(id));
        self.remote_parents.retain(|row| known(row.key.producer));
        let runs = self.runs.remove(left, |run| {
            run.ended_at.is_some_and(|ended| ended < before)
                && producers
                    .iter()
                    .all(|producer| run.run != producer.id.into())
        });
        count - self.producers.len() + runs
    }
}
