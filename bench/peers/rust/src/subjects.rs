//! The ways to record a span, each with two integers as fields where nothing else is said.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use argus_client::span;
use fastrace::Span;
use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Metadata, Subscriber, info_span};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE_PER_SPAN: Duration = Duration::from_micros(5);

/// Hands over what was recorded of so many spans.
type Settle = Box<dyn Fn(u32)>;

pub(crate) struct Subject {
    name: &'static str,
    pub(crate) install: fn() -> Settle,
    /// Opens and closes so many spans, one after the other.
    pub(crate) many: fn(u64),
    pub(crate) warm_up: Duration,
}

const fn subject(name: &'static str, install: fn() -> Settle, many: fn(u64)) -> Subject {
    let warm_up = Duration::from_millis(300);
    Subject {
        name,
        install,
        many,
        warm_up,
    }
}

/// One that records into a spool.
const fn recorder(name: &'static str, install: fn() -> Settle, many: fn(u64)) -> Subject {
    let warm_up = Duration::MAX;
    Subject {
        warm_up,
        ..subject(name, install, many)
    }
}

/// `#[monitor]` joins them when it is there. What is off is the same with `ARGUS_DISABLE=1`.
const SUBJECTS: [Subject; 14] = [
    subject("nothing", nothing, bare),
    subject("deaf", deaf, traced),
    subject("registry", bare_registry, traced),
    recorder("layer", layer, traced),
    recorder("subscriber", subscriber, traced),
    recorder("guard", argus, guarded),
    recorder("guard-fields", argus, guarded_with_fields),
    subject("layer-off", layer, traced),
    subject("subscriber-off", subscriber, traced),
    subject("guard-off", argus, guarded),
    subject("opentelemetry", opentelemetry_batch, traced),
    subject("chrome", chrome, traced),
    subject("fastrace", fastrace_local, local),
    subject("fastrace-fields", fastrace_local, local_with_fields),
];

pub(crate) fn named(name: &str) -> Option<&'static Subject> {
    SUBJECTS.iter().find(|subject| subject.name == name)
}

fn bare(spans: u64) {
    for number in 0..spans {
        black_box(number);
    }
}

fn traced(spans: u64) {
    for number in 0..spans {
        let span = info_span!("bench", number, twice = 2 * number);
        let _entered = span.enter();
        black_box(number);
    }
}

fn guarded(spans: u64) {
    for number in 0..spans {
        let _span = span!("bench");
        black_box(number);
    }
}

fn guarded_with_fields(spans: u64) {
    for number in 0..spans {
        let _span = span!("bench", number = number, twice = 2 * number);
        black_box(number);
    }
}

/// All spans of a run are in one trace, without which fastrace records nothing.
fn local(spans: u64) {
    let root = Span::root("run", SpanContext::random());
    let _within = root.set_local_parent();
    for number in 0..spans {
        let _span = LocalSpan::enter_with_local_parent("bench");
        black_box(number);
    }
}

fn local_with_fields(spans: u64) {
    let root = Span::root("run", SpanContext::random());
    let _within = root.set_local_parent();
    for number in 0..spans {
        let _span = LocalSpan::enter_with_local_parent("bench").with_properties(|| {
            [
                ("number", number.to_string()),
                ("twice", (2 * number).to_string()),
            ]
        });
        black_box(number);
    }
}

fn nothing() -> Settle {
    Box::new(|_| ())
}

/// A subscriber that does nothing: what `tracing` itself costs.
struct Deaf;

impl Subscriber for Deaf {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        black_box(attributes);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn deaf() -> Settle {
    let _ = set_global_default(Deaf);
    nothing()
}

fn bare_registry() -> Settle {
    let _ = set_global_default(registry());
    nothing()
}

fn layer() -> Settle {
    let _ = set_global_default(registry().with(argus_client::layer()));
    argus()
}

fn subscriber() -> Settle {
    let _ = set_global_default(argus_client::subscriber());
    argus()
}

fn argus() -> Settle {
    if argus_client::disabled() {
        return nothing();
    }
    Box::new(|spans| {
        argus_client::flush(PATIENCE);
        std::thread::sleep(PAUSE_PER_SPAN * spans);
    })
}

/// Exports to nowhere.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

impl Reporter for Nowhere {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        black_box(spans);
    }
}

fn opentelemetry_batch() -> Settle {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(Nowhere).build())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    let _ = set_global_default(registry().with(layer));
    Box::new(move |_| {
        let _ = provider.force_flush();
    })
}

fn chrome() -> Settle {
    let (layer, guard) = tracing_chrome::ChromeLayerBuilder::new()
        .writer(io::sink())
        .include_args(true)
        .build();
    let _ = set_global_default(registry().with(layer));
    Box::new(move |_| guard.flush())
}

fn fastrace_local() -> Settle {
    fastrace::set_reporter(Nowhere, Config::default());
    Box::new(|_| fastrace::flush())
}
