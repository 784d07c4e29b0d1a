//! What becomes of the open spans of a process that is over.

use std::cmp::Reverse;

use crate::batch::{Ending, OpenSpan, ProducerEnd, SpanRow, Status};

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
        Ending::Exec => format!("interrupted: process {pid} runs another program"),
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
        assert_eq!(
            told(Ending::Exit(None)),
            "interrupted: process 4711 ended (exit status unknown)"
        );
    }
}
