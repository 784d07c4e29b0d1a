//! Dates and times of day: bytes to numbers, checked. What is no date is `None`.

use super::Spelling;

/// A local time, or one with a known offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Civil {
    /// Since 1970-01-01T00:00:00 on the same clock; of a time of day, since midnight.
    pub(super) seconds: i64,
    /// Below a second.
    pub(super) nanos: i64,
    /// East of Greenwich, in seconds, if the text says it.
    pub(super) offset: Option<i64>,
}

/// The number that all of `digits` are; of few digits.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    let mut sum = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum = sum * 10 + u32::from(digit - b'0');
    }
    Some(sum)
}

/// Days since 1970-01-01, by the Gregorian calendar; none for what is no day.
pub(super) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > length || !(1678..=2261).contains(&year) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let shifted = if month < 3 { year - 1 } else { year };
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    Some(shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719_468)
}

/// The year of a day since 1970-01-01.
pub(super) fn year_of(day: i64) -> i64 {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    era * 400 + year + i64::from(of_year >= 306)
}

/// `HH:MM:SS`, perhaps with a fraction behind a point or a comma; and how long it is.
pub(super) fn time(bytes: &[u8]) -> Option<(Civil, usize)> {
    if *bytes.get(2)? != b':' || *bytes.get(5)? != b':' {
        return None;
    }
    let hour = number(&bytes[..2])?;
    let minute = number(&bytes[3..5])?;
    let second = number(bytes.get(6..8)?)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, length) = fraction(&bytes[8..]);
    let civil = Civil {
        seconds: i64::from(hour * 3_600 + minute * 60 + second),
        nanos,
        offset: None,
    };
    Some((civil, 8 + length))
}

/// The nanoseconds of `.123` or `,123`, and how long that is; what is finer is cut.
fn fraction(bytes: &[u8]) -> (i64, usize) {
    if !matches!(bytes.first(), Some(b'.' | b',')) {
        return (0, 0);
    }
    let digits = bytes[1..]
        .iter()
        .take_while(|it| it.is_ascii_digit())
        .count();
    if digits == 0 {
        return (0, 0);
    }
    let padded = bytes[1..=digits]
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'));
    let nanos = padded
        .take(9)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    (nanos, 1 + digits)
}

/// `2026-01-27 14:23:45,123 +0100` with any of the usual separators; and how long it is.
pub(super) fn date_and_time(bytes: &[u8]) -> Option<(Civil, Spelling, usize)> {
    let separator = *bytes.get(4)?;
    if !matches!(separator, b'-' | b'/') || *bytes.get(7)? != separator {
        return None;
    }
    let year = number(&bytes[..4])?;
    let day = days(
        i64::from(year),
        number(&bytes[5..7])?,
        number(bytes.get(8..10)?)?,
    )?;
    let between = *bytes.get(10)?;
    if !matches!(between, b' ' | b'T' | b't' | b'_') {
        return None;
    }
    let (time, length) = time(bytes.get(11..)?)?;
    let mut end = 11 + length;
    let mut spelling = match (separator, between) {
        (b'/', _) => Spelling::Slashes,
        (_, b' ' | b'_') if length > 8 && bytes[19] == b',' => Spelling::Comma,
        (_, b' ' | b'_') => Spelling::Space,
        _ => Spelling::T,
    };
    let mut civil = Civil {
        seconds: day * 86_400 + time.seconds,
        ..time
    };
    if let Some((offset, length)) = zone(&bytes[end..]) {
        if spelling == Spelling::T && !matches!(bytes[end], b'Z' | b'z' | b' ') {
            spelling = Spelling::Offset;
        }
        civil.offset = Some(offset);
        end += length;
    }
    Some((civil, spelling, end))
}

/// The offset of `Z`, `+01:00`, `+0100`, `+01`, ` +0100` or ` UTC`, and how long it is.
fn zone(bytes: &[u8]) -> Option<(i64, usize)> {
    match bytes {
        [b'Z' | b'z', ..] => Some((0, 1)),
        [b'+' | b'-', ..] => offset(bytes),
        [b' ', b'+' | b'-', ..] => {
            // Behind a space, a sign may begin anything; only four digits are an offset.
            let (offset, length) = offset(&bytes[1..])?;
            (length >= 5).then_some((offset, length + 1))
        }
        [b' ', rest @ ..] => {
            let letters = rest
                .iter()
                .take(5)
                .take_while(|it| it.is_ascii_uppercase())
                .count();
            let ends = rest
                .get(letters)
                .is_none_or(|next| matches!(next, b' ' | b']' | b':'));
            let hours = ends.then(|| named(&rest[..letters]))??;
            Some((hours * 3_600, letters + 1))
        }
        _ => None,
    }
}

fn offset(bytes: &[u8]) -> Option<(i64, usize)> {
    let hours = number(bytes.get(1..3)?)?;
    let two = |at: usize| bytes.get(at..at + 2).and_then(number);
    let (minutes, length) = if bytes.get(3) == Some(&b':') {
        (two(4)?, 6)
    } else {
        two(3).map_or((0, 3), |minutes| (minutes, 5))
    };
    if hours > 15 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours * 3_600 + minutes * 60);
    Some((if bytes[0] == b'-' { -seconds } else { seconds }, length))
}

/// The hours of the few abbreviations that mean one zone.
fn named(letters: &[u8]) -> Option<i64> {
    match letters {
        b"UTC" | b"GMT" | b"WET" => Some(0),
        b"CET" | b"WEST" => Some(1),
        b"CEST" | b"EET" => Some(2),
        b"EEST" | b"MSK" => Some(3),
        b"JST" | b"KST" => Some(9),
        b"EDT" => Some(-4),
        b"EST" | b"CDT" => Some(-5),
        b"MDT" => Some(-6),
        b"PDT" => Some(-7),
        b"PST" => Some(-8),
        _ => None,
    }
}

/// `27/Jan/2026:14:23:45 +0000`; Werkzeug has a space before the hour and no zone.
pub(super) fn common_log(bytes: &[u8]) -> Option<Civil> {
    let day = number(bytes.get(..2)?)?;
    let month = month(bytes.get(3..6)?)?;
    let year = number(bytes.get(7..11)?)?;
    let separators = [bytes[2], bytes[6], *bytes.get(11)?];
    if separators != *b"//:" && separators != *b"// " {
        return None;
    }
    let days = days(i64::from(year), month, day)?;
    let (time, length) = time(bytes.get(12..)?)?;
    Some(Civil {
        seconds: days * 86_400 + time.seconds,
        nanos: time.nanos,
        offset: zone(&bytes[12 + length..]).map(|(offset, _)| offset),
    })
}

/// The day in ` 27`, `  7` or ` 07`.
pub(super) fn padded_day(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [b' ', b' ', day] => number(&[*day]),
        [b' ', day @ ..] => number(day),
        _ => None,
    }
}

/// The number of a month's English abbreviation.
pub(in super::super) fn month(letters: &[u8]) -> Option<u32> {
    const NAMES: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = NAMES.chunks(3).position(|name| name == letters)?;
    u32::try_from(at + 1).ok()
}
