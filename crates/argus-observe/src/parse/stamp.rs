//! Times as log lines spell them, to nanoseconds.
//!
//! A time with a zone is taken as it is. One without is local time in the zone that the caller names,
//! one without a year or a day gets the nearest that is not in the future of `now` (by more than what
//! clocks of two machines may differ). No clock is read here.

mod civil;

use argus_model::Timestamp;
use jiff::tz::TimeZone;

use civil::Civil;
pub(super) use civil::month;

/// How a time at the beginning of a line was spelled, which tells formats apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `2026-01-27 14:23:45`, perhaps with `.123`.
    Space,
    /// `2026-01-27 14:23:45,123`.
    Comma,
    /// `2026-01-27T14:23:45Z`: UTC, or no zone.
    T,
    /// `2026-01-27T14:23:45+0100`.
    Offset,
    /// `2026/01/27 14:23:45`.
    Slashes,
    /// `14:23:45.123`.
    Clock,
    /// Seconds, milliseconds, micro- or nanoseconds since 1970.
    Epoch,
}

/// A time that a text begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) at: Timestamp,
    pub(super) spelling: Spelling,
    /// What follows it.
    pub(super) rest: &'a str,
}

/// What is needed to complete times: the zone, and the last answers of its rules.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    now: Timestamp,
    /// A quarter of an hour of local time and the offset in it, in seconds.
    local: Option<(i64, i64)>,
    /// The same by UTC, for `now`.
    universal: Option<(i64, i64)>,
}

/// Offsets change at full quarters of an hour only.
const QUARTER: i64 = 900;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
const NANOS: i64 = 1_000_000_000;

impl Clock {
    pub(super) const fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            now: Timestamp::from_nanos(0),
            local: None,
            universal: None,
        }
    }

    pub(super) fn set(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The moment of a local time, or of one whose offset is known.
    pub(super) fn at(&mut self, civil: Civil) -> Option<Timestamp> {
        let offset = match civil.offset {
            Some(offset) => offset,
            None => self.offset_of_local(civil.seconds)?,
        };
        let seconds = civil.seconds.checked_sub(offset)?;
        let nanos = seconds.checked_mul(NANOS)?.checked_add(civil.nanos)?;
        Some(Timestamp::from_nanos(nanos))
    }

    /// In a gap, and where a time comes twice, jiff's usual choice: what a clock would show that was
    /// not put forward yet, and the first of the two.
    fn offset_of_local(&mut self, seconds: i64) -> Option<i64> {
        let quarter = seconds.div_euclid(QUARTER);
        if let Some((known, offset)) = self.local
            && known == quarter
        {
            return Some(offset);
        }
        let as_utc = jiff::Timestamp::from_second(seconds).ok()?;
        let local = jiff::tz::Offset::UTC.to_datetime(as_utc);
        let at = self.zone.to_timestamp(local).ok()?;
        let offset = seconds - at.as_second();
        self.local = Some((quarter, offset));
        Some(offset)
    }

    fn local_now(&mut self) -> Option<i64> {
        let now = self.now.nanos().div_euclid(NANOS);
        let quarter = now.div_euclid(QUARTER);
        if let Some((known, offset)) = self.universal
            && known == quarter
        {
            return Some(now + offset);
        }
        let at = jiff::Timestamp::from_second(now).ok()?;
        let offset = i64::from(self.zone.to_offset(at).seconds());
        self.universal = Some((quarter, offset));
        Some(now + offset)
    }

    /// The last moment of that month, day and time of day that is at most a day ahead: logs are of
    /// the past, but not every machine's clock is. The 29th of February looks back to a leap year.
    pub(super) fn without_year(&mut self, month: u32, day: u32, time: Civil) -> Option<Timestamp> {
        let local_now = self.local_now()?;
        let this_year = civil::year_of(local_now.div_euclid(DAY));
        for year in (this_year - 8..=this_year + 1).rev() {
            let Some(days) = civil::days(year, month, day) else {
                continue;
            };
            let seconds = days * DAY + time.seconds;
            if seconds <= local_now + DAY {
                return self.at(Civil { seconds, ..time });
            }
        }
        None
    }

    /// The moment of that time of day between 23 hours ago and an hour ahead.
    fn without_date(&mut self, time: Civil) -> Option<Timestamp> {
        let local_now = self.local_now()?;
        let mut seconds = local_now.div_euclid(DAY) * DAY + time.seconds;
        if seconds > local_now + HOUR {
            seconds -= DAY;
        } else if seconds < local_now - 23 * HOUR {
            seconds += DAY;
        }
        self.at(Civil { seconds, ..time })
    }

    /// The time that `text` begins with, in any spelling that has a date or is nothing but a time.
    pub(super) fn leading<'a>(&mut self, text: &'a str) -> Option<Stamp<'a>> {
        let bytes = text.as_bytes();
        if !bytes.first()?.is_ascii_digit() {
            return None;
        }
        let (at, spelling, length) = match bytes.get(4) {
            Some(b'-' | b'/') => {
                let (civil, spelling, length) = civil::date_and_time(bytes)?;
                (self.at(civil)?, spelling, length)
            }
            _ if bytes.get(2) == Some(&b':') => {
                let (civil, length) = civil::time(bytes)?;
                (self.without_date(civil)?, Spelling::Clock, length)
            }
            _ => {
                let (at, length) = leading_epoch(bytes)?;
                (at, Spelling::Epoch, length)
            }
        };
        let rest = text.get(length..)?;
        Some(Stamp { at, spelling, rest })
    }

    /// The time that `text` is as a whole: with a date, or digits since 1970.
    pub(super) fn whole(&mut self, text: &str) -> Option<Timestamp> {
        if let Some(at) = epoch(text) {
            return Some(at);
        }
        let (civil, _, length) = civil::date_and_time(text.as_bytes())?;
        (length == text.len()).then(|| self.at(civil))?
    }

    /// `27/Jan/2026:14:23:45 +0000`, as web servers write it.
    pub(super) fn common_log(&mut self, text: &str) -> Option<Timestamp> {
        self.at(civil::common_log(text.as_bytes())?)
    }

    /// `Jan 27 14:23:45`, as syslog writes it, perhaps with fractions; and how long it is.
    pub(super) fn syslog(&mut self, text: &str) -> Option<(Timestamp, usize)> {
        let bytes = text.as_bytes();
        let month = month(bytes.get(..3)?)?;
        let day = civil::padded_day(bytes.get(3..6)?)?;
        if bytes.get(6) != Some(&b' ') {
            return None;
        }
        let (time, length) = civil::time(bytes.get(7..)?)?;
        Some((self.without_year(month, day, time)?, 7 + length))
    }

    /// `0127 14:23:45.123456` or `20260127 14:23:45.123456`, as glog writes it; and how long it is.
    pub(super) fn glog(&mut self, text: &str) -> Option<(Timestamp, usize)> {
        let bytes = text.as_bytes();
        let digits = bytes
            .iter()
            .take(9)
            .take_while(|it| it.is_ascii_digit())
            .count();
        let (time, length) = civil::time(bytes.get(digits + 1..)?)?;
        if bytes[digits] != b' ' {
            return None;
        }
        let month = civil::number(bytes.get(digits.checked_sub(4)?..digits - 2)?)?;
        let day = civil::number(&bytes[digits - 2..digits])?;
        let at = match digits {
            4 => self.without_year(month, day, time)?,
            8 => {
                let year = civil::number(&bytes[..4])?;
                let days = civil::days(i64::from(year), month, day)?;
                let seconds = days * DAY + time.seconds;
                self.at(Civil { seconds, ..time })?
            }
            _ => return None,
        };
        Some((at, digits + 1 + length))
    }

    /// `27 Jan 2026 14:23:45.123`, as Redis writes it; and how long it is.
    pub(super) fn redis(&mut self, text: &str) -> Option<(Timestamp, usize)> {
        let bytes = text.as_bytes();
        let day = civil::number(bytes.get(..2)?)?;
        let month = month(bytes.get(3..6)?)?;
        let year = civil::number(bytes.get(7..11)?)?;
        if [bytes[2], bytes[6], *bytes.get(11)?] != *b"   " {
            return None;
        }
        let days = civil::days(i64::from(year), month, day)?;
        let (time, length) = civil::time(bytes.get(12..)?)?;
        let seconds = days * DAY + time.seconds;
        Some((self.at(Civil { seconds, ..time })?, 12 + length))
    }
}

/// Digits since 1970 that begin a line and are followed by a space; of as many digits as times of
/// our age have, so that a count is not taken for a time.
fn leading_epoch(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let inside = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let length = bytes.iter().take(24).take_while(inside).count();
    let text = std::str::from_utf8(&bytes[..length]).ok()?;
    let whole = text.split('.').next()?.len();
    let follows = bytes
        .get(length)
        .is_none_or(|next| matches!(next, b' ' | b'\t' | b']' | b':'));
    let plausible = matches!(whole, 10 | 13 | 16 | 19) && bytes[0] != b'0' && follows;
    plausible.then(|| epoch(text))?.map(|at| (at, length))
}

/// Digits since 1970, perhaps with a fraction, in the unit that makes a time of our age of them:
/// seconds, milliseconds, microseconds or nanoseconds. Below 10⁸ (1973) it is no time.
pub(super) fn epoch(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 19 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let value: i64 = whole.parse().ok()?;
    let (unit, places) = match value {
        ..100_000_000 => return None,
        100_000_000..100_000_000_000 => (NANOS, 9),
        100_000_000_000..100_000_000_000_000 => (1_000_000, 6),
        100_000_000_000_000..100_000_000_000_000_000 => (1_000, 3),
        _ => (1, 0),
    };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0'));
    let below = digits
        .take(places)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(Timestamp::from_nanos(
        value.checked_mul(unit)?.checked_add(below)?,
    ))
}

#[cfg(test)]
mod tests;
