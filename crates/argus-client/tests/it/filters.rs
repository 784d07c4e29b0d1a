//! Which spans and events are recorded: filters, reload, sampling, and recording turned off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use argus_client::redact::Sensitive;
use argus_client::tracing::{Layer, Options};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber, debug, error, info, info_span, trace_span};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{registry, reload};

use super::programs::{Home, run};

pub(crate) fn play(name: &str) {
    match name {
        "filters-layers" => layers(),
        "filters-env" => env_filter(),
        "filters-reload" => reloaded_filter(),
        "filters-replaced" => replaced(),
        "filters-twice" => twice(),
        "filters-nested" => nested_defaults(),
        "filters-sampled" => sampled(),
        "filters-sensitive" => sensitive(),
        "filters-disabled" => disabled(),
        "filters-counted" => counted(),
        other => panic!("no program {other}"),
    }
}

/// Counts beside ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counting(Arc<[AtomicU64; 3]>);

impl Counting {
    /// Spans made, spans closed, events.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [0, 1, 2].map(|index: usize| self.0[index].load(Ordering::Relaxed))
    }

    fn count(&self, index: usize) {
        self.0[index].fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Counting {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.count(0);
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.count(1);
    }

    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.count(2);
    }
}

fn layers() {
    let ours = argus_client::layer().with_filter(LevelFilter::INFO);
    let others = Counting::default();
    let subscriber = registry().with(ours).with(
        others
            .clone()
            .with_filter(Targets::new().with_target("other", Level::TRACE)),
    );
    tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("outer").entered();
        let hidden = trace_span!(target: "other", "hidden").entered();
        let inner = info_span!("inner").entered();
        debug!("not ours");
        info!("ours");
        drop(inner);
        drop(info_span!(parent: &hidden, "named"));
        info!(parent: &hidden, "in hidden");
        drop((hidden, outer));
    });
    assert_eq!(others.counts(), [1, 1, 0]);
}

#[test]
fn a_span_that_a_filter_hides_is_passed_over() {
    let recorded = run("filters-layers");
    assert_eq!(recorded.tree(), "outer inner<outer named<outer");
    let told: Vec<_> = recorded
        .logs
        .iter()
        .map(|log| (log.line.as_str(), log.span))
        .collect();
    let inner = recorded.span("inner").number;
    assert_eq!(told, [("ours", inner), ("in hidden", 0)]);
}

fn env_filter() {
    let filter = EnvFilter::new("warn,chosen=debug,[fetch{url}]=info");
    let subscriber = registry().with(filter).with(argus_client::layer());
    tracing::subscriber::with_default(subscriber, || {
        drop(info_span!("unchosen"));
        drop(info_span!(target: "chosen", "chosen"));
        let fetch = info_span!("fetch", url = "a");
        fetch.in_scope(|| info!("inside"));
        info!("outside");
    });
}

#[test]
fn an_env_filter_chooses_spans_and_events() {
    let recorded = run("filters-env");
    assert_eq!(recorded.tree(), "chosen fetch");
    assert_eq!(recorded.logs.len(), 1);
}

fn reloaded_filter() {
    let (filter, handle) = reload::Layer::new(LevelFilter::ERROR);
    let subscriber = registry().with(argus_client::layer().with_filter(filter));
    tracing::subscriber::with_default(subscriber, || {
        let span = || info_span!("span");
        let before = span().entered();
        handle.reload(LevelFilter::INFO).unwrap();
        let within = span().entered();
        info!("heard");
        handle.reload(LevelFilter::OFF).unwrap();
        info!("unheard");
        drop(span());
        drop((within, before));
    });
}

#[test]
fn a_filter_may_change_while_spans_are_open() {
    let recorded = run("filters-reload");
    assert_eq!(recorded.tree(), "span");
    assert!(recorded.spans[0].ended);
    assert_eq!(recorded.logs.len(), 1);
}

fn replaced() {
    let (layer, handle) = reload::Layer::new(argus_client::layer());
    tracing::subscriber::with_default(registry().with(layer), || {
        let before = info_span!("before").entered();
        handle.reload(argus_client::layer()).unwrap();
        let after = info_span!("after").entered();
        drop((after, before));
        drop(info_span!("ended"));
        let caught = std::panic::catch_unwind(|| {
            struct Panics;
            impl std::fmt::Debug for Panics {
                fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    panic!("on purpose");
                }
            }
            info_span!("unmade", value = ?Panics)
        });
        assert!(caught.is_err());
        handle
            .modify(|layer: &mut Option<Layer>| *layer = None)
            .unwrap();
        drop(info_span!("unheard"));
        handle.reload(argus_client::layer()).unwrap();
        drop(info_span!("again"));
    });
}

#[test]
fn a_layer_that_is_replaced_ends_its_spans_and_leaves_none_behind() {
    let recorded = run("filters-replaced");
    assert_eq!(recorded.tree(), "before after<before ended again");
    assert!(recorded.spans.iter().all(|span| span.ended));
}

fn twice() {
    let subscriber = registry()
        .with(argus_client::layer())
        .with(argus_client::layer().with_filter(LevelFilter::INFO));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    assert!(
        tracing::subscriber::set_global_default(registry().with(argus_client::layer())).is_err()
    );
    info_span!("once").in_scope(|| info!("once"));
    let alive = info_span!("alive").entered();
    std::mem::forget(alive);
}

#[test]
fn a_second_layer_in_a_stack_records_nothing_and_a_span_alive_at_exit_stays_open() {
    let recorded = run("filters-twice");
    assert_eq!(recorded.tree(), "once alive");
    assert_eq!(recorded.logs.len(), 1);
    assert!(recorded.span("once").ended && !recorded.span("alive").ended);
}

fn nested_defaults() {
    let subscriber = || registry().with(argus_client::layer());
    tracing::subscriber::with_default(subscriber(), || {
        let outer = info_span!("outer").entered();
        tracing::subscriber::with_default(subscriber(), || {
            // The same id in another registry.
            let inner = info_span!("inner").entered();
            drop(outer);
            drop(info_span!("leaf"));
            drop(inner);
        });
        drop(info_span!("after"));
    });
}

#[test]
fn two_registries_share_the_place_of_the_thread() {
    let recorded = run("filters-nested");
    assert_eq!(recorded.tree(), "outer inner<outer leaf<inner after");
}

fn sampled() {
    let layer = Options::new().sample_rate(0.25).layer();
    tracing::subscriber::with_default(registry().with(layer), || {
        for number in 0..1_000 {
            let root = info_span!("root", number).entered();
            let inner = info_span!("inner", number).entered();
            info!("seen");
            drop(inner);
            if number % 100 == 0 {
                error!(number, "seen always");
            }
            drop(root);
        }
    });
}

#[test]
fn a_trace_is_recorded_whole_or_not_at_all_but_for_its_errors() {
    let recorded = run("filters-sampled");
    let of = |name| recorded.spans.iter().filter(move |span| span.name == name);
    let roots = of("root").count();
    assert!((240..=260).contains(&roots), "{roots} roots");
    assert_eq!(of("inner").count(), roots);
    assert!(of("inner").all(|span| span.parent == span.number - 1));
    let lines = |level| {
        recorded
            .logs
            .iter()
            .filter(move |log| log.level == level)
            .count()
    };
    assert_eq!((lines("INFO"), lines("ERROR")), (roots, 10));
}

fn sensitive() {
    let layer = Options::new().sensitive(Sensitive::new(["iban"])).layer();
    tracing::subscriber::with_default(registry().with(layer), || {
        drop(info_span!("pay", iban = "secret", token = 7));
        info!(iban = "secret", token = 7);
    });
}

#[test]
fn a_program_lists_its_own_sensitive_names() {
    let recorded = run("filters-sensitive");
    let pay = recorded.span("pay");
    assert_eq!(
        (pay.field("iban"), pay.field("token")),
        (Some("***"), Some("7"))
    );
    assert_eq!(recorded.logs[0].line, "iban=*** token=7");
}

fn disabled() {
    assert!(argus_client::layer().is_none());
    let subscriber = registry().with(argus_client::layer());
    tracing::subscriber::with_default(subscriber, || {
        assert!(info_span!("off").is_disabled());
        error!("off");
    });
    // Others hear everything nevertheless.
    let others = Counting::default();
    let subscriber = registry().with(others.clone()).with(argus_client::layer());
    tracing::subscriber::with_default(subscriber, || drop(info_span!("on")));
    assert_eq!(others.counts(), [1, 1, 0]);
}

#[test]
fn turned_off_it_is_not_there() {
    let home = Home::new("filters-disabled");
    let mut command = home.command("filters-disabled");
    assert!(
        command
            .env("ARGUS_DISABLE", "1")
            .status()
            .unwrap()
            .success()
    );
    assert!(!home.path("test.db.d").exists());
}

/// A small program that does a little of everything, for a layer that counts beside ours.
fn counted() {
    let counting = Counting::default();
    let subscriber = registry()
        .with(argus_client::layer())
        .with(counting.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let handed_over = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let handed_over = &handed_over;
            scope.spawn(move || {
                for number in 0..5_000_u64 {
                    let span = info_span!("work", thread, number, late = tracing::field::Empty);
                    let _entered = span.enter();
                    if number % 3 == 0 {
                        info!(number, "third");
                    }
                    if number % 7 == 0 {
                        handed_over.lock().unwrap().push(span.clone());
                    }
                    if number % 11 == 0 {
                        span.record("late", number);
                    }
                    if number % 13 == 0
                        && let Some(other) = handed_over.lock().unwrap().pop()
                    {
                        other.in_scope(|| drop(info_span!("inside")));
                    }
                }
            });
        }
    });
    drop(handed_over);
    let [made, closed, events] = counting.counts();
    let late = 4 * 5_000_u64.div_ceil(11);
    let stats = argus_client::stats();
    assert_eq!(stats.lost_normal + stats.lost_errors, 0);
    // Spans that were entered again tell their times in a record more.
    let times = stats.emitted - (made + closed + events + late);
    assert!(times < made, "{stats:?} {made} {closed} {events} {late}");
    argus_client::metric("made", made as f64, "");
    argus_client::metric("events", events as f64, "");
}

#[test]
fn a_layer_that_counts_beside_ours_sees_the_same() {
    let recorded = run("filters-counted");
    let ended = recorded.spans.iter().filter(|span| span.ended).count();
    assert_eq!(ended, recorded.spans.len());
    assert_eq!(
        recorded.others,
        [
            format!("made {ended} "),
            format!("events {} ", recorded.logs.len())
        ]
    );
}
