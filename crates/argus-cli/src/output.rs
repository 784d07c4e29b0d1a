//! What goes to standard output: JSON for programs, aligned tables for people.
//!
//! A table never wraps: on a terminal its last column is cut to the window. Everything in a cell
//! is stripped of control characters here, so that no command can forget it. Colours appear on a
//! terminal only, and never with `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use argus_tui::sanitize;

/// For whom a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A program: JSON.
    Json,
    /// A person.
    Human,
}

/// Prints one JSON document.
pub(crate) fn document(value: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// Prints one JSON array, an element a line.
pub(crate) fn array<T: Serialize>(values: impl IntoIterator<Item = T>) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut separator = "[\n";
    for value in values {
        out.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut out, &value)?;
        separator = ",\n";
    }
    let end: &[u8] = if separator == "[\n" {
        b"[]\n"
    } else {
        b"\n]\n"
    };
    out.write_all(end)?;
    out.flush()?;
    Ok(())
}

/// Prints a line as it is.
pub(crate) fn line(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// Prints lines as they are.
pub(crate) fn lines(text: &str) -> Result<()> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Prints an empty line between two tables.
pub(crate) fn blank_line() -> Result<()> {
    writeln!(io::stdout())?;
    Ok(())
}

/// Nanoseconds as milliseconds, the unit of every duration in our JSON.
#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
pub(crate) fn milliseconds(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// A count as people read it: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A message about the output, on standard error: it never mixes with data.
pub(crate) fn note(message: &str) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// How a cell is stressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Not at all.
    Plain,
    /// A heading.
    Heading,
    /// Something works.
    Good,
    /// Something may fail soon.
    Warning,
    /// Something failed or was lost.
    Bad,
    /// Of minor interest.
    Faint,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Text in a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Text with a tone of its own.
    pub(crate) fn toned(text: &str, tone: Tone) -> Self {
        Self {
            text: sanitize(text).into_owned(),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text.as_ref(), Tone::Plain)
    }
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
    /// Of the columns, as far as they were printed; they never shrink.
    printed: Option<Vec<usize>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(title, align)| (sanitize(title).into_owned(), align))
            .collect();
        Self {
            columns,
            rows: Vec::new(),
            printed: None,
        }
    }

    /// Adds a row of as many cells as there are columns, or of fewer.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it.
    pub(crate) fn print(&self, screen: Screen) -> Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        out.write_all(self.render(screen).as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Prints the rows that were added since the last time, the first time under the headings.
    pub(crate) fn print_on(&mut self, screen: Screen) -> Result<()> {
        self.print(screen)?;
        self.printed = Some(self.widths());
        self.rows.clear();
        Ok(())
    }

    /// The table as text.
    pub(crate) fn render(&self, screen: Screen) -> String {
        let widths = self.widths();
        let headings: Vec<Cell> = self
            .columns
            .iter()
            .map(|(title, _)| Cell::toned(title, Tone::Heading))
            .collect();
        let mut out = String::new();
        let headings = Some(&headings).filter(|_| self.printed.is_none());
        for row in headings.into_iter().chain(&self.rows) {
            self.render_row(row, &widths, screen, &mut out);
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|(title, _)| title.width())
            .collect();
        for (width, printed) in widths.iter_mut().zip(self.printed.iter().flatten()) {
            *width = (*width).max(*printed);
        }
        // A row of fewer cells stands for itself.
        let rows = self.rows.iter();
        for row in rows.filter(|row| row.len() == self.columns.len()) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        widths
    }

    fn render_row(&self, row: &[Cell], widths: &[usize], screen: Screen, out: &mut String) {
        let last = self.columns.len().saturating_sub(1);
        let mut used = 0;
        for (index, (cell, (_, align))) in row.iter().zip(&self.columns).enumerate() {
            if index > 0 {
                out.push_str("  ");
                used += 2;
            }
            let text = screen.fit(&cell.text, used, index == last);
            let room = widths[index].saturating_sub(text.width());
            let left = if *align == Align::Right { room } else { 0 };
            // Nothing to the right of a left-aligned last column: no trailing spaces.
            let right = if index == last { 0 } else { room - left };
            out.push_str(&" ".repeat(left));
            screen.paint(&text, cell.tone, out);
            out.push_str(&" ".repeat(right));
            used += widths[index];
        }
        out.truncate(out.trim_end_matches(' ').len());
        out.push('\n');
    }
}

/// What the terminal behind standard output can show; nothing of it for a file or a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Screen {
    columns: Option<usize>,
    colours: bool,
}

impl Screen {
    /// The one behind standard output.
    pub(crate) fn of_stdout() -> Self {
        Self::behind(&io::stdout())
    }

    /// The one behind standard error.
    pub(crate) fn of_stderr() -> Self {
        Self::behind(&io::stderr())
    }

    fn behind(stream: &impl IsTerminal) -> Self {
        if !stream.is_terminal() {
            return Self::default();
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        Self {
            columns: crossterm::terminal::size()
                .ok()
                .map(|(columns, _)| columns.into()),
            colours: set("NO_COLOR").is_none() && !dumb,
        }
    }

    /// How wide it is, where that is known.
    pub(crate) fn columns(self) -> Option<usize> {
        self.columns
    }

    /// Appends text in its tone.
    pub(crate) fn paint(self, text: &str, tone: Tone, out: &mut String) {
        if self.colours && tone != Tone::Plain {
            out.push_str(tone.code());
            out.push_str(text);
            out.push_str("\x1b[0m");
        } else {
            out.push_str(text);
        }
    }

    fn fit(self, text: &str, used: usize, last: bool) -> String {
        let room = match self.columns {
            Some(columns) if last => columns.saturating_sub(used).max(8),
            _ => return text.to_owned(),
        };
        if text.width() <= room {
            return text.to_owned();
        }
        let mut cut = String::new();
        for character in text.chars() {
            cut.push(character);
            if cut.width() >= room {
                cut.pop();
                break;
            }
        }
        cut + "…"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            ("NAME", Align::Left),
            ("N", Align::Right),
            ("TEXT", Align::Left),
        ]);
        table.row(["a", "10", "short"].map(Cell::from));
        table.row([
            Cell::from("日本"),
            "2".into(),
            Cell::toned("a long text here", Tone::Bad),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_the_eye_sees() {
        assert_eq!(
            table().render(Screen::default()),
            "NAME   N  TEXT\n\
             a     10  short\n\
             日本   2  a long text here\n"
        );
    }

    #[test]
    fn the_last_column_is_cut_to_the_window() {
        let screen = Screen {
            columns: Some(20),
            colours: false,
        };
        assert_eq!(
            table().render(screen).lines().last(),
            Some("日本   2  a long te…")
        );
    }

    #[test]
    fn colours_close_what_they_open() {
        let screen = Screen {
            columns: None,
            colours: true,
        };
        let text = table().render(screen);
        assert!(
            text.ends_with("\x1b[31ma long text here\x1b[0m\n"),
            "{text:?}"
        );
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        let cell = Cell::from("\x1b]0;owned\x07a\u{202e}b\nc");
        assert_eq!(cell.text, "]0;ownedab c");
    }
}
