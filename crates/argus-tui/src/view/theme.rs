//! Colours, or the same distinctions without them.

use std::time::Duration;

use ratatui::style::{Color, Modifier, Style};

/// The styles of the screen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    pub(super) title: Style,
    pub(super) name: Style,
    pub(super) dim: Style,
    pub(super) good: Style,
    pub(super) bad: Style,
    pub(super) mark: Style,
    pub(super) focus: Style,
    pub(super) selected: Style,
    ages: [Style; 4],
}

impl Theme {
    /// The sixteen colours every terminal has; the user's palette decides what they look like.
    pub(crate) fn colored() -> Self {
        let color = |color| Style::new().fg(color);
        Self {
            title: color(Color::Cyan).add_modifier(Modifier::BOLD),
            name: Style::new().add_modifier(Modifier::BOLD),
            dim: color(Color::DarkGray),
            good: color(Color::Green),
            bad: color(Color::Red).add_modifier(Modifier::BOLD),
            mark: color(Color::Yellow).add_modifier(Modifier::BOLD),
            focus: color(Color::Cyan),
            selected: Style::new().add_modifier(Modifier::REVERSED),
            ages: [Color::Green, Color::Reset, Color::Yellow, Color::Red].map(color),
        }
    }

    /// No colour at all, for `NO_COLOR`.
    pub(crate) fn plain() -> Self {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let plain = Style::new();
        Self {
            title: bold,
            name: bold,
            dim: Style::new().add_modifier(Modifier::DIM),
            good: plain,
            bad: Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            mark: bold,
            focus: bold,
            selected: Style::new().add_modifier(Modifier::REVERSED),
            ages: [plain, plain, bold, bold],
        }
    }

    /// The style of something open for so long: fresh, usual, long, or stuck.
    pub(super) fn age(&self, elapsed: Duration) -> Style {
        self.ages[match elapsed.as_millis() {
            0..1_000 => 0,
            1_000..5_000 => 1,
            5_000..30_000 => 2,
            _ => 3,
        }]
    }
}
