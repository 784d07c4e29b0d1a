//! Session events: a strictly ordered story of one command's work.
//!
//! The catalogue is what the screens know how to draw. It is not a limit: unknown types and fields
//! are kept and shown.

/// Always the event with `seq` 1.
pub const SESSION_STARTED: &str = "session_started";
/// Always the last event of a completed session.
pub const SESSION_ENDED: &str = "session_ended";

/// The event types that screens give a meaning to, by the part of a program that emits them.
pub const CATALOGUE: &[(&str, &[&str])] = &[
    ("session", &[SESSION_STARTED, SESSION_ENDED]),
    (
        "context_generate",
        &[
            "plan_constructed",
            "descendant_check_started",
            "descendant_check_passed",
            "descendant_check_failed",
            "node_skipped",
        ],
    ),
    (
        "orchestrator",
        &[
            "generation_started",
            "level_started",
            "node_generation_started",
            "node_generation_completed",
            "node_generation_failed",
            "level_completed",
            "generation_completed",
            "generation_failed",
        ],
    ),
    (
        "queue",
        &[
            "request_enqueued",
            "request_deduplicated",
            "request_processing",
            "queue_stats",
        ],
    ),
    (
        "provider",
        &[
            "provider_request_sent",
            "provider_response_received",
            "provider_request_failed",
            "provider_request_retrying",
        ],
    ),
    (
        "scanner",
        &["scan_started", "scan_progress", "scan_completed"],
    ),
    (
        "watcher",
        &["watch_started", "file_changed", "batch_processed"],
    ),
];

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionStatus {
    /// Started, not ended, its producer lives.
    Active,
    /// Ended with `session_ended`.
    Completed,
    /// Its producer said that it failed.
    Failed,
    /// Its producer died before it ended.
    Interrupted,
}

impl SessionStatus {
    /// The word stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The status that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Active,
            Self::Completed,
            Self::Failed,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.word() == word)
    }
}
