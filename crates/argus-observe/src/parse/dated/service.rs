//! Services whose lines begin with a time: PostgreSQL, nginx's error log, journald.

use super::super::fields::Sheet;
use super::super::stamp::Spelling;
use super::super::syslog;
use super::super::token::{bracket, is_digits, is_name, level, trim, word};
use super::super::{Format, Found};
use super::{Bracket, Dated};

/// What PostgreSQL calls the lines that belong to the one before.
const BELONGS: [&str; 7] = [
    "DETAIL",
    "HINT",
    "STATEMENT",
    "CONTEXT",
    "QUERY",
    "LOCATION",
    "BACKTRACE",
];

/// PostgreSQL: `[1234] ERROR:  msg`, `[1234-1] user@db LOG:  msg`; of an abbreviated zone that has not
/// been understood, the letters are skipped.
pub(super) fn postgres(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    let mut rest = dated.rest;
    let letters = rest.bytes().take_while(u8::is_ascii_uppercase).count();
    if (3..=5).contains(&letters) && rest[letters..].starts_with(" [") {
        rest = &rest[letters + 1..];
    }
    let (pid, behind) = bracket(rest)?;
    let pid = pid.split_once('-').map_or(pid, |(pid, _)| pid);
    if !is_digits(pid) || dated.bracket != Bracket::None {
        return None;
    }
    rest = trim(behind.strip_prefix(':').unwrap_or(behind));
    let mut who = None;
    for _ in 0..4 {
        let (first, behind) = word(rest);
        if let Some(name) = first.strip_suffix(':')
            && behind.starts_with("  ")
        {
            sheet.name(dated.line, "pid", pid);
            if let Some((user, database)) = who {
                sheet.name(dated.line, "user", user);
                sheet.name(dated.line, "database", database);
            }
            if BELONGS.contains(&name) {
                let mut found = dated.found(Format::Postgres, None, None, rest);
                found.continues = true;
                return Some(found);
            }
            let (level, _) = level(name)?;
            return Some(dated.found(Format::Postgres, Some(level), None, trim(behind)));
        }
        who = who.or(first.split_once('@'));
        rest = trim(behind);
    }
    None
}

/// nginx: `[error] 1234#0: *5 msg`.
pub(super) fn nginx_error(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    if dated.stamp.spelling != Spelling::Slashes {
        return None;
    }
    let (severity, rest) = bracket(dated.rest)?;
    let (level, _) = level(severity)?;
    let (process, rest) = word(trim(rest));
    let (pid, thread) = process.strip_suffix(':')?.split_once('#')?;
    if !is_digits(pid) || !is_digits(thread) {
        return None;
    }
    let mut message = trim(rest);
    sheet.name(dated.line, "pid", pid);
    sheet.name(dated.line, "tid", thread);
    if let Some(behind) = message.strip_prefix('*') {
        let (connection, behind) = word(behind);
        if is_digits(connection) {
            sheet.name(dated.line, "connection", connection);
            message = trim(behind);
        }
    }
    Some(dated.found(Format::NginxError, Some(level), None, message))
}

/// journald's short-iso, and syslog with an ISO time: `host prog[pid]: msg`. Without a pid, prose
/// looks the same; then only an offset in digits, or the kernel, tells it.
pub(super) fn journal(dated: &Dated<'_>, sheet: &mut Sheet) -> Option<Found> {
    let spelled = matches!(dated.stamp.spelling, Spelling::T | Spelling::Offset);
    if !spelled || dated.bracket != Bracket::None {
        return None;
    }
    let (host, rest) = word(dated.rest);
    if host.is_empty()
        || !host.bytes().all(|byte| is_name(byte) || byte == b':')
        || host.ends_with(':')
    {
        return None;
    }
    let program = syslog::program(trim(rest))?;
    let certain = program.pid.is_some()
        || program.name == "kernel"
        || dated.stamp.spelling == Spelling::Offset;
    if !certain || level(host).is_some() {
        return None;
    }
    program.note(dated.line, host, sheet);
    let (level, message) = syslog::judge(program.message);
    Some(dated.found(Format::Journal, level, Some(program.name), message))
}
