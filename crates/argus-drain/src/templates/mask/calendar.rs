//! The words within a date.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Whether the piece between `start` and `end` of the line is a word of a date: a month before a
/// number, a day before a month or a number, `AM` and `PM` behind a number.
pub(super) fn is_date(line: &str, start: usize, end: usize) -> bool {
    let piece = &line[start..end];
    if !matches!(piece.len(), 2..=3) || !piece.as_bytes()[0].is_ascii_uppercase() {
        return false;
    }
    if matches!(piece, "AM" | "PM") {
        let before = line[..start].trim_end_matches(' ');
        return before.ends_with(|c: char| c.is_ascii_digit());
    }
    let after = line[end..].trim_start_matches([' ', ',']);
    let number_follows = after.starts_with(|c: char| c.is_ascii_digit());
    let month_follows = || MONTHS.iter().any(|month| after.starts_with(month));
    let is_day = || DAYS.contains(&piece) && (number_follows || month_follows());
    number_follows && MONTHS.contains(&piece) || is_day()
}
