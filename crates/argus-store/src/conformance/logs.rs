//! Laws of log lines that mean something, and of how far their files were read.

use std::sync::Arc;

use argus_model::{Level, Timestamp};

use super::Bench;
use super::fixture::{at, described, key, log};
use crate::Batch;
use crate::batch::{LogFile, LogMeaning, LogPosition, LogRow, LogTemplate};
use crate::query::{LogFilter, Page, StoredLogTemplate};

fn with_id(line: &str, seconds: i64, name: &str, value: &str) -> LogRow {
    LogRow {
        level: Some("ERROR".into()),
        meaning: Some(Box::new(LogMeaning {
            said_at: Some(at(seconds - 1)),
            message: Some("out of gold".into()),
            continues: 2,
            logger: Some("shop".into()),
            attributes: Some("{\"n\":1}".into()),
            ids: vec![(name.to_owned(), value.to_owned())],
        })),
        template: Some(7),
        offset: Some(90),
        ..log(1, seconds, line)
    }
}

fn lines(bench: &Bench, filter: &LogFilter) -> Vec<String> {
    let found = bench.store.logs(filter, Page::newest(9)).unwrap();
    found.into_iter().map(|row| row.line).collect()
}

pub(super) fn what_a_log_line_means_is_kept(bench: &mut Bench) {
    let row = with_id("ERROR shop - out of gold", 5, "trace_id", "ab");
    bench.commit(&Batch {
        producers: vec![described(1)],
        logs: vec![LogRow {
            span: Some(key(1, 3)),
            ..row
        }],
        ..Batch::default()
    });
    let stored = bench.store.logs(&LogFilter::default(), Page::newest(9));
    let [stored] = &stored.unwrap()[..] else {
        unreachable!("one line was stored")
    };
    assert_eq!(stored.said_at, Some(at(4)));
    assert_eq!(stored.message.as_deref(), Some("out of gold"));
    assert_eq!(stored.logger.as_deref(), Some("shop"));
    assert_eq!(stored.attributes.as_deref(), Some("{\"n\":1}"));
    assert_eq!((stored.continues, stored.template), (2, Some(7)));
    assert_eq!(stored.span, Some(key(1, 3)));
}

pub(super) fn lines_are_found_by_id_level_and_template(bench: &mut Bench) {
    bench.commit(&Batch {
        logs: vec![
            with_id("a", 1, "trace_id", "one"),
            LogRow {
                level: None,
                ..log(2, 2, "b")
            },
            with_id("c", 3, "request_id", "one"),
            LogRow {
                source: "stderr",
                ..with_id("d", 4, "request_id", "two")
            },
            LogRow {
                level: Some("INFO".into()),
                ..log(1, 5, "e")
            },
        ],
        ..Batch::default()
    });
    let by_id = LogFilter {
        id: Some("one".into()),
        ..LogFilter::default()
    };
    assert_eq!(lines(bench, &by_id), ["c", "a"]);
    let unknown = LogFilter {
        id: Some("three".into()),
        ..LogFilter::default()
    };
    assert_eq!(lines(bench, &unknown), [""; 0]);
    let at_least = |level| LogFilter {
        level: Some(level),
        ..LogFilter::default()
    };
    assert_eq!(lines(bench, &at_least(Level::Warn)), ["d", "c", "a"]);
    assert_eq!(lines(bench, &at_least(Level::Info)), ["e", "d", "c", "a"]);
    let from_there = LogFilter {
        source: Some("stderr".into()),
        ..LogFilter::default()
    };
    assert_eq!(lines(bench, &from_there), ["d"]);
    let of_template = LogFilter {
        template: Some(7),
        ..by_id
    };
    assert_eq!(lines(bench, &of_template), ["c", "a"]);
}

pub(super) fn templates_count_over_commits(bench: &mut Bench) {
    let template = |pattern: &str, count, first, last| LogTemplate {
        id: 1,
        pattern: pattern.into(),
        count,
        first: at(first),
        last: at(last),
    };
    for row in [template("a b", 2, 1, 2), template("a <*>", 3, 4, 5)] {
        bench.commit(&Batch {
            log_templates: vec![row],
            ..Batch::default()
        });
    }
    let expected = StoredLogTemplate {
        id: 1,
        pattern: "a <*>".into(),
        count: 5,
        first_at: at(1),
        last_at: at(5),
    };
    assert_eq!(bench.store.log_templates().unwrap(), [expected]);
}

fn content(path: &str, inode: u64) -> Arc<LogFile> {
    Arc::new(LogFile {
        path: path.into(),
        device: 1 << 63,
        inode,
        born_ns: -5,
        head_bytes: 256,
        head_hash: u64::MAX,
    })
}

fn positions(bench: &Bench, path: &str) -> Vec<(u64, u64, Timestamp)> {
    let found = bench.store.log_positions(path).unwrap();
    let known = found.into_iter();
    known
        .map(|it| (it.file.inode, it.offset, it.noted_at))
        .collect()
}

pub(super) fn positions_of_log_files_never_go_back(bench: &mut Bench) {
    let note = |bench: &mut Bench, file: &Arc<LogFile>, offset, seconds| {
        bench.commit(&Batch {
            log_positions: vec![LogPosition {
                at: at(seconds),
                file: Arc::clone(file),
                offset,
            }],
            ..Batch::default()
        });
    };
    let (one, two) = (content("/a", 1), content("/a", 2));
    note(bench, &one, 10, 1);
    note(bench, &one, 30, 2);
    note(bench, &one, 20, 3);
    note(bench, &two, 5, 4);
    note(bench, &content("/b", 1), 7, 5);
    assert_eq!(positions(bench, "/a"), [(2, 5, at(4)), (1, 30, at(3))]);
    let stored = bench.store.log_positions("/a").unwrap();
    assert_eq!(stored[0].file, *two);
}

pub(super) fn of_a_path_only_so_many_contents_are_remembered(bench: &mut Bench) {
    for inode in 1..=300_u64 {
        let seconds = i64::try_from(inode).unwrap();
        bench.commit(&Batch {
            log_positions: vec![LogPosition {
                at: at(seconds),
                file: content("/a", inode),
                offset: inode,
            }],
            ..Batch::default()
        });
    }
    let known = positions(bench, "/a");
    assert_eq!((known.len(), known[0].0), (256, 300));
}
