//! Fields that became known after their span began, and that are read out of order.
//!
//! A span may begin on one thread, be told more on a second and end on a third, each in a chunk of its
//! own, which are read one after the other. Fields that are read before the start wait for it, as an end
//! does: the start was accepted before, so it must be there. Fields that are read after the end belong to
//! a row of the same batch, if the end was not committed before they were written.

use argus_model::SpanNumber;
use argus_model::record::Fields;
use argus_store::Batch;

use super::{Fold, Open};
use crate::captured;

/// Fields that wait for the start of their span.
#[derive(Debug, Default)]
pub(super) struct Early {
    records: u64,
    bytes: Vec<u8>,
}

impl Fold {
    pub(super) fn add_fields(&mut self, number: SpanNumber, fields: Fields<'_>, batch: &mut Batch) {
        if let Some(open) = self.open.get_mut(&number) {
            captured::add(&mut open.arguments, fields, &open.name);
            return;
        }
        let key = self.key(number);
        // Few are late, and by little.
        if let Some(row) = batch.ended.iter_mut().rev().find(|row| row.key == key) {
            captured::add_closed(&mut row.captured, fields, &row.name);
            return;
        }
        let early = self.early.entry(number).or_default();
        early.records += 1;
        early.bytes.extend_from_slice(fields.0);
    }

    /// A span's start has been read: what was told of it comes with it.
    pub(super) fn take_early(&mut self, number: SpanNumber, open: &mut Open) {
        if !self.early.is_empty()
            && let Some(early) = self.early.remove(&number)
        {
            captured::add(&mut open.arguments, Fields(&early.bytes), &open.name);
        }
    }

    /// The starts are nowhere.
    pub(super) fn give_up_early(&mut self) {
        for early in std::mem::take(&mut self.early).into_values() {
            self.ledger.stored -= early.records;
            self.ledger.unknown += early.records;
        }
    }
}

#[cfg(test)]
mod tests {
    use argus_model::codec::Encoder;
    use argus_model::record::{Outcome, Record, encode_text_key};
    use argus_model::time::ClockAnchor;
    use argus_model::value::encode_int;
    use argus_model::{Monotonic, NameNumber, ProducerId, Timestamp};
    use argus_spool::read::{Phase, RawRecord};
    use argus_store::batch::Thread;

    use super::super::ChunkContext;
    use super::*;

    const NUMBER: SpanNumber = SpanNumber(7);

    /// What is stored of a span whose records are read in this order: `s`tart, `f`ields, `e`nd.
    fn check(order: &str, expected: Option<&str>) {
        let mut space = [0; 64];
        let mut out = Encoder::new(&mut space);
        encode_text_key(&mut out, "late").unwrap();
        encode_int(&mut out, 1).unwrap();
        let used = out.used();
        let fields = Fields(&space[..used]);
        let at = Monotonic::from_nanos(5);
        let anchor = ClockAnchor {
            monotonic: at,
            wall: Timestamp::from_nanos(9),
        };
        let mut chunk = ChunkContext::new(anchor, Thread::default());
        let (mut fold, mut batch) = (Fold::new(ProducerId::default()), Batch::default());
        for letter in order.chars() {
            let record = match letter {
                's' => Record::SpanStart {
                    number: NUMBER,
                    parent: SpanNumber::NONE,
                    name: NameNumber(1),
                    at,
                    fields: Fields::default(),
                },
                'f' => Record::SpanFields {
                    number: NUMBER,
                    fields,
                },
                _ => Record::SpanEnd {
                    number: NUMBER,
                    at,
                    outcome: Outcome {
                        result: None,
                        exception: None,
                        unsampled: false,
                    },
                    locals: Fields::default(),
                },
            };
            let mut payload = [0; 128];
            let mut out = Encoder::new(&mut payload);
            record.encode(&mut out).unwrap();
            let used = out.used();
            let raw = RawRecord {
                phase: Phase::New,
                kind: record.kind() as u8,
                payload: &payload[..used],
            };
            fold.take(raw, &mut chunk, anchor.wall, &mut batch);
        }
        let waits = fold.has_orphans();
        assert_eq!(waits, expected.is_none(), "{order}");
        fold.give_up_orphans(&mut batch);
        fold.finish(&mut batch);
        let captured = batch.ended.first().and_then(|row| row.captured.as_deref());
        assert_eq!(captured, expected, "{order}");
        let (stored, unknown) = (batch.ledger[0].stored, batch.ledger[0].unknown);
        assert_eq!(stored + unknown, order.len() as u64, "{order}");
        assert_eq!(unknown, u64::from(!order.contains('s')), "{order}");
    }

    #[test]
    fn fields_find_their_span_in_whatever_order_they_are_read() {
        let told = Some(r#"{"i":{"late":"1"}}"#);
        for order in ["sfe", "sef", "fse", "fes", "efs", "esf"] {
            check(order, told);
        }
        check("f", None);
    }
}
