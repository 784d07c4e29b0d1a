//! What web servers and their like write of each request, and two formats that begin as no other:
//! glog's and Redis's.

use argus_model::Level;

use super::fields::{Piece, Sheet};
use super::stamp::Clock;
use super::token::{is_digits, trim, word};
use super::{Format, Found};

/// nginx's and Apache's combined log:
/// `ip - user [27/Jan/2026:14:23:45 +0000] "GET / HTTP/1.1" 500 12 "referer" "agent"`. The level is
/// that of the status: a server's error, a client's warning. The message is the request.
pub(super) fn access(line: &str, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let (head, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once("] \"")?;
    if head.len() > 512 || time.len() > 32 {
        return None;
    }
    let (first, behind) = word(head);
    let (second, behind) = word(behind.strip_prefix(' ')?);
    let behind = behind.strip_prefix(' ')?;
    // With the virtual host in front there is one word more.
    let (host, remote, user) = match behind.split_once(' ') {
        Some((_, user)) => (Some(first), second, user),
        None => (None, first, behind),
    };
    let at = clock.common_log(time)?;
    let end = quote(rest)?;
    let request = &rest[..end];
    let (status, rest) = word(trim(&rest[end + 1..]));
    let (bytes, rest) = word(trim(rest));
    let level = match (status.len(), status.as_bytes().first()?) {
        (3, b'5') => Level::Error,
        (3, b'4') => Level::Warn,
        (3, b'1'..=b'3') => Level::Info,
        _ => return None,
    };
    let mut parts = request.split(' ');
    if let (Some(method), Some(path)) = (parts.next(), parts.next()) {
        sheet.name_text(line, "method", method);
        sheet.name_text(line, "path", path);
    }
    sheet.name(line, "status", status);
    if bytes != "-" && !bytes.is_empty() {
        sheet.name(line, "bytes", bytes);
    }
    sheet.name_text(line, "remote_addr", remote);
    if let Some(host) = host {
        sheet.name_text(line, "host", host);
    }
    if user != "-" {
        sheet.name_text(line, "user", user);
    }
    let mut rest = trim(rest);
    for name in ["referer", "user_agent"] {
        let Some(inside) = rest.strip_prefix('"') else {
            break;
        };
        let Some(end) = quote(inside) else {
            break;
        };
        if end > 0 && &inside[..end] != "-" {
            sheet.name_text(line, name, &inside[..end]);
        }
        rest = trim(&inside[end + 1..]);
    }
    Some(Found {
        format: Format::Access,
        at: Some(at),
        level: Some(level),
        message: Piece::of(line, request),
        logger: None,
        continues: false,
    })
}

/// The index of the closing quote of what begins inside one.
fn quote(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes()[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// glog and klog: `I0127 14:23:45.123456  1234 file.cc:12] msg`. The logger is the place.
pub(super) fn glog(line: &str, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let level = match line.as_bytes().first()? {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    let (at, length) = clock.glog(&line[1..])?;
    let (thread, rest) = word(trim(&line[1 + length..]));
    let (place, message) = trim(rest).split_once(']')?;
    if !is_digits(thread) || place.contains(' ') {
        return None;
    }
    sheet.name(line, "tid", thread);
    Some(Found {
        format: Format::Glog,
        at: Some(at),
        level: Some(level),
        message: Piece::of(line, message.strip_prefix(' ').unwrap_or(message)),
        logger: Some(Piece::of(line, place)),
        continues: false,
    })
}

/// Redis: `1234:M 27 Jan 2026 14:23:45.123 * msg`; the mark is the level, the letter the role.
pub(super) fn redis(line: &str, clock: &mut Clock, sheet: &mut Sheet) -> Option<Found> {
    let (pid, rest) = line.split_at(line.bytes().take_while(u8::is_ascii_digit).count());
    let rest = rest.strip_prefix(':')?;
    let role = rest.get(..1)?;
    let rest = rest[1..].strip_prefix(' ')?;
    if !is_digits(pid) || !matches!(role, "X" | "C" | "S" | "M") {
        return None;
    }
    let (at, length) = clock.redis(rest)?;
    let mark = rest[length..].strip_prefix(' ')?;
    let level = match mark.as_bytes().first()? {
        b'.' => Level::Debug,
        b'-' | b'*' => Level::Info,
        b'#' => Level::Warn,
        _ => return None,
    };
    sheet.name(line, "pid", pid);
    sheet.name(line, "role", role);
    Some(Found {
        format: Format::Redis,
        at: Some(at),
        level: Some(level),
        message: Piece::of(line, mark[1..].strip_prefix(' ').unwrap_or(&mark[1..])),
        logger: None,
        continues: false,
    })
}
