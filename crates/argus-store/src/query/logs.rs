//! What can be asked of log lines.

use argus_model::{Level, SpanKey, Timestamp};

use super::ProcessFilter;
use crate::batch::LogFile;

/// Which log lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// Whose, when, and with which text.
    pub of: ProcessFilter,
    /// At least this severe; lines of unknown severity do not pass.
    pub level: Option<Level>,
    /// Of this template.
    pub template: Option<i64>,
    /// Exactly this [`StoredLog::source`].
    pub source: Option<String>,
    /// With this id in it (`trace_id`, `request_id` and so on), whatever its name.
    pub id: Option<String>,
}

impl From<ProcessFilter> for LogFilter {
    fn from(of: ProcessFilter) -> Self {
        Self {
            of,
            ..Self::default()
        }
    }
}

/// The words of levels at least as severe as this one, as they are stored.
pub(crate) fn words_from(level: Level) -> impl Iterator<Item = &'static str> {
    let levels = Level::ALL.into_iter();
    levels.filter(move |other| *other >= level).map(Level::word)
}

/// A row of `log_entries`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredLog {
    /// Commit order.
    pub id: i64,
    /// When it was captured.
    pub at: Timestamp,
    /// Application name.
    pub app_name: String,
    /// The name the kernel gives the process.
    pub process_name: String,
    /// Process id.
    pub pid: u32,
    /// The line.
    pub line: String,
    /// The file it stood in.
    pub path: Option<String>,
    /// `file`, `stdout`, `stderr`, `logger`, `journal` or `stdin`.
    pub source: String,
    /// Severity, where known.
    pub level: Option<String>,
    /// The time that the line itself tells.
    pub said_at: Option<Timestamp>,
    /// What it says, without time, level and the like.
    pub message: Option<String>,
    /// The logger's name.
    pub logger: Option<String>,
    /// What else it tells: a JSON object.
    pub attributes: Option<String>,
    /// How many lines it stands behind the first of its event; 0 for a first line.
    pub continues: u32,
    /// The template that it fits.
    pub template: Option<i64>,
    /// The span it belongs to, where known.
    pub span: Option<SpanKey>,
}

/// Up to where the lines of a log file are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLogPosition {
    /// In which content.
    pub file: LogFile,
    /// So many bytes.
    pub offset: u64,
    /// When the last of them was captured.
    pub noted_at: Timestamp,
}

/// A template of log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLogTemplate {
    /// Its id.
    pub id: i64,
    /// The text that its lines have in common, `<*>` standing for what varies.
    pub pattern: String,
    /// Lines that fitted it, those included that retention has removed since.
    pub count: u64,
    /// When the first was captured.
    pub first_at: Timestamp,
    /// When the last was captured.
    pub last_at: Timestamp,
}
