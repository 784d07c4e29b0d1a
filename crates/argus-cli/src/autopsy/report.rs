//! The report as people read it.

use argus_model::Measure;
use argus_read::Autopsy;
use argus_read::autopsy::{Newest, Quantity, Series};
use argus_read::live::{LiveSpan, LiveThread};
use argus_store::query::{StoredLog, StoredProcessEvent, StoredRun, StoredSpan};
use argus_tui::format::{self, time_of_day};
use argus_tui::sanitize;
use jiff::tz::TimeZone;

use super::words;
use crate::moment::{duration, local};
use crate::output::{Align, Cell, Screen, Table, Tone, grouped};
use crate::{logs, metrics, traces};

/// Open calls shown of a thread: the outermost and the innermost ones, half of each.
const SHOWN: usize = 40;
/// Threads shown.
const THREADS: usize = 20;
/// Calls shown where it is to be short.
const FEW: usize = 3;
/// Quantities shown: with threads and control groups there can be hundreds.
const QUANTITIES: usize = 30;
/// Points of a curve.
const CURVE: usize = 60;

/// Everything.
pub(super) fn whole(autopsy: &Autopsy, screen: Screen) -> String {
    let mut report = Report::new(autopsy, screen);
    report.headline();
    report.who();
    report.open(SHOWN, THREADS);
    report.failed(usize::MAX);
    report.vitals();
    report.events();
    report.logs();
    report.children();
    report.losses();
    report.text
}

/// What somebody needs who has just seen the program's own last words.
pub(super) fn short(autopsy: &Autopsy, screen: Screen) -> String {
    let mut report = Report::new(autopsy, screen);
    report.text.push_str("argus: ");
    report.headline();
    report.open(SHOWN / 2, FEW);
    report.failed(FEW);
    if !autopsy.children.rows.is_empty() {
        let title = report.children_title();
        let pids = autopsy.children.rows.iter().take(FEW);
        let pids: Vec<_> = pids.map(|child| child.run.pid.to_string()).collect();
        report.section(&format!("{title} (pid {})", pids.join(", ")));
    }
    report.text
}

struct Report<'a> {
    autopsy: &'a Autopsy,
    screen: Screen,
    zone: TimeZone,
    text: String,
}

impl<'a> Report<'a> {
    fn new(autopsy: &'a Autopsy, screen: Screen) -> Self {
        Self {
            autopsy,
            screen,
            zone: TimeZone::system(),
            text: String::new(),
        }
    }

    fn line(&mut self, text: &str, tone: Tone) {
        self.screen.paint(&sanitize(text), tone, &mut self.text);
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.text.push('\n');
        self.line(title, Tone::Heading);
    }

    fn table(&mut self, table: &Table) {
        self.text.push_str(&table.render(self.screen));
    }

    fn headline(&mut self) {
        let Autopsy { run, ended, .. } = self.autopsy;
        let name = match run.app_name.as_str() {
            "" => &run.process_name,
            name => name,
        };
        let tone = match ended.map(|ended| ended.exit_code) {
            None | Some(Some(0)) => Tone::Good,
            Some(_) => Tone::Bad,
        };
        let text = format!("{name} (pid {}) {}", run.run.pid, words::ending(*ended));
        self.line(&text, tone);
        if let Some(evidence) = ended.and_then(words::evidence) {
            self.line(&format!("  {evidence}"), Tone::Plain);
        }
    }

    fn who(&mut self) {
        let Autopsy { run, ended, .. } = self.autopsy;
        let lived = format::duration(self.autopsy.lived());
        let mut facts = vec![("run", run.id.to_string())];
        if !run.command_line.is_empty() {
            facts.push(("command", run.command_line.clone()));
        }
        facts.push(("host", run.hostname.clone()));
        facts.push(("started", local(run.started_at)));
        match ended {
            Some(ended) => facts.push(("ended", format!("{}, after {lived}", local(ended.at)))),
            None => facts.push(("lives", format!("for {lived}"))),
        }
        for (name, fact) in facts {
            self.line(&format!("  {name:<8} {fact}"), Tone::Plain);
        }
    }

    fn open(&mut self, shown: usize, threads: usize) {
        let all = &self.autopsy.threads;
        let instrumented = self.autopsy.run.instrumented;
        if all.is_empty() && !instrumented {
            return;
        }
        let when = match self.autopsy.ended {
            Some(_) => "OPEN WHEN IT DIED",
            None => "OPEN NOW",
        };
        let calls = format::count(self.autopsy.open_spans(), "call", "calls");
        let of = format::count(all.len(), "thread", "threads");
        let cut = if self.autopsy.open_cut {
            "more than "
        } else {
            ""
        };
        if all.is_empty() {
            self.section(&format!("{when}: nothing"));
            return;
        }
        self.section(&format!("{when}: {cut}{calls} in {of}"));
        let mut table = Table::new([("ELAPSED", Align::Right), ("CALL", Align::Left)]);
        for thread in all.iter().take(threads) {
            self.thread(thread, shown, &mut table);
        }
        self.table(&table);
        if all.len() > threads {
            let rest = format::count(all.len() - threads, "more thread", "more threads");
            self.line(&format!("… {rest}"), Tone::Faint);
        }
    }

    fn thread(&self, thread: &LiveThread, shown: usize, table: &mut Table) {
        let name = match (thread.name.as_str(), thread.tid) {
            ("", 0) => "thread unknown".to_owned(),
            (name, 0) => name.to_owned(),
            (name, tid) => format!("{name} {tid}").trim_start().to_owned(),
        };
        table.row([Cell::from(""), Cell::toned(&name, Tone::Faint)]);
        let half = shown / 2;
        let all = thread.spans.len();
        for (place, span) in thread.spans.iter().enumerate() {
            let left_out = all.saturating_sub(shown);
            if left_out > 0 && place == half {
                let text = format!("… {} more …", grouped(left_out as u64));
                table.row([Cell::from(""), Cell::toned(&text, Tone::Faint)]);
            }
            if left_out == 0 || place < half || place >= half + left_out {
                table.row(self.open_call(span));
            }
        }
    }

    fn open_call(&self, span: &LiveSpan) -> [Cell; 2] {
        // A stack of thousands would stand outside of every window.
        let indent = "  ".repeat(1 + span.depth.min(SHOWN / 2));
        let call = traces::called(&span.span.process, span.span.captured.as_deref());
        [
            format::duration(self.autopsy.elapsed(span)).into(),
            format!("{indent}{call}").into(),
        ]
    }

    fn failed(&mut self, most: usize) {
        let Newest { rows, cut } = &self.autopsy.failed;
        if rows.is_empty() {
            return;
        }
        let more = if *cut { "the newest " } else { "" };
        let calls = format::count(rows.len(), "call", "calls");
        self.section(&format!("FAILED IN THE LAST MINUTE: {more}{calls}"));
        let mut table = Table::new([
            ("ENDED", Align::Left),
            ("DURATION", Align::Right),
            ("CALL", Align::Left),
        ]);
        for span in &rows[rows.len().saturating_sub(most)..] {
            table.row(self.failed_call(span));
        }
        self.table(&table);
    }

    fn failed_call(&self, span: &StoredSpan) -> [Cell; 3] {
        [
            Cell::toned(&time_of_day(span.ended_at, &self.zone), Tone::Faint),
            duration(span.duration_ns).into(),
            Cell::toned(&traces::call(span), Tone::Bad),
        ]
    }

    fn vitals(&mut self) {
        let series = self.autopsy.series();
        let Some(last) = self.autopsy.samples.rows.last() else {
            if !series.is_empty() {
                self.series("LAST MINUTE", &series);
            }
            return;
        };
        let age = self.autopsy.until.since(last.at);
        if age > argus_read::autopsy::LAST {
            let title = format!("LAST MEASURED {} BEFORE", format::duration(age));
            self.series(&title, &series);
        } else {
            self.series("LAST MINUTE", &series);
        }
    }

    fn series(&mut self, title: &str, series: &[Series]) {
        self.section(title);
        let mut table = Table::new([
            ("", Align::Left),
            ("LAST", Align::Right),
            ("LOWEST", Align::Right),
            ("MEAN", Align::Right),
            ("HIGHEST", Align::Right),
            ("", Align::Left),
        ]);
        for one in series.iter().take(QUANTITIES) {
            let value = |value| Cell::from(shown(&one.quantity, value));
            table.row([
                Cell::from(named(&one.quantity)),
                value(one.last),
                value(one.lowest),
                value(one.mean),
                value(one.highest),
                sparkline(&one.curve(CURVE)).into(),
            ]);
        }
        self.table(&table);
        if series.len() > QUANTITIES {
            let pid = self.autopsy.run.run.pid;
            let rest = series.len() - QUANTITIES;
            self.line(
                &format!("… {rest} more: argus metrics --pid {pid}"),
                Tone::Faint,
            );
        }
    }

    fn events(&mut self) {
        let Newest { rows, cut } = &self.autopsy.events;
        // How it ended stands above.
        let told: Vec<_> = rows
            .iter()
            .filter(|row| row.event_type != "terminated")
            .collect();
        if told.is_empty() {
            return;
        }
        let more = if *cut { ", the newest" } else { "" };
        self.section(&format!("EVENTS OF THE LAST MINUTE{more}"));
        let mut table = Table::new([
            ("TIME", Align::Left),
            ("EVENT", Align::Left),
            ("DETAIL", Align::Left),
        ]);
        for event in told {
            table.row(self.event(event));
        }
        self.table(&table);
    }

    fn event(&self, event: &StoredProcessEvent) -> [Cell; 3] {
        let tone = match event.event_type.starts_with("alert") {
            true => Tone::Bad,
            false => Tone::Plain,
        };
        [
            Cell::toned(&time_of_day(event.at, &self.zone), Tone::Faint),
            Cell::toned(&event.event_type, tone),
            event.detail.as_deref().unwrap_or("").into(),
        ]
    }

    fn logs(&mut self) {
        let Newest { rows, cut } = &self.autopsy.logs;
        if rows.is_empty() {
            return;
        }
        let last = if *cut { "THE LAST " } else { "" };
        let lines = format::count(rows.len(), "LINE", "LINES");
        self.section(&format!("LOG: {last}{lines}"));
        let mut table = Table::new([
            ("TIME", Align::Left),
            ("SOURCE", Align::Left),
            ("LINE", Align::Left),
        ]);
        for log in rows {
            table.row(self.log(log));
        }
        self.table(&table);
    }

    fn log(&self, log: &StoredLog) -> [Cell; 3] {
        [
            Cell::toned(&time_of_day(log.at, &self.zone), Tone::Faint),
            Cell::from(&log.source),
            Cell::toned(&log.line, logs::tone(log)),
        ]
    }

    fn children(&mut self) {
        let rows = &self.autopsy.children.rows;
        if rows.is_empty() {
            return;
        }
        self.section(&self.children_title());
        let mut table = Table::new([
            ("PID", Align::Right),
            ("APP", Align::Left),
            ("STARTED", Align::Left),
            ("COMMAND", Align::Left),
        ]);
        for child in rows {
            table.row(child_cells(child));
        }
        self.table(&table);
    }

    fn children_title(&self) -> String {
        let Newest { rows, cut } = &self.autopsy.children;
        let more = if *cut { "more than " } else { "" };
        let children = format::count(rows.len(), "child", "children");
        format!("STILL ALIVE: {more}{children}")
    }

    fn losses(&mut self) {
        let losses = self.autopsy.losses;
        if losses.total() == 0 {
            return;
        }
        self.section("LOST");
        let text = format!(
            "{} of {} records are missing: {} ordinary ones and {} errors found no room, \
             {} are damaged, {} of an unknown kind",
            grouped(losses.total()),
            grouped(self.autopsy.emitted),
            grouped(losses.normal),
            grouped(losses.errors),
            grouped(losses.damaged),
            grouped(losses.unknown),
        );
        self.line(&text, Tone::Bad);
    }
}

fn child_cells(child: &StoredRun) -> [Cell; 4] {
    let command = match child.command_line.as_str() {
        "" => &child.process_name,
        command => command,
    };
    [
        child.run.pid.to_string().into(),
        Cell::from(&child.app_name),
        Cell::toned(&local(child.started_at), Tone::Faint),
        command.into(),
    ]
}

fn named(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Cpu => "CPU".into(),
        Quantity::Memory => "memory".into(),
        Quantity::Threads => "threads".into(),
        Quantity::Measure(measure) => gauge(*measure).into(),
        Quantity::Named {
            name, attributes, ..
        } => metrics::named(name, attributes.as_deref()),
    }
}

fn gauge(measure: Measure) -> &'static str {
    match measure {
        Measure::DiskReadRate => "disk read",
        Measure::DiskWriteRate => "disk written",
        Measure::NetworkReceiveRate => "received",
        Measure::NetworkSendRate => "sent",
        Measure::Descriptors => "descriptors",
        other => other.name(),
    }
}

fn shown(quantity: &Quantity, value: f64) -> String {
    match quantity {
        Quantity::Cpu => format!("{value:.1} %"),
        Quantity::Memory => format::mebibytes(value),
        Quantity::Threads => plain(value),
        Quantity::Measure(measure) => format::measure(*measure, Some(value)),
        // UCUM writes "no unit" as 1.
        Quantity::Named { unit, .. } if unit.is_empty() || unit == "1" => plain(value),
        Quantity::Named { unit, .. } => format!("{} {unit}", plain(value)),
    }
}

/// Two digits behind the point where there are any.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A curve from zero (or the lowest value below it) to the highest value.
fn sparkline(curve: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let floor = curve.iter().copied().fold(0.0, f64::min);
    let top = curve.iter().copied().fold(0.0, f64::max);
    let height = top - floor;
    let bar = |value: &f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 7; the cast saturates"
        )]
        let place = ((value - floor) / height * 7.0).round() as usize;
        BARS[if height > 0.0 { place.min(7) } else { 0 }]
    };
    curve.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_at_zero() {
        assert_eq!(sparkline(&[0.0, 50.0, 100.0]), "▁▅█");
        assert_eq!(sparkline(&[99.0, 100.0]), "██");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[-1.0, 1.0]), "▁█");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn numbers_keep_what_says_something() {
        for (value, text) in [(4.0, "4"), (0.5, "0.5"), (10.0, "10"), (1.234, "1.23")] {
            assert_eq!(plain(value), text);
        }
    }
}
