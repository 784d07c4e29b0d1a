//! Which lines belong to one event, by what is known of the program that wrote them.

use super::follow::Row;

/// Whether a line begins an event, and then how severe it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Begins(&'static str),
    Continues,
}

/// Checks that each row is the part of an event that it looks like; how many events there are, and how many
/// lines continue one.
pub(super) fn check_events<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    part: impl Fn(&str) -> Part,
) -> (usize, usize) {
    let (mut due, mut level, mut counts) = (None, "", (0, 0));
    for row in rows {
        match part(&row.line) {
            Part::Begins(severity) => {
                (due, level) = (None, severity);
                counts.0 += 1;
            }
            Part::Continues => {
                due = Some(due.map_or(1, |before: i64| before + 1));
                counts.1 += 1;
            }
        }
        assert_eq!((row.continues, row.level.as_str()), (due, level), "{row:?}");
    }
    counts
}
