//! Recent activity: what has ended, newest first.

use std::time::Duration;

use argus_read::stored::{Status, StoredSpan};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};

use super::{Scene, Theme, arguments};
use crate::format;
use crate::sanitize::fit;

/// Draws a head line and one line for each span. Only what fits is made into text.
pub(super) fn draw<'a>(
    spans: impl Iterator<Item = &'a StoredSpan>,
    scene: &Scene<'_>,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut lines = area.rows();
    let Some(head) = lines.next() else {
        return;
    };
    let titles = ["TIME", "PROCESS", "DURATION", "ST", "EXCEPTION"];
    for (column, title) in columns(head).into_iter().zip(titles) {
        let title = fit(title, usize::from(column.width));
        buffer.set_string(column.x, column.y, title, theme.dim);
    }
    for (span, line) in spans.zip(lines) {
        draw_span(span, scene, theme, columns(line), buffer);
    }
}

fn columns(line: Rect) -> [Rect; 5] {
    let exception = if line.width < 70 { 0 } else { line.width / 3 };
    let time = if line.width < 50 { 8 } else { 12 };
    Layout::horizontal([
        Constraint::Length(time),
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(3),
        Constraint::Length(exception),
    ])
    .spacing(1)
    .areas(line)
}

fn draw_span(
    span: &StoredSpan,
    scene: &Scene<'_>,
    theme: &Theme,
    [time, process, duration, status, exception]: [Rect; 5],
    buffer: &mut Buffer,
) {
    let mut put = |area: Rect, text: &str, style| {
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style);
    };
    let clock = format::time_of_day(span.ended_at, scene.zone);
    put(time, &clock, theme.dim);
    let width = usize::from(process.width);
    let name = fit(&span.process, width);
    let left = width.saturating_sub(ratatui::text::Span::raw(&name).width());
    put(process, &name, theme.name);
    let arguments = arguments::short(span.captured.as_deref(), left);
    let after = Rect {
        x: process.right() - u16::try_from(left).unwrap_or(0),
        width: u16::try_from(left).unwrap_or(0),
        ..process
    };
    put(after, &arguments, theme.dim);
    let took = format::duration(Duration::from_nanos(span.duration_ns));
    put(duration, &format!("{took:>8}"), theme.name);
    let style = match span.status {
        Status::Ok => theme.good,
        Status::Err => theme.bad,
    };
    put(status, span.status.word(), style);
    if let Some(text) = &span.exception {
        let first = fit(headline(text), usize::from(exception.width));
        put(exception, &first, theme.bad);
    }
}

/// The line of an exception that says what happened: the first, or the last of a traceback.
fn headline(exception: &str) -> &str {
    let mut lines = exception.lines().filter(|line| !line.trim().is_empty());
    match lines.next() {
        Some(first) if first.starts_with("Traceback ") => lines.next_back().unwrap_or(first),
        Some(first) => first,
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_is_told_by_its_last_line() {
        let check = |text: &str, expected: &str| assert_eq!(headline(text), expected);
        check("ValueError: no\n  at x", "ValueError: no");
        check(
            "Traceback (most recent call last):\n  File \"x\"\nKeyError: 'a'\n",
            "KeyError: 'a'",
        );
        check(
            "interrupted: killed by signal 9",
            "interrupted: killed by signal 9",
        );
        check("\n\n", "");
    }
}
