//! Records put together beforehand and records encoded in place are the same records.

use argus_model::codec::Small;
use argus_model::record::{Fields, OutcomeHead};
use argus_model::{Kind, Monotonic, NameKind, NameText, Record, SpanNumber};
use argus_spool::read::{ChunkReader, Producer, chunks, producers};
use argus_spool::{Appended, Current, Thread, define, place};

use super::roles::{Home, run};

const SPANS: u64 = 30_000;

/// The fields of the span with this index: every length that fits, and all of them in every chunk.
fn fields(index: u64) -> Vec<u8> {
    (0..index % (Small::CAPACITY as u64 + 1))
        .map(|at| (index + at) as u8 | 1)
        .collect()
}

/// Emits spans both ways by turns, with the index in the place of the parent, then reads them back.
pub(crate) fn host() {
    let thread = Thread::mine();
    let names = ["one", "two"].map(|name| define(NameText::plain(NameKind::Span, name)));
    let head = OutcomeHead {
        result: true,
        ..OutcomeHead::default()
    };
    for index in 0..SPANS {
        let name = names[(index / 1_000 % 2) as usize];
        let bytes = fields(index);
        let mut small = Small::new();
        small.push_bytes(&bytes).unwrap();
        let mut none = Small::new();
        none.push_bytes(&[0]).unwrap();
        let within = Current::NONE.child(SpanNumber(index));
        let number = if index % 3 == 0 {
            thread.span_start(name, within, |out| out.bytes(&bytes))
        } else {
            thread.span_start_small(name, within, &small)
        };
        assert_ne!(number, SpanNumber::NONE);
        assert_eq!(
            thread.span_end_small(number, head, &none),
            Appended::Accepted
        );
    }
    let lost = thread.span_end_small(SpanNumber::NONE, head, &Small::new());
    assert_eq!(lost, Appended::Lost, "nothing to end");
    assert_eq!(argus_spool::stats().emitted, 2 * SPANS + 1);
    check(&names.map(argus_spool::Definition::number));
}

fn check(names: &[argus_model::NameNumber]) {
    let (mut next, mut open, mut last) = (0, None, Monotonic::default());
    let spool = place::from_environment().unwrap().spool();
    let (id, directory) = producers(&spool).unwrap().remove(0);
    for (_, path) in chunks(&directory).unwrap() {
        let mut reader = ChunkReader::open(&path, id).unwrap().unwrap();
        let take = |raw: argus_spool::read::RawRecord<'_>| {
            let kind = Kind::from_byte(raw.kind).unwrap();
            match Record::decode(kind, raw.payload).unwrap() {
                Record::SpanStart {
                    number,
                    parent,
                    name,
                    at,
                    fields: Fields(found),
                } => {
                    assert_eq!(parent.0, next);
                    assert_eq!(found, fields(next), "span {next}");
                    assert_eq!(name, names[(next / 1_000 % 2) as usize]);
                    assert!(at >= last, "time goes on");
                    (open, last) = (Some(number), at);
                }
                Record::SpanEnd {
                    number,
                    at,
                    outcome,
                    ..
                } => {
                    assert_eq!(open.take(), Some(number));
                    assert_eq!(outcome.result, Some(argus_model::Value::None));
                    assert!(at >= last, "time goes on");
                    (next, last) = (next + 1, at);
                }
                _ => {}
            }
        };
        reader.read(Producer::Dead, u32::MAX, take).unwrap();
        assert_eq!(reader.damaged().unwrap(), 0);
    }
    assert_eq!(next, SPANS, "every span came back, in order");
}

#[test]
fn small_records_read_back_as_they_were_emitted() {
    let home = Home::new("small");
    run("small", &home.0);
}
