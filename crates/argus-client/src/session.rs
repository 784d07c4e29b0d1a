//! Sessions: the ordered story of one command's work.

use std::sync::atomic::{AtomicU64, Ordering};

use argus_model::session::{SESSION_ENDED, SESSION_STARTED};
use argus_model::{Kind, Record};
use argus_spool::{Appended, Weight, append_in_order, monotonic_now};

use argus_model::json;

/// Appends one event to a session. `data` is a JSON object. Events keep the order in which they were
/// emitted, whichever threads emit them.
pub fn emit(session: &str, event_type: &str, data: &str) -> Appended {
    append_in_order(Kind::SessionEvent, Weight::Normal, |out, at| {
        Record::SessionEvent {
            at,
            session,
            event_type,
            data,
        }
        .encode(out)
    })
}

/// A session id that no other session of this machine has had.
pub fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = argus_spool::boot_anchor().wall_at(monotonic_now()).nanos();
    format!("{nanos:016x}-{:x}-{number:x}", std::process::id())
}

/// An open session. `session_ended` is its last event, written when this is dropped.
#[derive(Debug)]
#[must_use = "the session ends as soon as this is dropped"]
pub struct Session {
    id: String,
}

impl Session {
    /// Starts a session of the command with this name.
    pub fn start(name: &str) -> Self {
        let session = Self { id: new_id() };
        let mut data = String::from("{\"name\":");
        json::text(&mut data, name);
        data.push('}');
        session.emit(SESSION_STARTED, &data);
        session
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends one event. `data` is a JSON object.
    pub fn emit(&self, event_type: &str, data: &str) {
        emit(&self.id, event_type, data);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let status = if std::thread::panicking() {
            "failed"
        } else {
            "completed"
        };
        self.emit(SESSION_ENDED, &format!("{{\"status\":\"{status}\"}}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        assert_ne!(new_id(), new_id());
    }
}
