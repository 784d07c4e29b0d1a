//! The screen as a whole: header, panes, footer, and what stands over them.
//!
//! ```text
//! header     what, where, how the collector fares; losses in red as long as there are any
//! stack      process, thread, open spans │ vitals of the selected process (from 72 columns)
//! activity   what has ended, newest first
//! footer     keys
//! ```

use argus_read::live::Losses;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget};

use super::stack::Stack;
use super::{Drawn, Filter, Pane, Scene, Theme, View, activity, vitals};
use crate::format;
use crate::sanitize::fit;

/// From this width on the vitals stand beside the stack.
const WIDE: u16 = 72;

/// From this height on there is room for recent activity.
const TALL: u16 = 12;

const HELP: &[(&str, &str)] = &[
    ("↑ ↓  j k", "move"),
    ("← → Enter", "fold and unfold"),
    ("PgUp PgDn g G", "by page, to the ends"),
    ("Tab", "other pane"),
    ("Space  p", "pause, go on"),
    ("s", "sort by start, cpu, memory"),
    ("f", "show all, active, error"),
    ("?  h", "this help"),
    ("q  Esc", "quit"),
];

impl View {
    /// Draws the screen, and notes how much of its lists there was room for.
    pub(crate) fn draw(
        &mut self,
        frame: &mut Frame<'_>,
        scene: &Scene<'_>,
        theme: &Theme,
    ) -> Drawn {
        let header = header(self, scene, theme, usize::from(frame.area().width));
        let [top, body, bottom] = Layout::vertical([
            Constraint::Length(u16::try_from(header.len()).unwrap_or(u16::MAX)),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(header), top);
        frame.render_widget(footer(self, theme), bottom);
        let is_empty = scene.state.processes().is_empty() && scene.state.recent().is_empty();
        let drawn = match is_empty {
            true => {
                frame.render_widget(invitation(scene, theme, usize::from(body.width)), body);
                Drawn::default()
            }
            false => self.draw_panes(frame, scene, theme, body),
        };
        if self.help {
            draw_help(frame, theme);
        }
        drawn
    }

    fn draw_panes(
        &mut self,
        frame: &mut Frame<'_>,
        scene: &Scene<'_>,
        theme: &Theme,
        body: Rect,
    ) -> Drawn {
        let below = match body.height {
            ..TALL => 0,
            height => height * 2 / 5,
        };
        let [above, below] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(body);
        // Where only one of them fits, it is the one that has the keys.
        let (stack, activity) = match (below.is_empty(), self.pane) {
            (true, Pane::Activity) => (below, above),
            _ => (above, below),
        };
        let mut drawn = Drawn::default();
        if !stack.is_empty() {
            drawn = self.draw_stack(frame, scene, theme, stack);
        }
        if !activity.is_empty() {
            self.draw_activity(frame, scene, theme, activity);
        }
        drawn
    }

    fn draw_stack(
        &mut self,
        frame: &mut Frame<'_>,
        scene: &Scene<'_>,
        theme: &Theme,
        area: Rect,
    ) -> Drawn {
        let beside = if area.width < WIDE { 0 } else { 28 };
        let [area, beside] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(beside)]).areas(area);
        let rows = self.rows(scene.state);
        let position = self.position(scene.state, &rows);
        let mut title = format!(" Live stack · {} open ", scene.state.open_spans());
        if scene.state.is_cut() {
            title = format!(
                " Live stack · the oldest {} open ",
                scene.state.open_spans()
            );
        }
        let block = block(title, theme, self.pane == Pane::Stack);
        let inside = block.inner(area);
        frame.render_widget(block, area);
        self.stack_height = usize::from(inside.height);
        self.stack_top = scroll(self.stack_top, position, rows.len(), self.stack_height);
        let end = rows.len().min(self.stack_top + self.stack_height);
        let mut stack = Stack {
            scene,
            theme,
            drawn: Drawn::default(),
        };
        let marked = position
            .filter(|_| self.pane == Pane::Stack)
            .map(|position| position - self.stack_top);
        let shown = &rows[self.stack_top..end];
        stack.draw(shown, marked, inside, frame.buffer_mut());
        let selected = position.map(|position| rows[position].process(scene.state));
        if let Some(process) = selected.filter(|_| !beside.is_empty()) {
            let title = fit(&format!(" {} {}", process.app_name, process.pid()), 25) + " ";
            let block = self::block(title, theme, false);
            let inside = block.inner(beside);
            frame.render_widget(block, beside);
            vitals::draw(process, theme, inside, frame.buffer_mut());
        }
        stack.drawn
    }

    fn draw_activity(
        &mut self,
        frame: &mut Frame<'_>,
        scene: &Scene<'_>,
        theme: &Theme,
        area: Rect,
    ) {
        let (title, spans) = match self.filter {
            Filter::Error => (" Recent errors ", scene.state.errors()),
            _ => (" Recent activity ", scene.state.recent()),
        };
        let block = block(title.to_owned(), theme, self.pane == Pane::Activity);
        let inside = block.inner(area);
        frame.render_widget(block, area);
        self.activity_height = usize::from(inside.height.saturating_sub(1));
        let last = spans.len().saturating_sub(self.activity_height);
        self.activity_top = self.activity_top.min(last);
        if spans.is_empty() {
            let text = Line::styled("nothing has ended yet", theme.dim);
            frame.render_widget(text, inside);
            return;
        }
        let spans = spans.iter().skip(self.activity_top);
        activity::draw(spans, scene, theme, inside, frame.buffer_mut());
    }
}

/// The first row to show: moved no further than the selection asks for.
fn scroll(top: usize, position: Option<usize>, rows: usize, height: usize) -> usize {
    let position = position.unwrap_or(0);
    let height = height.max(1);
    let lowest = (position + 1).saturating_sub(height);
    top.clamp(lowest, position).min(rows.saturating_sub(height))
}

fn block(title: String, theme: &Theme, focused: bool) -> Block<'static> {
    let style = if focused { theme.focus } else { theme.dim };
    Block::bordered().title(title).border_style(style)
}

fn header(view: &View, scene: &Scene<'_>, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let state = scene.state;
    let mut title = vec![Span::styled(" argus watch ", theme.title)];
    if view.is_paused() {
        title.push(Span::styled(" PAUSED ", theme.mark.patch(theme.selected)));
    }
    if let Some(pid) = scene.pid {
        title.push(Span::raw(format!(" pid {pid}")));
    }
    let used = Line::from(title.clone()).width();
    let path = fit(
        &format!("  {}", scene.database.display()),
        width.saturating_sub(used),
    );
    title.push(Span::styled(path, theme.dim));
    let applications = format::count(state.applications(), "app", "apps");
    let processes = format::count(state.processes().len(), "process", "processes");
    let summary = fit(&format!(" {applications} · {processes} · "), width);
    let left = width.saturating_sub(Span::raw(&summary).width());
    let held = state.collector().is_some_and(|state| state.held.is_some());
    let style = match held || state.is_silent(scene.now) {
        true => theme.mark,
        false => Style::new(),
    };
    let collector = Span::styled(fit(&collector(scene), left), style);
    let summary = Line::from(vec![Span::raw(summary), collector]);
    let mut lines = vec![Line::from(title), summary];
    if state.losses().total() > 0 {
        let text = fit(&format!(" {}", losses(state.losses())), width);
        lines.push(Line::styled(text, theme.bad));
    }
    if let Some(problem) = scene.problem {
        lines.push(Line::styled(fit(&format!(" {problem}"), width), theme.bad));
    }
    lines
}

fn collector(scene: &Scene<'_>) -> String {
    let Some(collector) = scene.state.collector() else {
        return "no collector yet".to_owned();
    };
    if let Some(hold) = collector.held {
        let reader = hold
            .reader
            .map_or("a reader".into(), |pid| format!("reader {pid}"));
        let age = format::elapsed(scene.now.since(hold.since));
        return format!(
            "collector {}: held back by {reader} for {age}",
            collector.pid
        );
    }
    let age = format::elapsed(scene.now.since(collector.heartbeat));
    if scene.state.is_silent(scene.now) {
        return format!("collector {} has been silent for {age}", collector.pid);
    }
    let backlog = format::bytes(collector.backlog_bytes);
    let lag = format::duration(std::time::Duration::from_nanos(collector.write_lag_ns));
    let pid = collector.pid;
    format!("collector {pid}: wrote {age} ago, backlog {backlog}, lag {lag}")
}

fn losses(losses: Losses) -> String {
    let parts = [
        (losses.normal, "found no room"),
        (losses.errors, "errors found no room"),
        (losses.damaged, "damaged"),
        (losses.unknown, "of unknown kind"),
    ];
    let told: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("LOST {} records: {}", losses.total(), told.join(", "))
}

fn footer(view: &View, theme: &Theme) -> Line<'static> {
    let pause = if view.is_paused() { "go on" } else { "pause" };
    let keys = [
        ("q", "quit".to_owned()),
        ("?", "help".to_owned()),
        ("Space", pause.to_owned()),
        ("↑↓", "move".to_owned()),
        ("←→", "fold".to_owned()),
        ("Tab", "pane".to_owned()),
        ("s", format!("sort: {}", view.order.word())),
        ("f", format!("show: {}", view.filter.word())),
    ];
    let spans = keys.into_iter().flat_map(|(key, what)| {
        [
            Span::styled(format!(" {key} "), theme.focus),
            Span::styled(format!("{what} "), theme.dim),
        ]
    });
    Line::from_iter(spans)
}

/// What stands where there is nothing to show: what to do about it.
fn invitation(scene: &Scene<'_>, theme: &Theme, width: usize) -> Paragraph<'static> {
    let title = match (scene.has_store, scene.pid) {
        (false, _) => format!("Nothing recorded yet at {}", scene.database.display()),
        (true, Some(pid)) => format!("Process {pid} is not recorded at this moment."),
        (true, None) => "Nothing is running under Argus at this moment.".to_owned(),
    };
    let ways = [
        ("argus run -- python app.py", "a program, from its start"),
        ("argus gaze --pid 4711", "a process that runs already"),
        ("@argus.monitor", "before a function, in Python"),
    ];
    let room = width.saturating_sub(4);
    let mut lines = vec![
        Line::default(),
        Line::styled(format!("  {}", fit(&title, room)), theme.name),
        Line::default(),
        Line::raw(format!("  {}", fit("Start one in another terminal:", room))),
        Line::default(),
    ];
    for (command, what) in ways {
        let what = format!("  {what}");
        lines.push(Line::from(vec![
            Span::styled(format!("    {command:<28}"), theme.title),
            Span::styled(fit(&what, room.saturating_sub(30)), theme.dim),
        ]));
    }
    lines.push(Line::default());
    let last = fit("It will appear here by itself.", room);
    lines.push(Line::styled(format!("  {last}"), theme.dim));
    Paragraph::new(lines)
}

fn draw_help(frame: &mut Frame<'_>, theme: &Theme) {
    let height = u16::try_from(HELP.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let area = frame.area();
    let size = (46.min(area.width), height.min(area.height));
    let area = Rect {
        x: area.x + (area.width - size.0) / 2,
        y: area.y + (area.height - size.1) / 2,
        width: size.0,
        height: size.1,
    };
    let lines: Vec<_> = HELP
        .iter()
        .map(|(keys, what)| {
            Line::from(vec![
                Span::styled(format!(" {keys:<14}"), theme.focus),
                Span::raw(*what),
            ])
        })
        .collect();
    let block = block(" Keys ".to_owned(), theme, true);
    Clear.render(area, frame.buffer_mut());
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
