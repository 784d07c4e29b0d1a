//! What becomes of the open spans of a process that is over.

use std::cmp::Reverse;

use crate::batch::{Ending, OpenSpan, ProducerEnd, SpanRow, Status};

/// How the exception of a span ends whose program gave way to another one.
const RUNS_ANOTHER: &str = "runs another program";

/// Whether a span, as stored, was open when its process died.
pub(crate) fn was_open_at_death(interrupted: bool, exception: Option<&str>) -> bool {
    interrupted && !exception.is_some_and(|told| told.ends_with(RUNS_ANOTHER))
}

/// The exception of a span whose process ended first.
pub(super) fn exception(end: &ProducerEnd) -> String {
    let pid = end.producer.pid;
    match end.ending {
        Ending::Exit(Some(code)) if code < 0 => {
            format!(
                "interrupted: process {pid} ended (signal {})",
                -i64::from(code)
            )
        }
        Ending::Exit(Some(code)) => format!("interrupted: process {pid} ended (exit code {code})"),
        Ending::Exit(None) => format!("interrupted: process {pid} ended (exit status unknown)"),
        Ending::Exec => format!("interrupted: process {pid} {RUNS_ANOTHER}"),
    }
}

/// The open spans of an ended producer as ended ones, inner ones first as they would have ended
/// by themselves. A span that seems to start after the death was noticed took no time.
pub(super) fn interrupt(mut open: Vec<OpenSpan>, end: &ProducerEnd) -> Vec<SpanRow> {
    open.sort_by_key(|span| Reverse(span.key.number));
    open.into_iter()
        .map(|span| SpanRow {
            key: span.key,
            parent: span.parent,
            name: span.name,
            thread: span.thread,
            ended_at: end.at.max(span.started_at),
            duration_ns: u64::try_from(end.at.since(span.started_at).as_nanos())
                .unwrap_or(u64::MAX),
            status: Status::Err,
            captured: span.captured,
            exception: Some(exception(end)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use argus_model::{ProducerId, Timestamp};

    use super::*;

    #[test]
    fn the_exception_tells_how_the_process_ended() {
        let told = |ending| {
            exception(&ProducerEnd {
                producer: ProducerId {
                    pid: 4711,
                    ..ProducerId::default()
                },
                at: Timestamp::default(),
                ending,
            })
        };
        assert_eq!(
            told(Ending::Exit(Some(3))),
            "interrupted: process 4711 ended (exit code 3)"
        );
        assert_eq!(
            told(Ending::Exit(Some(-9))),
            "interrupted: process 4711 ended (signal 9)"
        );
        assert_eq!(
            told(Ending::Exec),
            "interrupted: process 4711 runs another program"
        );
        let at_death = |ending| was_open_at_death(true, Some(&told(ending)));
        assert!(at_death(Ending::Exit(Some(-9))) && at_death(Ending::Exit(None)));
        assert!(!at_death(Ending::Exec));
        assert!(!was_open_at_death(false, Some("ValueError: boom")));
        assert_eq!(
            told(Ending::Exit(None)),
            "interrupted: process 4711 ended (exit status unknown)"
        );
    }
}
