//! The templates of log lines, as the collector keeps them: the store holds all of them, so that a
//! successor goes on with the same ones.

use argus_model::{Timestamp, json};
use argus_store::Batch;
use argus_store::batch::{LogRow, LogTemplate, ProcessEventRow};
use argus_store::query::StoredLogTemplate;
use foldhash::HashMap;

use crate::templates::{Change, Miner, TemplateId};

/// What a line that looks like none before it is told as.
const NEW_TEMPLATE: &str = "new_log_template";

/// Gives every log line its template.
#[derive(Debug, Default)]
pub(super) struct Templates(Miner);

impl Templates {
    /// With the templates of the collectors before.
    pub(super) fn recall(stored: Vec<StoredLogTemplate>) -> Self {
        let known = stored.into_iter().filter_map(|template| {
            let id = u64::try_from(template.id).ok()?;
            Some((TemplateId(id), template.pattern))
        });
        Self(Miner::recall(known))
    }

    /// Gives the batch's lines their templates, counts them, and tells of those never seen before.
    /// Lines that continue an event belong to its first.
    pub(super) fn assign(&mut self, batch: &mut Batch) {
        if batch.logs.is_empty() {
            return;
        }
        let mut counted: HashMap<TemplateId, (u64, Timestamp, Timestamp)> = HashMap::default();
        for row in &mut batch.logs {
            let Some(text) = text(row) else {
                continue;
            };
            let placed = self.0.place(text);
            if placed.change == Change::New {
                batch.process_events.push(self.news(placed.id, row));
            }
            row.template = id(placed.id);
            let (count, first, last) = counted.entry(placed.id).or_insert((0, row.at, row.at));
            *count += 1;
            (*first, *last) = (row.at.min(*first), row.at.max(*last));
        }
        let templates = counted.into_iter().filter_map(|(of, counts)| {
            let (count, first, last) = counts;
            Some(LogTemplate {
                id: id(of)?,
                pattern: self.0.pattern(of)?.to_owned(),
                count,
                first,
                last,
            })
        });
        batch.log_templates.extend(templates);
        batch.log_templates.sort_by_key(|template| template.id);
    }

    fn news(&self, of: TemplateId, row: &LogRow) -> ProcessEventRow {
        let mut detail = format!("{{\"template\":{},\"pattern\":", of.0);
        json::text(&mut detail, self.0.pattern(of).unwrap_or_default());
        detail.push('}');
        ProcessEventRow {
            at: row.at,
            subject: row.subject.clone(),
            event_type: NEW_TEMPLATE.to_owned(),
            exit_code: None,
            detail: Some(detail),
        }
    }
}

fn id(of: TemplateId) -> Option<i64> {
    i64::try_from(of.0).ok()
}

/// What of a line is compared: what it says, where that was made out.
fn text(row: &LogRow) -> Option<&str> {
    match &row.meaning {
        Some(meaning) if meaning.continues > 0 => None,
        Some(meaning) => Some(meaning.message.as_deref().unwrap_or(&row.line)),
        None => Some(&row.line),
    }
}
