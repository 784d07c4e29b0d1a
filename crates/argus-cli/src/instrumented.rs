//! What the Pythons of a run said about instrumenting themselves.
//!
//! They say it as log lines of the logger `argus.instrument` (see `python/argus/_auto.py`): one
//! when the first module is instrumented, and one for each name that cannot be, with the reason.

use anyhow::Result;
use argus_model::Level;
use argus_store::Store;
use argus_store::query::{LogFilter, Page, ProcessFilter, StoredLog};

const LOGGER: &str = "argus.instrument";
const BEGUN: &str = "instrumenting, beginning with ";

/// Something that could not be instrumented.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LeftOut {
    pub(crate) app_name: String,
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Whether a process that is meant has instrumented anything.
pub(crate) fn has_begun(store: &dyn Store, of: ProcessFilter) -> Result<bool> {
    let text = Some(BEGUN.to_owned());
    let filter = filter(ProcessFilter { text, ..of }, None);
    let lines = store.logs(&filter, Page::newest(100))?;
    Ok(lines.iter().any(is_ours))
}

/// What could not be instrumented lately: each name of each application once, the newest first, at
/// most `limit`.
pub(crate) fn left_out(store: &dyn Store, limit: usize) -> Result<Vec<LeftOut>> {
    let filter = filter(ProcessFilter::default(), Some(Level::Warn));
    let lines = store.logs(&filter, Page::newest(limit))?;
    let mut all: Vec<LeftOut> = Vec::new();
    for line in lines.into_iter().filter(is_ours) {
        let Some((name, reason)) = line.line.split_once(": ") else {
            continue;
        };
        let one = LeftOut {
            name: name.to_owned(),
            reason: reason.to_owned(),
            app_name: line.app_name,
        };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}

fn filter(of: ProcessFilter, level: Option<Level>) -> LogFilter {
    LogFilter {
        of,
        level,
        source: Some("logger".into()),
        ..LogFilter::default()
    }
}

fn is_ours(line: &StoredLog) -> bool {
    line.logger.as_deref() == Some(LOGGER)
}
