//! The live stack: process, thread, open spans with their growing time.

use std::time::Duration;

use argus_read::live::{LiveProcess, LiveSpan, LiveThread, SampledThread};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::rows::{Fold, Place, Row};
use super::{Drawn, Scene, Theme, arguments};
use crate::format;
use crate::sanitize::fit;

/// Columns of the time at the right, a space before it included.
const TIME: usize = 9;

/// Makes rows into text and draws them.
pub(super) struct Stack<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) theme: &'a Theme,
    pub(super) drawn: Drawn,
}

impl Stack<'_> {
    /// Draws rows from the top of `area`; `selected` counts from the first of them.
    pub(super) fn draw(
        &mut self,
        rows: &[Row],
        selected: Option<usize>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        for (index, (row, line_area)) in rows.iter().zip(area.rows()).enumerate() {
            let width = usize::from(area.width);
            let (line, time) = self.line(*row, width.saturating_sub(TIME));
            buffer.set_line(line_area.x, line_area.y, &line, area.width);
            if let Some((time, style)) = time.filter(|_| width > TIME) {
                let time = format!("{time:>TIME$}");
                let right = line_area.right() - TIME as u16;
                buffer.set_string(right, line_area.y, time, style);
            }
            if selected == Some(index) {
                buffer.set_style(line_area, self.theme.selected);
            }
        }
    }

    /// A row's text in at most `width` columns, and the time that stands at its right.
    fn line(&mut self, row: Row, width: usize) -> (Line<'static>, Option<(String, Style)>) {
        self.drawn.formatted += 1;
        let process = row.process(self.scene.state);
        // Beyond half of the width depth is no longer shown, so that the names still are.
        let indent = (2 * row.depth(self.scene.state)).min(width / 2);
        let mark = match row.fold {
            // What was sampled is not known as surely as what a program says of itself.
            Fold::Leaf if matches!(row.place, Place::Call(..)) => "~ ",
            Fold::Leaf => "  ",
            Fold::Open => "▾ ",
            Fold::Closed => "▸ ",
        };
        let width = width.saturating_sub(indent + 2);
        let (mut spans, time) = match row.place {
            Place::Process => (self.process(process, width), None),
            Place::Thread(thread) => (self.thread(&process.threads[thread], row.fold, width), None),
            Place::Span(thread, span) => {
                self.span(&process.threads[thread].spans[span], row.fold, width)
            }
            Place::Sampled(thread) => self.sampled(&process.sampled[thread], row.fold, width),
            Place::Call(thread, call) => {
                let text = fit(&process.sampled[thread].frames[call], width);
                (vec![Span::styled(text, self.theme.dim)], None)
            }
        };
        spans.insert(0, Span::styled(" ".repeat(indent) + mark, self.theme.dim));
        (Line::from(spans), time)
    }

    fn process(&self, process: &LiveProcess, width: usize) -> Vec<Span<'static>> {
        let name = fit(&process.app_name, width);
        let mut rest = format!(" {}", process.pid());
        if let Some(ended) = process.ended {
            let how = match ended.exit_code {
                Some(code) if code < 0 => format!("killed by signal {}", code.unsigned_abs()),
                Some(code) => format!("exit {code}"),
                None => "ended".to_owned(),
            };
            rest += &format!("  {how}");
        } else if let Some(point) = process.history.latest() {
            let memory = format::mebibytes(point.memory_mb);
            rest += &format!("  cpu {:.1} %  {memory}", point.cpu_percent);
        }
        rest += &format!("  {}", process.command_line);
        let style = match process.ended.map(|ended| ended.exit_code) {
            Some(Some(0)) | None => self.theme.dim,
            Some(_) => self.theme.bad,
        };
        let left = width.saturating_sub(Span::raw(&name).width());
        vec![
            Span::styled(name, self.theme.name),
            Span::styled(fit(&rest, left), style),
        ]
    }

    fn thread(&self, thread: &LiveThread, fold: Fold, width: usize) -> Vec<Span<'static>> {
        let mut text = match (thread.name.as_str(), thread.tid) {
            ("", 0) => "thread".to_owned(),
            ("", tid) => format!("thread {tid}"),
            (name, 0) => name.to_owned(),
            (name, tid) => format!("{name} {tid}"),
        };
        if fold == Fold::Closed {
            let open = format::count(thread.spans.len(), "open span", "open spans");
            text += &format!("  {open}");
        }
        vec![Span::styled(fit(&text, width), self.theme.dim)]
    }

    /// A thread that was sampled, and how long ago.
    fn sampled(
        &mut self,
        thread: &SampledThread,
        fold: Fold,
        width: usize,
    ) -> (Vec<Span<'static>>, Option<(String, Style)>) {
        let age = self.scene.now.since(thread.at);
        self.drawn.youngest = Some(self.drawn.youngest.unwrap_or(Duration::MAX).min(age));
        let state = thread.state.word();
        let mut text = format!("{} {}  sampled, {state}", thread.name, thread.tid);
        if thread.holds_gil {
            text += ", GIL";
        }
        if fold == Fold::Closed {
            let calls = format::count(thread.frames.len(), "call", "calls");
            text += &format!("  {calls}");
        }
        let text = Span::styled(fit(&text, width), self.theme.dim);
        let time = format!("~{}", format::elapsed(age));
        (vec![text], Some((time, self.theme.dim)))
    }

    fn span(
        &mut self,
        live: &LiveSpan,
        fold: Fold,
        width: usize,
    ) -> (Vec<Span<'static>>, Option<(String, Style)>) {
        let elapsed = live.elapsed(self.scene.now);
        self.drawn.youngest = Some(self.drawn.youngest.unwrap_or(Duration::MAX).min(elapsed));
        let name = fit(&live.span.process, width);
        let left = width.saturating_sub(Span::raw(&name).width());
        let rest = match fold {
            Fold::Closed => fit(&format!("  +{}", live.descendants), left),
            _ => arguments::short(live.span.captured.as_deref(), left),
        };
        let style = self.theme.age(elapsed);
        let spans = vec![
            Span::styled(name, style),
            Span::styled(rest, self.theme.dim),
        ];
        (spans, Some((format::elapsed(elapsed), style)))
    }
}
