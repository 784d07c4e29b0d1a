//! Every kind of record survives its bytes, and no bytes make the decoder panic.

use proptest::prelude::*;

use super::*;
use crate::measure::Measure;
use crate::name::NameKind;

fn round_trip(record: &Record<'_>) {
    let mut space = vec![0; 4096];
    let mut out = Encoder::new(&mut space);
    record.encode(&mut out).unwrap();
    let used = out.used();
    let kind = Kind::from_byte(record.kind() as u8).expect("a kind knows its own number");
    assert_eq!(Record::decode(kind, &space[..used]).as_ref(), Ok(record));
}

fn fields() -> Vec<u8> {
    let mut space = vec![0; 256];
    let mut out = Encoder::new(&mut space);
    encode_parameter_key(&mut out, 3).unwrap();
    Value::Int(-7).encode(&mut out).unwrap();
    encode_text_key(&mut out, "rows").unwrap();
    Value::Text("ten".into()).encode(&mut out).unwrap();
    let used = out.used();
    space.truncate(used);
    space
}

const AT: Monotonic = Monotonic::from_nanos(123_456_789);
const NUMBER: SpanNumber = SpanNumber(42);

fn about_spans(bytes: &[u8]) -> Vec<Record<'_>> {
    let at = AT;
    let number = NUMBER;
    let text = NameText {
        kind: NameKind::Function,
        text: "shop.price".into(),
        group: Some("trading".into()),
        file: None,
        line: 12,
        parameters: vec!["book".into(), "token".into()],
    };
    let outcome = Outcome {
        result: Some(Value::None),
        exception: Some("Boom"),
        unsampled: true,
    };
    let gap = Gap {
        number: 1,
        reason: LossReason::Disk,
        normal: 5,
        errors: 2,
        from: at,
        to: at,
    };
    vec![
        Record::Anchor(anchor(17, -5)),
        Record::Name(NameNumber(3), text),
        Record::Process(ProcessInfo {
            app_name: "shop",
            parent_pid: 1,
            ..Default::default()
        }),
        Record::SpanStart {
            number,
            parent: SpanNumber::NONE,
            name: NameNumber(3),
            at,
            fields: Fields(bytes),
        },
        Record::SpanEnd {
            number,
            at,
            outcome,
            locals: Fields(bytes),
        },
        Record::RemoteParent {
            number,
            trace: [7; 16],
            parent: 9,
        },
        Record::SpanFields {
            number,
            fields: Fields(bytes),
        },
        Record::Gap(gap),
    ]
}

fn about_logs() -> Vec<Record<'static>> {
    let (at, number) = (AT, NUMBER);
    vec![
        Record::Log {
            subject: 2,
            at,
            source: LogSource::Stderr,
            path: "/var/log/x",
            line: "é",
            altered: true,
            span: number,
            level: "error",
            place: LogPlace {
                file: 5,
                end: 1 << 33,
            },
            meaning: LogMeaning {
                said_at: Some(Timestamp::from_nanos(7)),
                message: "not a part of the line",
                ..LogMeaning::default()
            },
        },
        Record::LogFile(
            5,
            LogFileInfo {
                path: "/var/log/x",
                inode: 9,
                born_ns: -1,
                head_bytes: 256,
                ..LogFileInfo::default()
            },
        ),
        Record::LogPosition {
            subject: 2,
            at,
            place: LogPlace { file: 5, end: 0 },
        },
    ]
}

fn about_processes(bytes: &[u8]) -> Vec<Record<'_>> {
    let at = AT;
    vec![
        Record::Metric {
            subject: 0,
            name: NameNumber(8),
            at,
            value: 0.25,
            unit: "By",
            attributes: Fields(bytes),
        },
        Record::SessionEvent {
            at,
            session: "s",
            event_type: "scan_started",
            data: "{}",
        },
        Record::Subject(
            2,
            SubjectInfo {
                pid: 77,
                process_name: "nginx",
                parent_pid: 70,
                parent_start_ticks: 900,
                ..Default::default()
            },
        ),
        Record::Sample {
            subject: 2,
            at,
            cpu_percent: 99.5,
            rss_bytes: 1 << 40,
            threads: 9,
            measures: measures(),
        },
        Record::ProcessEvent {
            subject: 2,
            at,
            event_type: "terminated",
            exit_code: Some(-9),
            detail: r#"{"cause":"signal"}"#,
        },
        Record::Stack {
            subject: 2,
            at,
            tid: 4712,
            thread: "pricing",
            state: ThreadState::Idle,
            holds_gil: true,
            frames: "price (shop.py:12)\n<module> (shop.py:30)",
        },
    ]
}

fn measures() -> Measures {
    let mut measures = Measures::NONE;
    measures.set_count(Measure::Descriptors, 12);
    measures.set(Measure::DiskReadRate, 0.5);
    measures
}

#[test]
fn every_kind_survives_its_bytes() {
    let bytes = fields();
    let records = [about_spans(&bytes), about_logs(), about_processes(&bytes)].concat();
    assert_eq!(records.len(), Kind::ALL.len(), "one example for every kind");
    for record in &records {
        round_trip(record);
    }
}

#[test]
fn fields_tell_index_and_text_keys_apart() {
    let bytes = fields();
    let pairs: Vec<_> = Fields(&bytes).iter().collect();
    assert_eq!(pairs[0], (FieldKey::Parameter(3), Value::Int(-7)));
    assert_eq!(
        pairs[1],
        (FieldKey::Text("rows"), Value::Text("ten".into()))
    );
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(kind in 0_u8..20, bytes: Vec<u8>) {
        let record = Kind::from_byte(kind).map(|kind| Record::decode(kind, &bytes));
        if let Some(Ok(Record::SpanStart { fields, .. })) = record {
            fields.iter().count();
        }
    }
}
