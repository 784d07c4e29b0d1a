//! Log lines, and what belongs to them.

use super::Data;
use crate::batch::{Batch, LogMeaning, LogPosition, LogRow, LogTemplate};
use crate::query::{LogFilter, StoredLog, StoredLogPosition, StoredLogTemplate, words_from};

/// Contents that are remembered of a path.
const CONTENTS_OF_A_PATH: usize = 256;

impl Data {
    pub(super) fn apply_logs(&mut self, batch: &Batch) {
        for row in &batch.logs {
            self.describe_run(&row.subject, row.at);
            let mut given = 0;
            self.logs.push_of(row.subject.run, |id| {
                given = id;
                stored(id, row)
            });
            for (_, value) in row.meaning.iter().flat_map(|meaning| &meaning.ids) {
                self.log_ids.insert((value.clone(), given));
            }
        }
        for template in &batch.log_templates {
            self.apply_template(template);
        }
        for position in &batch.log_positions {
            self.apply_log_position(position);
        }
    }

    fn apply_template(&mut self, template: &LogTemplate) {
        let new = || StoredLogTemplate {
            id: template.id,
            pattern: String::new(),
            count: 0,
            first_at: template.first,
            last_at: template.last,
        };
        let known = self.log_templates.entry(template.id).or_insert_with(new);
        known.pattern.clone_from(&template.pattern);
        known.count += template.count;
        known.last_at = known.last_at.max(template.last);
    }

    fn apply_log_position(&mut self, position: &LogPosition) {
        let is_it = |known: &&mut StoredLogPosition| known.file == *position.file;
        if let Some(known) = self.log_positions.iter_mut().find(is_it) {
            known.offset = known.offset.max(position.offset);
            known.noted_at = known.noted_at.max(position.at);
            return;
        }
        self.log_positions.push(StoredLogPosition {
            file: (*position.file).clone(),
            offset: position.offset,
            noted_at: position.at,
        });
        let newest = self.positions_of(&position.file.path);
        if let Some(limit) = newest.get(CONTENTS_OF_A_PATH - 1) {
            let (path, since) = (&limit.file.path, limit.noted_at);
            self.log_positions
                .retain(|known| known.file.path != *path || known.noted_at >= since);
        }
    }

    /// The newest first.
    pub(super) fn positions_of(&self, path: &str) -> Vec<StoredLogPosition> {
        let of_path = |known: &&StoredLogPosition| &*known.file.path == path;
        let mut positions: Vec<_> = self.log_positions.iter().filter(of_path).cloned().collect();
        positions.reverse();
        positions.sort_by_key(|known| std::cmp::Reverse(known.noted_at));
        positions
    }

    /// What a filter asks of a line beyond whose it is.
    pub(super) fn fits(&self, filter: &LogFilter, row: &StoredLog) -> bool {
        let is_severe = filter.level.is_none_or(|level| {
            let mut words = words_from(level);
            words.any(|word| Some(word) == row.level.as_deref())
        });
        let has_id = filter
            .id
            .as_ref()
            .is_none_or(|id| self.log_ids.contains(&(id.clone(), row.id)));
        let from_there = filter.source.as_ref().is_none_or(|it| *it == row.source);
        is_severe
            && has_id
            && from_there
            && (filter.template.is_none() || filter.template == row.template)
    }
}

fn stored(id: i64, row: &LogRow) -> StoredLog {
    let nothing = LogMeaning::default();
    let meaning = row.meaning.as_deref().unwrap_or(&nothing);
    StoredLog {
        id,
        at: row.at,
        app_name: row.subject.app_name.clone(),
        process_name: row.subject.process_name.clone(),
        pid: row.subject.run.pid,
        line: row.line.clone(),
        path: row.path.as_deref().map(str::to_owned),
        source: row.source.to_owned(),
        level: row.level.clone(),
        said_at: meaning.said_at,
        message: meaning.message.clone(),
        logger: meaning.logger.clone(),
        attributes: meaning.attributes.clone(),
        continues: meaning.continues,
        template: row.template,
        span: row.span,
    }
}
