//! The layer and the subscriber, as a program uses them: what holds for one holds for the other.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use argus_client::{current, span};
use tracing::{
    Dispatch, Instrument, Level, debug, error, event, info, info_span, instrument, warn,
};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::programs::run;
use super::spool::Recorded;

/// `layer-fields` is the program `fields` with a layer, `subscriber-fields` with our own subscriber.
pub(crate) fn play(name: &str) {
    let (how, program) = name.split_once('-').unwrap();
    let program = match program {
        "fields" => fields,
        "events" => events,
        "failures" => failures,
        "order" => order,
        "mixed" => mixed,
        "polled" => polled,
        other => panic!("no program {other}"),
    };
    let dispatch = match how {
        "layer" => Dispatch::new(registry().with(argus_client::layer())),
        _ => Dispatch::new(argus_client::subscriber()),
    };
    tracing::dispatcher::with_default(&dispatch, program);
    assert!(current::current().is_none(), "the thread is where it was");
}

/// What the program recorded, once with each.
fn both(program: &str) -> [Recorded; 2] {
    ["layer", "subscriber"].map(|how| run(&format!("{how}-{program}")))
}

fn fields() {
    let error = std::io::Error::other(std::fmt::Error);
    let error: &(dyn std::error::Error + 'static) = &error;
    let span = info_span!(
        "typed",
        int = -7,
        large = i64::MAX,
        larger = u64::MAX,
        float = 1.5,
        truth = true,
        text = "book.csv",
        plan = ?[1, 2],
        shown = %"plain",
        error,
        db_password = "secret",
        token = ?"secret",
        late = tracing::field::Empty,
        late_token = tracing::field::Empty,
    );
    span.record("late", 9);
    span.record("late_token", "secret");
    let cause = info_span!("cause");
    span.follows_from(&cause);
    let long = "é".repeat(2_000);
    drop(info_span!("long", text = long, debug = ?long, after = 1));
}

#[test]
fn fields_keep_their_types_and_sensitive_ones_are_masked() {
    for recorded in both("fields") {
        let span = recorded.span("typed");
        let told: Vec<_> = span
            .fields
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            told[..13],
            [
                "int=-7",
                "large=9223372036854775807",
                "larger=18446744073709551615",
                "float=1.5",
                "truth=True",
                "text='book.csv'",
                "plan=[1, 2]",
                "shown=plain",
                "error=an error occurred when formatting an argument",
                "db_password=***",
                "token=***",
                "late=9",
                "late_token=***",
            ]
        );
        let follows = span.field("follows_from").unwrap();
        let context: argus_model::TraceContext = follows.parse().unwrap();
        let cause = recorded.span("cause");
        let expected = argus_model::trace::span_id(
            cause.producer.nonce,
            argus_model::SpanNumber(cause.number),
        );
        assert_eq!(context.span, expected);
        assert_eq!(span.group.as_deref(), Some(module_path!()));
        let long = recorded.span("long");
        assert!(long.field("text").unwrap().ends_with("é...'"));
        assert!(long.field("debug").unwrap().ends_with("..."));
        assert_eq!(long.field("after"), Some("1"));
        assert!(
            recorded
                .spans
                .iter()
                .all(|span| span.ended && span.exception.is_none())
        );
    }
}

fn events() {
    info!("outside");
    let span = info_span!("work");
    let elsewhere = info_span!("elsewhere");
    span.in_scope(|| {
        warn!(
            left = 3,
            share = 0.5,
            who = "a\"b",
            token = "secret",
            ok = true,
            "little {}",
            "room"
        );
        debug!(n = 1, what = ?Some(2));
        info!(parent: &elsewhere, "there");
        info!(parent: None, "nowhere");
        event!(target: "shop::orders", Level::ERROR, "it {}", "breaks");
    });
}

#[test]
fn events_are_lines_of_the_span_around_them() {
    for recorded in both("events") {
        let (work, elsewhere) = (recorded.span("work"), recorded.span("elsewhere"));
        let told: Vec<_> = recorded
            .logs
            .iter()
            .map(|log| (log.level.as_str(), log.line.as_str(), log.span))
            .collect();
        assert_eq!(
            told,
            [
                ("INFO", "outside", 0),
                ("WARN", "little room", work.number),
                ("DEBUG", "n=1 what=Some(2)", work.number),
                ("INFO", "there", elsewhere.number),
                ("INFO", "nowhere", 0),
                ("ERROR", "it breaks", work.number),
            ]
        );
        assert_eq!(
            recorded.logs[1].attributes,
            r#"{"left":3,"share":0.5,"who":"a\"b","token":"***","ok":true}"#
        );
        assert_eq!(recorded.logs[0].logger, module_path!());
        assert_eq!(recorded.logs[5].logger, "shop::orders");
        assert!(work.exception.is_none(), "no error was told");
    }
}

fn failures() {
    #[instrument(err)]
    fn returns(fail: bool) -> Result<u32, String> {
        if fail { Err("no book".into()) } else { Ok(1) }
    }
    #[instrument(err(level = "warn"))]
    fn returns_mildly() -> Result<(), &'static str> {
        Err("mild")
    }
    #[instrument(err)]
    async fn returns_later() -> Result<(), String> {
        Yield::default().await;
        Err("late".into())
    }
    let _around = info_span!("around").entered();
    let _ = (returns(true), returns(false), returns_mildly());
    let _ = run_to_end(returns_later());
    info_span!("told").in_scope(|| error!(err = %"first", "trying again"));
    info_span!("warned").in_scope(|| warn!(error = "harmless", "goes on"));
    let panics = info_span!("panics");
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _entered = panics.enter();
        let _inner = info_span!("inner").entered();
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    info_span!("after").in_scope(|| ());
}

#[test]
fn errors_and_panics_are_failures_of_the_innermost_span() {
    for recorded in both("failures") {
        let told: Vec<_> = recorded
            .spans
            .iter()
            .map(|span| (span.name.as_str(), span.exception.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("around", None),
                ("returns", Some("no book")),
                ("returns", None),
                ("returns_mildly", Some("mild")),
                ("returns_later", Some("late")),
                ("told", Some("first")),
                ("warned", None),
                ("panics", Some("panicked")),
                ("inner", Some("panicked")),
                ("after", None),
            ]
        );
        assert_eq!(recorded.logs[0].line, "error=no book");
    }
}

fn order() {
    // Crossed: the outer one is left first.
    let a = info_span!("a");
    let b = info_span!("b");
    let in_a = a.enter();
    let in_b = b.enter();
    drop(in_a);
    drop(info_span!("in_b"));
    drop(in_b);
    drop(info_span!("root"));
    // Entered twice, and ended in any order.
    let (one, two) = (a.enter(), a.enter());
    drop(one);
    drop(info_span!("in_a"));
    drop(two);
    drop(info_span!("root2"));
    drop(a);
    // Sent to other threads while its children live on.
    let sent = info_span!("sent");
    let child = info_span!(parent: &sent, "child");
    let thread = std::thread::spawn({
        let sent = sent.clone();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let _entered = sent.entered();
                let _inside = info_span!("there").entered();
                drop(info_span!(parent: None, "apart"));
            });
        }
    });
    drop(sent);
    thread.join().unwrap();
    drop(info_span!(parent: child.id(), "grandchild"));
}

#[test]
fn spans_that_cross_have_the_right_parents() {
    for recorded in both("order") {
        let mut told: Vec<_> = recorded.tree().split(' ').map(str::to_owned).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "a",
                "apart",
                "b",
                "child<sent",
                "grandchild<child",
                "in_a<a",
                "in_b<b",
                "root",
                "root2",
                "sent",
                "there<sent",
            ]
        );
        assert!(recorded.spans.iter().all(|span| span.ended));
    }
}

fn mixed() {
    let _guard = span!("guard");
    let traced = info_span!("traced").entered();
    {
        let _inner = span!("inner");
        let _leaf = info_span!("leaf").entered();
        info!("deep");
    }
    drop(traced);
    let _second = span!("second");
}

#[test]
fn guards_and_spans_of_tracing_nest_in_each_other() {
    for recorded in both("mixed") {
        assert_eq!(
            recorded.tree(),
            "guard traced<guard inner<traced leaf<inner second<guard"
        );
        assert_eq!(recorded.logs[0].span, recorded.span("leaf").number);
    }
}

/// Gives way once.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn run_to_end<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return done;
        }
    }
}

fn polled() {
    async fn work(name: &'static str) {
        Yield::default().await;
        drop(info_span!("step", of = name));
        Yield::default().await;
    }
    for _ in 0..2 {
        let tasks = ["first", "second"].map(|name| {
            let task = work(name).instrument(info_span!("task", name));
            Box::pin(task) as Pin<Box<dyn Future<Output = ()>>>
        });
        take_turns(tasks.into());
    }
}

fn take_turns(mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let mut context = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
    }
}

#[test]
fn tasks_that_take_turns_keep_their_spans_apart_and_tell_how_long_they_waited() {
    for recorded in both("polled") {
        let tasks: Vec<_> = recorded
            .spans
            .iter()
            .filter(|span| span.name == "task")
            .collect();
        assert_eq!(tasks.len(), 4);
        for step in recorded.spans.iter().filter(|span| span.name == "step") {
            let task = tasks
                .iter()
                .find(|task| task.number == step.parent)
                .unwrap();
            assert_eq!(task.field("name"), step.field("of"));
        }
        for task in tasks {
            let nanos = |key| task.field(key).unwrap().parse::<u64>().unwrap();
            assert!(nanos("busy_ns") > 0 && nanos("idle_ns") > 0, "{task:?}");
        }
        assert!(
            recorded
                .spans
                .iter()
                .filter(|s| s.name == "step")
                .all(|s| s.field("busy_ns").is_none())
        );
    }
}
