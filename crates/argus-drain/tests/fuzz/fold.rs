//! Records into rows, and rows into a real store. The input is a list of records: kind, length,
//! payload. They come from a producer that says whatever it likes, with right sums.
//!
//! - Nothing panics.
//! - The account is right: each record, bookkeeping left out, is stored, damaged, or unknown.
//! - No row is later than the collector's clock allows.
//! - What was captured is JSON.
//! - The store takes the batch: one that it refused would be refused for ever, and hold up all
//!   others.

use std::cell::RefCell;

use argus_drain::fold::{ChunkContext, Fold};
use argus_model::time::ClockAnchor;
use argus_model::{Kind, Monotonic, ProducerId, Timestamp};
use argus_spool::read::{Phase, RawRecord};
use argus_store::batch::{Batch, Ending, ProducerEnd, ProducerRow, RunKey, Thread};
use argus_store::{Memory, Sink};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);
/// A store is thrown away after so many inputs.
const INPUTS_A_STORE: u64 = 500;

pub(crate) fn check(input: &[u8]) {
    thread_local! {
        static STORE: RefCell<Option<Opened>> = const { RefCell::new(None) };
    }
    STORE.with_borrow_mut(|place| {
        if place.as_ref().is_none_or(|it| it.inputs == INPUTS_A_STORE) {
            *place = Some(Opened::new());
        }
        let opened = place.as_mut().unwrap();
        opened.inputs += 1;
        // Of its own, so that no input depends on the one before.
        let producer = ProducerId {
            pid: 77,
            nonce: opened.inputs,
            start_ticks: opened.inputs,
            ..ProducerId::default()
        };
        let batch = fold(input, producer);
        Memory::new().commit(&batch).unwrap();
        opened.sink.commit(&batch).unwrap();
    });
}

struct Opened {
    sink: Box<dyn Sink>,
    inputs: u64,
    _folder: TempDir,
}

impl Opened {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            sink: argus_store::open_writer(&folder.path().join("store.db")).unwrap(),
            inputs: 0,
            _folder: folder,
        }
    }
}

fn fold(mut input: &[u8], producer: ProducerId) -> Batch {
    let mut fold = Fold::new(producer);
    let anchor = ClockAnchor {
        monotonic: Monotonic::from_nanos(1_000_000_000),
        wall: NOW,
    };
    let thread = Thread {
        tid: 78,
        name: "main".to_owned(),
    };
    let mut chunk = ChunkContext::new(anchor, thread);
    let mut batch = Batch::default();
    batch.producers.push(ProducerRow {
        id: producer,
        subject: fold.subject().clone(),
        runtime: String::new(),
        argus_version: String::new(),
        seen_at: NOW,
    });
    let mut news = 0;
    while let [kind, length, rest @ ..] = input {
        let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        let phase = if kind & 0x80 == 0 {
            Phase::New
        } else {
            Phase::Before
        };
        let kind = kind & 0x1f;
        let counted = Kind::from_byte(kind).is_none_or(|kind| !kind.is_bookkeeping());
        news += u64::from(phase == Phase::New && counted);
        let raw = RawRecord {
            phase,
            kind,
            payload,
        };
        fold.take(raw, &mut chunk, NOW, &mut batch);
    }
    fold.give_up_orphans(&mut batch);
    fold.finish(&mut batch);
    let accounted: u64 = batch
        .ledger
        .iter()
        .map(|entry| entry.stored + entry.damaged + entry.unknown)
        .sum();
    assert_eq!(accounted, news, "stored, damaged or unknown");
    check_rows(&batch);
    batch.ends.push(ProducerEnd {
        producer,
        at: NOW,
        ending: Ending::Exit(None),
    });
    batch
}

fn check_rows(batch: &Batch) {
    let latest = NOW.plus(std::time::Duration::from_secs(5));
    let times = batch.ended.iter().map(|row| row.ended_at);
    let times = times.chain(batch.opened.iter().map(|row| row.started_at));
    let times = times.chain(batch.metrics.iter().map(|row| row.at));
    let times = times.chain(batch.logs.iter().map(|row| row.at));
    let times = times.chain(batch.samples.iter().map(|row| row.at));
    let times = times.chain(batch.stacks.iter().map(|row| row.at));
    let times = times.chain(batch.process_events.iter().map(|row| row.at));
    let mut times = times.chain(batch.session_events.iter().map(|row| row.at));
    assert!(times.all(|at| at <= latest), "none in the future");
    let captured = batch.ended.iter().filter_map(|row| row.captured.as_deref());
    let captured = captured.chain(batch.opened.iter().filter_map(|r| r.captured.as_deref()));
    let captured = captured.chain(batch.metrics.iter().filter_map(|r| r.attributes.as_deref()));
    for text in captured {
        let parsed = serde_json::from_str::<serde_json::Value>(text);
        assert!(parsed.is_ok_and(|it| it.is_object()), "{text}");
    }
    let run = batch.producers[0].id;
    assert_eq!(batch.producers[0].subject.run, RunKey::from(run));
}
