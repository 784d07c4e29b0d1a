//! How programs end, at any moment: nothing that was accepted is lost.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use tracing::{Dispatch, info, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::programs::{Home, run};
use super::spool::Recorded;

#[path = "../../../argus-spool/tests/children/mod.rs"]
mod children;

const THREADS: u64 = 8;

/// `ends-exit` is the program `exit` with a layer, `ends-exit-own` with our own subscriber.
pub(crate) fn play(name: &str) {
    let dispatch = match name.strip_suffix("-own") {
        None => Dispatch::new(registry().with(argus_client::layer())),
        Some(_) => Dispatch::new(argus_client::subscriber()),
    };
    tracing::dispatcher::set_global_default(dispatch).unwrap();
    match name.trim_start_matches("ends-").trim_end_matches("-own") {
        "exit" => leave(|| std::process::exit(0)),
        "abort" => leave(|| std::process::abort()),
        "killed" => until_killed(),
        "fork" => fork(),
        "threads" => threads(),
        other => panic!("no program {other}"),
    }
}

fn leave(how: fn()) {
    let _outer = info_span!("outer").entered();
    drop(info_span!("inner"));
    let other = std::thread::spawn(|| {
        let _there = info_span!("there").entered();
        info!("said");
        std::thread::park();
    });
    while argus_client::stats().emitted < 5 {
        std::thread::yield_now();
    }
    how();
    drop(other);
}

fn check_left(recorded: &Recorded) {
    let mut open: Vec<_> = recorded.spans.iter().filter(|span| !span.ended).collect();
    open.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = open.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["outer", "there"]);
    assert!(recorded.span("inner").ended);
    assert_eq!(
        (recorded.logs.len(), recorded.records, recorded.lost),
        (1, 5, 0)
    );
}

#[test]
fn what_was_emitted_before_exit_and_abort_is_there_and_open_spans_stay_open() {
    for (exits, aborts) in [
        ("ends-exit", "ends-abort"),
        ("ends-exit-own", "ends-abort-own"),
    ] {
        check_left(&run(exits));
        let home = Home::new(aborts);
        let status = home.start(aborts).wait().unwrap();
        assert_eq!(status.signal(), Some(6));
        check_left(&home.recorded());
    }
}

/// Says after each span how many there were, in a file for each thread.
fn until_killed() {
    let home = std::path::PathBuf::from(std::env::var_os("ARGUS_DB").unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let said = home.with_file_name(format!("said-{thread}"));
            scope.spawn(move || {
                use std::os::unix::fs::FileExt as _;
                let file = std::fs::File::create(said).unwrap();
                for number in 1..=MILLION / THREADS {
                    let span = info_span!("outer", thread, number);
                    let entered = span.enter();
                    drop(info_span!("inner", thread, number));
                    drop(entered);
                    drop(span);
                    file.write_all_at(&number.to_le_bytes(), 0).unwrap();
                }
            });
        }
    });
}

/// Spans of a program, two for each number.
const MILLION: u64 = 500_000;

#[test]
fn a_process_killed_at_random_loses_no_accepted_span() {
    let mut random = u64::from(std::process::id()) | 1;
    let rounds = std::env::var("ARGUS_TORTURE_ROUNDS").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(6);
    for round in 0..rounds {
        let home = Home::new(&format!("ends-killed-{round}"));
        let program = ["ends-killed", "ends-killed-own"][round % 2];
        let mut child = home.start(program);
        let deadline = Instant::now() + Duration::from_secs(60);
        let is_said = |home: &Home| {
            let said = std::fs::metadata(home.path("said-0"));
            said.is_ok_and(|data| data.len() == 8)
        };
        while !is_said(&home) {
            assert!(Instant::now() < deadline, "the program records");
            std::thread::yield_now();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(random % 300_000));
        child.kill().unwrap();
        child.wait().unwrap();
        check_killed(&home);
    }
}

fn check_killed(home: &Home) {
    let recorded = home.recorded();
    assert_eq!(recorded.lost, 0);
    for thread in 0..THREADS {
        let said = std::fs::read(home.path(&format!("said-{thread}"))).unwrap_or_default();
        let said = said.try_into().map_or(0, u64::from_le_bytes);
        let (mut outer, mut inner) = (0, 0);
        let mine = thread.to_string();
        for span in recorded
            .spans
            .iter()
            .filter(|span| span.field("thread") == Some(&mine))
        {
            let number: u64 = span.field("number").unwrap().parse().unwrap();
            let counted = if span.name == "outer" {
                &mut outer
            } else {
                &mut inner
            };
            assert_eq!(number, *counted + 1, "none doubled, none out of order");
            assert!(span.ended || number > said);
            *counted = number;
        }
        assert!(
            inner >= said && outer <= said + 1,
            "said {said}, found {outer} and {inner}"
        );
    }
}

fn fork() {
    let outer = info_span!("outer");
    let entered = outer.enter();
    let unentered = info_span!("unentered");
    for number in 0..4_u32 {
        let status = children::make(number, || {
            let child = info_span!("child", number).entered();
            drop(info_span!("grandchild", number));
            unentered.in_scope(|| drop(info_span!("elsewhere", number)));
            info!("from the child");
            drop(child);
        });
        assert_eq!(status, 0);
    }
    drop(entered);
    drop(outer);
    drop(unentered);
    drop(info_span!("after"));
}

#[test]
fn a_child_forked_in_a_span_is_inside_it_and_does_not_end_it() {
    for program in ["ends-fork", "ends-fork-own"] {
        check_forked(&run(program));
    }
}

fn check_forked(recorded: &Recorded) {
    let of = |name: &'static str| recorded.spans.iter().filter(move |span| span.name == name);
    assert_eq!((of("child").count(), of("grandchild").count()), (4, 4));
    let inside = of("child").chain(of("elsewhere"));
    // A thread that the child makes begins outside of all spans.
    assert_eq!(inside.filter(|span| span.is_remote).count(), 3 + 4);
    for grandchild in of("grandchild") {
        let parent = of("child").find(|child| {
            (child.producer, child.number) == (grandchild.producer, grandchild.parent)
        });
        assert_eq!(parent.unwrap().field("number"), grandchild.field("number"));
    }
    assert!(recorded.spans.iter().all(|span| span.ended));
    assert!(!recorded.span("after").is_remote && recorded.span("after").parent == 0);
    assert_eq!(recorded.lost, 0);
}

fn threads() {
    thread_local! {
        static LAST: std::cell::RefCell<Option<tracing::Span>> = const { std::cell::RefCell::new(None) };
    }
    for _ in 0..50 {
        std::thread::spawn(|| {
            // Ends when the thread's storage is torn down.
            LAST.with_borrow_mut(|last| *last = Some(info_span!("last")));
            let entered = info_span!("left entered").entered();
            std::mem::forget(entered);
            drop(info_span!("within"));
        })
        .join()
        .unwrap();
    }
    std::io::stdout().flush().unwrap();
}

#[test]
fn threads_come_and_go() {
    for program in ["ends-threads", "ends-threads-own"] {
        check_threads(&run(program));
    }
}

fn check_threads(recorded: &Recorded) {
    let of = |name: &'static str| recorded.spans.iter().filter(move |span| span.name == name);
    assert_eq!(of("last").filter(|span| span.ended).count(), 50);
    assert_eq!(of("left entered").filter(|span| !span.ended).count(), 50);
    assert!(of("within").all(|span| span.parent == span.number - 1));
}
