//! CPU, memory and threads of one process over time, and what else is known of it now.

use argus_model::Measure;
use argus_read::live::{LiveProcess, Point};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Sparkline, Widget};

use super::Theme;
use crate::format;
use crate::sanitize::fit;

/// One curve: its name, its newest value, the value of a point, and what fills the height at least.
struct Curve {
    name: &'static str,
    newest: fn(&Point) -> String,
    height: fn(&Point) -> u64,
    full: u64,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "CPU",
        newest: |point| format!("{:.1} %", point.cpu_percent),
        height: |point| (point.cpu_percent * 10.0) as u64,
        // One core is the measure; a program on several raises it.
        full: 1_000,
    },
    Curve {
        name: "Memory",
        newest: |point| format::mebibytes(point.memory_mb),
        height: |point| (point.memory_mb * 1_024.0) as u64,
        full: 0,
    },
    Curve {
        name: "Threads",
        newest: |point| point.threads.to_string(),
        height: |point| point.threads.into(),
        full: 0,
    },
];

pub(super) fn draw(process: &LiveProcess, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(newest) = process.history.latest() else {
        let text = fit("no samples yet", usize::from(area.width));
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), theme.dim);
        return;
    };
    let area = draw_measures(process, theme, area, buffer);
    let parts: [Rect; 3] = Layout::vertical([Constraint::Fill(1); 3]).areas(area);
    for (curve, part) in CURVES.iter().zip(parts) {
        if part.is_empty() {
            continue;
        }
        let [label, line] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(part);
        let text = format!("{:<8}{}", curve.name, (curve.newest)(newest));
        let text = fit(&text, usize::from(label.width));
        buffer.set_string(label.x, label.y, text, theme.name);
        let points = process.history.points();
        let hidden = points.len().saturating_sub(usize::from(line.width));
        let heights: Vec<u64> = points.skip(hidden).map(curve.height).collect();
        let full = heights.iter().copied().fold(curve.full, u64::max);
        Sparkline::default()
            .data(&heights)
            .max(full)
            .style(theme.focus)
            .render(line, buffer);
    }
}

/// The lines below the curves, the most telling first: a low screen has room for some.
const LINES: [(&str, Measure); 7] = [
    ("Read", Measure::DiskReadRate),
    ("Written", Measure::DiskWriteRate),
    ("Received", Measure::NetworkReceiveRate),
    ("Sent", Measure::NetworkSendRate),
    ("Files", Measure::Descriptors),
    ("Children", Measure::Children),
    ("Waited", Measure::RunQueueWait),
];

/// Rows that the curves need before anything else is shown: a label and a line for each.
const CURVE_ROWS: u16 = 2 * CURVES.len() as u16;

/// Draws what is known besides the curves at the foot of `area`; what is left of it.
fn draw_measures(process: &LiveProcess, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    let rows = (LINES.len() as u16).min(area.height.saturating_sub(CURVE_ROWS));
    if process.measures.is_empty() || rows == 0 {
        return area;
    }
    let [curves, foot] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(rows)]).areas(area);
    for ((name, measure), row) in LINES.into_iter().zip(foot.rows()) {
        let value = format::measure(measure, process.measures.get(measure));
        let text = fit(&format!("{name:<9}{value}"), usize::from(row.width));
        buffer.set_string(row.x, row.y, text, theme.dim);
    }
    curves
}
