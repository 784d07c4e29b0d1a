//! Laws about sessions: strictly ordered, complete, and never silently short.

use argus_model::session::SessionStatus;

use super::Bench;
use super::fixture::{at, described, end, event, producer};
use crate::Batch;
use crate::batch::{LedgerDelta, SessionEventRow};

fn commit(bench: &mut Bench, session_events: Vec<SessionEventRow>) {
    bench.commit(&Batch {
        session_events,
        ..Batch::default()
    });
}

/// `seq type` of every event of a session.
fn story(bench: &Bench, session: &str) -> Vec<String> {
    let events = bench.store.session_events(session, 0, 100).unwrap();
    events
        .iter()
        .map(|event| format!("{} {}", event.seq, event.event_type))
        .collect()
}

pub(super) fn a_session_is_numbered_from_its_start_without_gaps(bench: &mut Bench) {
    let metadata = r#"{"command":"context generate"}"#;
    commit(
        bench,
        vec![
            event("a", "session_started", metadata),
            event("b", "session_started", "{}"),
            event("a", "plan_constructed", "{}"),
        ],
    );
    commit(
        bench,
        vec![
            event("b", "scan_started", "{}"),
            event("a", "an_unknown_type", r#"{"x":"1"}"#),
            event("a", "session_ended", "{}"),
        ],
    );
    let expected = [
        "1 session_started",
        "2 plan_constructed",
        "3 an_unknown_type",
        "4 session_ended",
    ];
    assert_eq!(story(bench, "a"), expected);
    assert_eq!(story(bench, "b"), ["1 session_started", "2 scan_started"]);
    assert_eq!(story(bench, "c"), [""; 0]);
    let later = bench.store.session_events("a", 2, 1).unwrap();
    assert_eq!((later.len(), later[0].seq), (1, 3));
    assert_eq!(later[0].data, r#"{"x":"1"}"#);
    assert_eq!(later[0].at, at(1));
    let sessions = bench.store.sessions(9).unwrap();
    assert_eq!((sessions[1].session.as_str(), sessions[1].events), ("a", 4));
    assert_eq!(sessions[1].metadata, metadata);
}

pub(super) fn an_unknown_session_gets_a_start_of_its_own(bench: &mut Bench) {
    commit(bench, vec![event("a", "scan_progress", r#"{"done":"3"}"#)]);
    assert_eq!(story(bench, "a"), ["1 session_started", "2 scan_progress"]);
    let first = &bench.store.session_events("a", 0, 1).unwrap()[0];
    assert_eq!(first.data, r#"{"synthetic":true}"#);
    assert_eq!(
        bench.store.sessions(1).unwrap()[0].status,
        SessionStatus::Active
    );
}

pub(super) fn a_session_ends_completed_or_failed(bench: &mut Bench) {
    for (session, data) in [
        ("completed", "{}"),
        ("failed", r#"{"status":"failed"}"#),
        ("garbled", "{status"),
    ] {
        commit(
            bench,
            vec![
                event(session, "session_started", "{}"),
                event(session, "session_ended", data),
            ],
        );
    }
    let sessions = bench.store.sessions(9).unwrap();
    let ended: Vec<_> = sessions
        .iter()
        .map(|session| (session.session.as_str(), session.status, session.ended_at))
        .collect();
    assert_eq!(
        ended,
        [
            ("garbled", SessionStatus::Completed, Some(at(1))),
            ("failed", SessionStatus::Failed, Some(at(1))),
            ("completed", SessionStatus::Completed, Some(at(1))),
        ]
    );
}

pub(super) fn an_event_after_the_end_is_counted_not_kept(bench: &mut Bench) {
    bench.commit(&Batch {
        producers: vec![described(1)],
        session_events: vec![
            event("a", "session_started", "{}"),
            event("a", "session_ended", "{}"),
            event("a", "scan_progress", "{}"),
        ],
        ledger: vec![LedgerDelta {
            producer: producer(1),
            stored: 3,
            damaged: 0,
            unknown: 0,
            clamped: 0,
        }],
        ..Batch::default()
    });
    assert_eq!(story(bench, "a"), ["1 session_started", "2 session_ended"]);
    let account = &bench.store.ledger().unwrap()[0];
    assert_eq!(
        (account.stored, account.unknown, account.emitted()),
        (2, 1, 3)
    );
}

pub(super) fn a_producers_end_interrupts_its_active_sessions(bench: &mut Bench) {
    bench.commit(&Batch {
        session_events: vec![
            event("done", "session_started", "{}"),
            event("done", "session_ended", "{}"),
            event("cut", "session_started", "{}"),
            SessionEventRow {
                producer: producer(2),
                ..event("alive", "session_started", "{}")
            },
        ],
        ends: vec![end(1, 9, None)],
        ..Batch::default()
    });
    let statuses: Vec<_> = bench
        .store
        .sessions(9)
        .unwrap()
        .into_iter()
        .map(|session| session.status)
        .collect();
    assert_eq!(
        statuses,
        [
            SessionStatus::Active,
            SessionStatus::Interrupted,
            SessionStatus::Completed,
        ]
    );
    assert_eq!(
        story(bench, "cut"),
        ["1 session_started"],
        "it stays readable"
    );
    assert_eq!(bench.store.sessions(9).unwrap()[1].ended_at, None);
}

pub(super) fn sessions_are_listed_newest_first(bench: &mut Bench) {
    for session in ["z", "a", "m"] {
        commit(bench, vec![event(session, "session_started", "{}")]);
    }
    let listed = |limit| -> Vec<String> {
        let sessions = bench.store.sessions(limit).unwrap();
        sessions
            .into_iter()
            .map(|session| session.session)
            .collect()
    };
    assert_eq!(listed(9), ["m", "a", "z"]);
    assert_eq!(listed(2), ["m", "a"]);
}
