//! The reading side: walks everything and keeps what passes the filter.

use std::collections::{BTreeMap, HashMap};

use argus_model::Timestamp;
use argus_model::record::ThreadState;

use super::{Data, Memory};
use crate::batch::{CollectorState, GapRow, RunKey, Status};
use crate::engine::statistics::{self, Calls};
use crate::engine::text::captured_contains;
use crate::error::ReadError;
use crate::query::{
    ChosenRun, Counts, Found, FunctionStatistics, LogFilter, Order, Page, ProcessFilter,
    ProducerLedger, RemoteParents, STACKS_HOLD, SearchWatch, Searched, SpanFilter, Store,
    StoredEvent, StoredGap, StoredLog, StoredLogPosition, StoredLogTemplate, StoredMetric,
    StoredOpenSpan, StoredProcessEvent, StoredRemoteParent, StoredRun, StoredSample, StoredSession,
    StoredSpan, StoredStack, Table, TimeRange, WhichRun,
};

impl Store for Memory {
    fn version(&self) -> Result<u64, ReadError> {
        Ok(self.data().version)
    }

    fn spans(&self, filter: &SpanFilter, page: Page) -> Result<Vec<StoredSpan>, ReadError> {
        let data = self.data();
        let named = |span: &StoredSpan| StoredSpan {
            app_name: data.app_name(span.key.producer),
            captured: json(span.captured.as_deref()),
            ..span.clone()
        };
        let all: Vec<StoredSpan> = data.spans.iter().map(named).collect();
        Ok(cut(
            &all,
            page,
            |span| span.id,
            |span| {
                data.is_of(filter.run, Some(span.key.producer.into())) && span_passes(filter, span)
            },
        ))
    }

    fn search(
        &self,
        filter: &SpanFilter,
        page: Page,
        watch: SearchWatch<'_>,
    ) -> Result<Found, ReadError> {
        let spans = self.spans(filter, page)?;
        let rows = self.data().spans.len() as u64;
        // Everything is looked through at once, so there is nothing to end.
        let _ = watch(Searched {
            rows,
            of: rows,
            found: spans.len(),
        });
        Ok(Found { spans, rest: None })
    }

    fn open_spans(&self, limit: usize) -> Result<Vec<StoredOpenSpan>, ReadError> {
        let data = self.data();
        let mut open = data.open_spans();
        open.sort_by_key(|span| span.started_at);
        open.truncate(limit);
        Ok(open)
    }

    fn runs(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredRun>, ReadError> {
        let passes = |run: &StoredRun| {
            let about = (run.started_at, run.run.pid, run.app_name.as_str());
            filter.run.is_none_or(|id| id == run.id)
                && process_passes(filter, about, &[&run.process_name, &run.command_line])
        };
        Ok(cut(&self.data().runs, page, |run| run.id, passes))
    }

    fn choose_run(&self, which: &WhichRun) -> Result<Option<ChosenRun>, ReadError> {
        Ok(self.data().choose_run(which))
    }

    fn living_children(&self, of: &StoredRun, limit: usize) -> Result<Vec<StoredRun>, ReadError> {
        let data = self.data();
        let is_child = |run: &&StoredRun| {
            let RunKey {
                pid, start_ticks, ..
            } = run.run;
            let elsewhere = RunKey {
                pid,
                start_ticks,
                ..of.run
            } != run.run;
            let living = run.ended_at.is_none() && !run.observer && !elsewhere;
            let meanwhile = run.started_at >= of.started_at
                && of.ended_at.is_none_or(|at| run.started_at <= at);
            living
                && run.parent.is_some_and(|parent| {
                    let ticks = parent.start_ticks;
                    parent.pid == of.run.pid
                        && ticks.map_or(meanwhile, |ticks| ticks == of.run.start_ticks)
                })
        };
        let children = data.runs.iter().filter(is_child);
        Ok(children.take(limit).cloned().collect())
    }

    fn samples(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredSample>, ReadError> {
        let data = self.data();
        let passes = |row: &StoredSample| {
            data.is_of(filter.run, data.samples.whose(row.id))
                && process_passes(
                    filter,
                    (row.at, row.pid, &row.app_name),
                    &[&row.process_name],
                )
        };
        Ok(cut(&data.samples, page, |row| row.id, passes))
    }

    fn logs(&self, filter: &LogFilter, page: Page) -> Result<Vec<StoredLog>, ReadError> {
        let data = self.data();
        let passes = |row: &StoredLog| {
            let whose = (row.at, row.pid, row.app_name.as_str());
            data.is_of(filter.of.run, data.logs.whose(row.id))
                && process_passes(&filter.of, whose, &[&row.line])
                && data.fits(filter, row)
        };
        Ok(cut(&data.logs, page, |row| row.id, passes))
    }

    fn log_positions(&self, path: &str) -> Result<Vec<StoredLogPosition>, ReadError> {
        Ok(self.data().positions_of(path))
    }

    fn log_templates(&self) -> Result<Vec<StoredLogTemplate>, ReadError> {
        Ok(self.data().log_templates.values().cloned().collect())
    }

    fn process_events(
        &self,
        filter: &ProcessFilter,
        page: Page,
    ) -> Result<Vec<StoredProcessEvent>, ReadError> {
        let data = self.data();
        let passes = |row: &StoredProcessEvent| {
            data.is_of(filter.run, data.process_events.whose(row.id))
                && process_passes(filter, (row.at, row.pid, &row.app_name), &[&row.event_type])
        };
        Ok(cut(&data.process_events, page, |row| row.id, passes))
    }

    fn metrics(&self, filter: &ProcessFilter, page: Page) -> Result<Vec<StoredMetric>, ReadError> {
        let data = self.data();
        let passes = |row: &StoredMetric| {
            data.is_of(filter.run, data.metrics.whose(row.id))
                && process_passes(filter, (row.at, row.pid, &row.app_name), &[&row.name])
        };
        Ok(cut(&data.metrics, page, |row| row.id, passes))
    }

    fn stacks(
        &self,
        whose: Option<RunKey>,
        at: Timestamp,
        limit: usize,
    ) -> Result<Vec<StoredStack>, ReadError> {
        let data = self.data();
        let place = |run: RunKey| data.runs.iter().position(|known| known.run == run);
        let from = at.minus(STACKS_HOLD);
        let mut last = BTreeMap::new();
        for stack in data.stacks.iter() {
            let is_meant = whose.is_none_or(|run| run == stack.run);
            if is_meant && stack.at > from && stack.at <= at {
                let is_other = stack.tid != stack.run.pid;
                last.insert((place(stack.run), is_other, stack.tid), stack);
            }
        }
        let living = last.into_values();
        Ok(living
            .filter(|stack| stack.state != ThreadState::Ended)
            .take(limit)
            .cloned()
            .collect())
    }

    fn functions(&self, time: TimeRange) -> Result<Vec<FunctionStatistics>, ReadError> {
        let (first, last) = statistics::minutes(time);
        let mut functions: HashMap<String, Calls> = HashMap::new();
        let data = self.data();
        let in_time = |span: &&StoredSpan| {
            let minute = statistics::minute(span.ended_at);
            (first..=last).contains(&minute)
        };
        for span in data.spans.iter().filter(in_time) {
            let calls = functions.entry(span.process.clone()).or_default();
            calls.count += 1;
            calls.errors += u64::from(span.status == Status::Err);
            calls.total_ns = calls.total_ns.saturating_add(span.duration_ns);
            calls.max_ns = calls.max_ns.max(span.duration_ns);
            calls.sketch.add(span.duration_ns);
        }
        Ok(statistics::ranked(functions))
    }

    fn remote_parents(
        &self,
        which: RemoteParents,
        limit: usize,
    ) -> Result<Vec<StoredRemoteParent>, ReadError> {
        let is_meant = |row: &&StoredRemoteParent| match which {
            RemoteParents::Trace(trace) => row.trace == trace,
            RemoteParents::Below(span) => row.parent == span,
        };
        let data = self.data();
        let latest = data.remote_parents.iter().rev();
        Ok(latest.filter(is_meant).take(limit).copied().collect())
    }

    fn ledger(&self) -> Result<Vec<ProducerLedger>, ReadError> {
        Ok(self.data().ledger())
    }

    fn gaps(&self, limit: usize) -> Result<Vec<StoredGap>, ReadError> {
        let data = self.data();
        let mut rows: Vec<_> = data.gaps.values().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.to, row.gap.number)));
        let stored = |row: &&GapRow| StoredGap {
            app_name: data.app_name(row.producer),
            pid: row.producer.pid,
            reason: row.gap.reason.word().to_owned(),
            normal: row.gap.normal,
            errors: row.gap.errors,
            from: row.from,
            to: row.to,
        };
        Ok(rows.iter().take(limit).map(stored).collect())
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        let data = self.data();
        let failed = |span: &&StoredSpan| span.status == Status::Err;
        Ok(Counts {
            spans: data.spans.len() as u64,
            errors: data.spans.iter().filter(failed).count() as u64,
            open_spans: data.open.len() as u64,
            samples: data.samples.len() as u64,
            logs: data.logs.len() as u64,
            process_events: data.process_events.len() as u64,
            metrics: data.metrics.len() as u64,
            stacks: data.stacks.len() as u64,
            sessions: data.sessions.len() as u64,
            seen_open: data.seen_open,
        })
    }

    fn collector(&self) -> Result<Option<CollectorState>, ReadError> {
        Ok(self.data().collector)
    }

    fn sessions(&self, limit: usize) -> Result<Vec<StoredSession>, ReadError> {
        let data = self.data();
        let newest = data.sessions.iter().rev().take(limit);
        Ok(newest.map(|session| session.record.clone()).collect())
    }

    fn session_events(
        &self,
        session: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, ReadError> {
        let data = self.data();
        let found = data
            .sessions
            .iter()
            .find(|known| known.record.session == session);
        let events = found.map_or(&[][..], |session| &session.events);
        let later = events.iter().filter(|event| event.seq > after);
        Ok(later.take(limit).cloned().collect())
    }

    fn query(&self, _text: &str, _limit: usize) -> Result<Table, ReadError> {
        Err(ReadError::Invalid(
            "the store in memory has no query language".to_owned(),
        ))
    }
}

impl Data {
    /// Whether a row of `whose` is one of the run with this id, if one is asked for.
    fn is_of(&self, run: Option<i64>, whose: Option<RunKey>) -> bool {
        let key = |id| Some(self.runs.iter().find(|known| known.id == id)?.run);
        run.is_none_or(|id| whose.is_some() && key(id) == whose)
    }

    fn choose_run(&self, which: &WhichRun) -> Option<ChosenRun> {
        let fits = |run: &&StoredRun| match which {
            WhichRun::Last => !run.observer,
            WhichRun::Id(id) => run.id == *id,
            WhichRun::Pid(pid) => run.run.pid == *pid && !run.observer,
            WhichRun::Named(name) => {
                (run.app_name == *name || run.process_name == *name) && !run.observer
            }
        };
        let last = |run: &&StoredRun| match which {
            WhichRun::Id(_) | WhichRun::Pid(_) => (false, run.started_at, run.id),
            WhichRun::Last | WhichRun::Named(_) => (
                run.ended_at.is_some(),
                run.ended_at.unwrap_or(run.started_at),
                run.id,
            ),
        };
        let fitting = self.runs.iter().filter(fits);
        let run = fitting.clone().max_by_key(last)?.clone();
        Some(ChosenRun {
            run,
            others: fitting.count() as u64 - 1,
        })
    }

    fn open_spans(&self) -> Vec<StoredOpenSpan> {
        let stored = |span: &crate::batch::OpenSpan| StoredOpenSpan {
            key: span.key,
            parent: span.parent,
            process: span.name.text.clone(),
            group: span.name.group.clone(),
            app_name: self.app_name(span.key.producer),
            pid: span.key.producer.pid,
            tid: span.thread.tid,
            thread: span.thread.name.clone(),
            started_at: span.started_at,
            captured: json(span.captured.as_deref()),
        };
        self.open.values().map(stored).collect()
    }

    fn ledger(&self) -> Vec<ProducerLedger> {
        let account = |producer: &super::Producer| {
            let gaps = || {
                let all = self.gaps.values();
                all.filter(|row| row.producer == producer.id)
            };
            ProducerLedger {
                producer: producer.id,
                app_name: producer.app_name.clone(),
                pid: producer.id.pid,
                seen_at: producer.seen_at,
                ended_at: producer.ended_at,
                stored: u64::try_from(producer.stored).unwrap_or(0),
                lost_normal: gaps().map(|row| row.gap.normal).sum(),
                lost_errors: gaps().map(|row| row.gap.errors).sum(),
                damaged: producer.damaged,
                unknown: producer.unknown,
            }
        };
        self.producers.iter().rev().map(account).collect()
    }
}

/// One page of the rows that pass.
fn cut<T: Clone>(
    rows: &[T],
    page: Page,
    id: impl Fn(&T) -> i64,
    passes: impl Fn(&T) -> bool,
) -> Vec<T> {
    let wanted = |row: &&T| {
        let beyond = |after| match page.order {
            Order::Newest => id(row) < after,
            Order::Oldest => id(row) > after,
        };
        page.after.is_none_or(beyond) && passes(row)
    };
    match page.order {
        Order::Newest => rows
            .iter()
            .rev()
            .filter(wanted)
            .take(page.limit)
            .cloned()
            .collect(),
        Order::Oldest => rows
            .iter()
            .filter(wanted)
            .take(page.limit)
            .cloned()
            .collect(),
    }
}

fn span_passes(filter: &SpanFilter, span: &StoredSpan) -> bool {
    let holds_text = |text: &String| {
        let captured = span.captured.as_deref();
        span.process.contains(text.as_str())
            || span
                .exception
                .as_ref()
                .is_some_and(|told| told.contains(text.as_str()))
            || captured.is_some_and(|captured| captured_contains(captured, text))
    };
    filter.time.contains(span.ended_at)
        && filter.status.is_none_or(|status| status == span.status)
        && filter
            .name
            .as_ref()
            .is_none_or(|name| span.process.contains(name.as_str()))
        && filter.pid.is_none_or(|pid| pid == span.pid)
        && filter
            .app_name
            .as_ref()
            .is_none_or(|name| *name == span.app_name)
        && filter.text.as_ref().is_none_or(holds_text)
}

fn process_passes(
    filter: &ProcessFilter,
    (at, pid, app_name): (Timestamp, u32, &str),
    texts: &[&String],
) -> bool {
    let holds = |text: &String| texts.iter().any(|held| held.contains(text.as_str()));
    filter.time.contains(at)
        && filter.pid.is_none_or(|wanted| wanted == pid)
        && filter
            .app_name
            .as_ref()
            .is_none_or(|wanted| wanted == app_name)
        && filter.text.as_ref().is_none_or(holds)
}

/// Captured text, where it is JSON.
fn json(captured: Option<&str>) -> Option<String> {
    let is_json = |text: &&str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    captured.filter(is_json).map(str::to_owned)
}
