//! The decisions about sessions that every engine takes alike.

use argus_model::session::{SESSION_ENDED, SESSION_STARTED, SessionStatus};

use crate::batch::SessionEventRow;

/// The data of a `session_started` that the store wrote because none had arrived.
pub(super) const SYNTHETIC_START: &str = r#"{"synthetic":true}"#;

/// How a session stands after this event, when the event changes it.
pub(super) fn outcome(event: &SessionEventRow) -> Option<SessionStatus> {
    if event.event_type != SESSION_ENDED {
        return None;
    }
    let data: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
    Some(
        match data.get("status").and_then(|status| status.as_str()) {
            Some("failed") => SessionStatus::Failed,
            _ => SessionStatus::Completed,
        },
    )
}

/// What the session's record says about it: the data of its first event.
pub(super) fn metadata(first: &SessionEventRow) -> &str {
    if first.event_type == SESSION_STARTED {
        &first.data
    } else {
        SYNTHETIC_START
    }
}

/// Whether a session with this status takes further events.
pub(super) fn accepts_events(status: SessionStatus) -> bool {
    !matches!(status, SessionStatus::Completed | SessionStatus::Failed)
}
