//! What an exported line says of rows that no listing prints.

use argus_store::query::{StoredEvent, StoredProcessEvent, StoredRun, StoredSession};
use serde::Serialize;
use serde_json::Value;

use crate::moment::iso;
use crate::ordered::Object;

#[derive(Debug, Serialize)]
pub(crate) struct Run<'a> {
    id: i64,
    app_name: &'a str,
    process_name: &'a str,
    command_line: &'a str,
    hostname: &'a str,
    pid: u32,
    started_at: String,
    ended_at: Option<String>,
    exit_code: Option<i32>,
    instrumented: bool,
}

impl<'a> From<&'a StoredRun> for Run<'a> {
    fn from(run: &'a StoredRun) -> Self {
        Self {
            id: run.id,
            app_name: &run.app_name,
            process_name: &run.process_name,
            command_line: &run.command_line,
            hostname: &run.hostname,
            pid: run.run.pid,
            started_at: iso(run.started_at),
            ended_at: run.ended_at.map(iso),
            exit_code: run.exit_code,
            instrumented: run.instrumented,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ProcessEvent<'a> {
    id: i64,
    timestamp: String,
    app_name: &'a str,
    process_name: &'a str,
    pid: u32,
    event_type: &'a str,
    exit_code: Option<i32>,
    detail: Option<Data>,
}

impl<'a> From<&'a StoredProcessEvent> for ProcessEvent<'a> {
    fn from(event: &'a StoredProcessEvent) -> Self {
        Self {
            id: event.id,
            timestamp: iso(event.at),
            app_name: &event.app_name,
            process_name: &event.process_name,
            pid: event.pid,
            event_type: &event.event_type,
            exit_code: event.exit_code,
            detail: event.detail.as_deref().map(Data::of),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Session<'a> {
    session: &'a str,
    status: &'static str,
    started_at: String,
    ended_at: Option<String>,
    events: u64,
    metadata: Data,
}

impl<'a> From<&'a StoredSession> for Session<'a> {
    fn from(session: &'a StoredSession) -> Self {
        Self {
            session: &session.session,
            status: session.status.word(),
            started_at: iso(session.started_at),
            ended_at: session.ended_at.map(iso),
            events: session.events,
            metadata: Data::of(&session.metadata),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Event<'a> {
    session: &'a str,
    seq: u64,
    timestamp: String,
    event_type: &'a str,
    data: Data,
}

impl<'a> From<&'a StoredEvent> for Event<'a> {
    fn from(event: &'a StoredEvent) -> Self {
        Self {
            session: &event.session,
            seq: event.seq,
            timestamp: iso(event.at),
            event_type: &event.event_type,
            data: Data::of(&event.data),
        }
    }
}

/// A JSON object as it was told, or the text of what is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data {
    Object(Object),
    Text(Value),
}

impl Data {
    fn of(text: &str) -> Self {
        serde_json::from_str(text).map_or_else(|_| Self::Text(Value::from(text)), Self::Object)
    }
}
