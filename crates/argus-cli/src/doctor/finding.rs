//! What a check answers with, and how it looks: one line each, aligned, with the advice below it.

use std::fmt::Display;

use anyhow::Result;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use argus_tui::sanitize;

use crate::output::{self, Screen, Tone};

/// How a matter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// It works.
    Ok,
    /// It works less well, or somebody has turned it off.
    Off,
    /// It prevents recording.
    Problem,
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    subject: &'static str,
    pub(super) verdict: Verdict,
    found: String,
    advice: Option<String>,
}

impl Finding {
    /// Works.
    pub(super) fn ok(subject: &'static str, found: impl Display) -> Self {
        Self {
            subject,
            verdict: Verdict::Ok,
            found: found.to_string(),
            advice: None,
        }
    }

    /// Works less well; what to do.
    pub(super) fn off(subject: &'static str, found: impl Display, advice: impl Display) -> Self {
        Self {
            verdict: Verdict::Off,
            advice: Some(advice.to_string()),
            ..Self::ok(subject, found)
        }
    }

    /// Prevents recording; what to do.
    pub(super) fn problem(
        subject: &'static str,
        found: impl Display,
        advice: impl Display,
    ) -> Self {
        Self {
            verdict: Verdict::Problem,
            ..Self::off(subject, found, advice)
        }
    }
}

/// Findings that belong together.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    title: &'static str,
    pub(super) findings: Vec<Finding>,
}

impl Section {
    /// A section of these findings.
    pub(super) fn new(title: &'static str, findings: Vec<Finding>) -> Self {
        Self { title, findings }
    }
}

/// Prints all sections for people.
pub(super) fn print(sections: &[Section], screen: Screen) -> Result<()> {
    output::line(render(sections, screen).trim_end_matches('\n'))?;
    output::blank_line()
}

/// The text stands to the right of mark and subject; longer than the window, it goes on below.
fn render(sections: &[Section], screen: Screen) -> String {
    let findings = sections.iter().flat_map(|section| &section.findings);
    let widest = findings.map(|finding| finding.subject.width()).max();
    let indent = "problem".len() + 2 + widest.unwrap_or(0) + 2;
    let room = screen
        .columns()
        .map(|columns| columns.saturating_sub(indent).max(30));
    let mut out = String::new();
    for section in sections {
        screen.paint(section.title, Tone::Heading, &mut out);
        out.push('\n');
        for finding in &section.findings {
            let (mark, tone) = match finding.verdict {
                Verdict::Ok => ("ok     ", Tone::Good),
                Verdict::Off => ("off    ", Tone::Faint),
                Verdict::Problem => ("problem", Tone::Bad),
            };
            screen.paint(mark, tone, &mut out);
            let width = indent - mark.len() - 4;
            out.push_str(&format!("  {:width$}  ", finding.subject));
            push_wrapped(&sanitize(&finding.found), indent, room, &mut out);
            if let Some(advice) = &finding.advice {
                out.push_str(&" ".repeat(indent));
                out.push_str("→ ");
                let room = room.map(|room| room - 2);
                push_wrapped(&sanitize(advice), indent + 2, room, &mut out);
            }
        }
        out.push('\n');
    }
    out
}

fn push_wrapped(text: &str, indent: usize, room: Option<usize>, out: &mut String) {
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let fits = room.is_none_or(|room| used + word.trim_end().width() <= room);
        if used > 0 && !fits {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        }
        out.push_str(word);
        used += word.width();
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> [Section; 1] {
        [Section::new(
            "Machine",
            vec![
                Finding::ok("kernel", "Linux 6.18.2"),
                Finding::off(
                    "clock",
                    "acpi_pm: a span costs 100 ns more",
                    "clocksource=tsc",
                ),
                Finding::problem("wipe on fork", "refused", "use another kernel"),
            ],
        )]
    }

    #[test]
    fn findings_are_aligned_with_the_advice_below() {
        insta::assert_snapshot!(render(&sections(), Screen::default()), @r"
        Machine
        ok       kernel        Linux 6.18.2
        off      clock         acpi_pm: a span costs 100 ns more
                               → clocksource=tsc
        problem  wipe on fork  refused
                               → use another kernel
        ");
    }

    #[test]
    fn long_findings_go_on_below() {
        let mut out = String::new();
        push_wrapped("one two three four", 4, Some(9), &mut out);
        assert_eq!(out, "one two\n    three\n    four\n");
    }
}
