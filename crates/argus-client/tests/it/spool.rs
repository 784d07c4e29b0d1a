//! What stands in the spools of a test.

use std::collections::HashMap;
use std::path::Path;

use argus_model::record::{FieldKey, Fields, Record};
use argus_model::{Kind, NameText, ProducerId};
use argus_spool::read::{ChunkReader, Producer, Progress, chunks, producers};

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) producer: ProducerId,
    pub(crate) number: u64,
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) group: Option<String>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) ended: bool,
    pub(crate) exception: Option<String>,
    /// Its parent is in another program.
    pub(crate) is_remote: bool,
}

impl Span {
    pub(crate) fn field(&self, key: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(name, _)| name == key);
        found.next_back().map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) line: String,
    pub(crate) logger: String,
    pub(crate) attributes: String,
    pub(crate) span: u64,
}

/// Everything, spans by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) spans: Vec<Span>,
    pub(crate) logs: Vec<Log>,
    pub(crate) others: Vec<String>,
    /// Records, bookkeeping left out.
    pub(crate) records: u64,
    /// Records that were counted as lost.
    pub(crate) lost: u64,
}

impl Recorded {
    /// The one span of this name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}"));
        assert!(found.next().is_none(), "several spans {name}");
        span
    }

    /// `child<parent` for each span in the order of their numbers, a root as `child`.
    pub(crate) fn tree(&self) -> String {
        let names: HashMap<_, _> = self.spans.iter().map(|s| (s.number, &s.name)).collect();
        let told = self.spans.iter().map(|span| match span.parent {
            0 => span.name.clone(),
            parent => format!("{}<{}", span.name, names[&parent]),
        });
        told.collect::<Vec<_>>().join(" ")
    }
}

/// What refers to a span may stand in a chunk that is read before the one with its start.
#[derive(Default)]
struct Later {
    fields: Vec<(u64, Vec<u8>)>,
    ends: Vec<(u64, Option<String>)>,
    remote: Vec<u64>,
}

pub(crate) fn read(spool: &Path) -> Recorded {
    let mut recorded = Recorded::default();
    for (producer, directory) in producers(spool).unwrap() {
        let mut of_one = Recorded::default();
        let mut later = Later::default();
        let mut names: HashMap<u32, NameText> = HashMap::new();
        let mut span_names = HashMap::new();
        for (_, path) in chunks(&directory).unwrap() {
            let Some(mut reader) = ChunkReader::open(&path, producer).unwrap() else {
                continue;
            };
            let mut take = |kind: u8, payload: &[u8]| {
                let kind = Kind::from_byte(kind).unwrap();
                of_one.records += u64::from(!kind.is_bookkeeping());
                let record = Record::decode(kind, payload).unwrap();
                if let Record::SpanStart { number, name, .. } = &record {
                    span_names.insert(number.0, names[&name.0].clone());
                }
                note(record, &mut names, &mut of_one, &mut later);
            };
            while reader
                .read(Producer::Dead, 1 << 20, |raw| take(raw.kind, raw.payload))
                .unwrap()
                != Progress::Ended
            {}
        }
        apply(later, &span_names, &mut of_one.spans);
        for span in &mut of_one.spans {
            span.producer = producer;
        }
        recorded.spans.extend(of_one.spans);
        recorded.logs.extend(of_one.logs);
        recorded.others.extend(of_one.others);
        recorded.records += of_one.records;
        recorded.lost += of_one.lost;
    }
    recorded
        .spans
        .sort_by_key(|span| (span.producer.pid, span.number));
    recorded
}

fn apply(later: Later, names: &HashMap<u64, NameText>, spans: &mut [Span]) {
    let mut by_number: HashMap<_, _> = spans.iter_mut().map(|s| (s.number, s)).collect();
    for (number, bytes) in later.fields {
        let span = by_number.get_mut(&number).unwrap();
        span.fields.extend(told(Fields(&bytes), &names[&number]));
    }
    for (number, exception) in later.ends {
        let span = by_number.get_mut(&number).unwrap();
        assert!(!span.ended, "{} ends twice", span.name);
        span.ended = true;
        span.exception = exception;
    }
    for number in later.remote {
        by_number.get_mut(&number).unwrap().is_remote = true;
    }
}

fn told(fields: Fields<'_>, name: &NameText) -> Vec<(String, String)> {
    let key = |key| match key {
        FieldKey::Parameter(index) => name.parameters[index as usize].clone(),
        FieldKey::Text(text) => text.to_owned(),
    };
    fields.iter().map(|(k, v)| (key(k), v.render())).collect()
}

fn note(
    record: Record<'_>,
    names: &mut HashMap<u32, NameText>,
    recorded: &mut Recorded,
    later: &mut Later,
) {
    match record {
        Record::Name(number, text) => {
            names.insert(number.0, text);
        }
        Record::SpanStart {
            number,
            parent,
            name,
            fields,
            ..
        } => {
            let name = &names[&name.0];
            recorded.spans.push(Span {
                number: number.0,
                parent: parent.0,
                name: name.text.clone(),
                group: name.group.clone(),
                fields: told(fields, name),
                ..Span::default()
            });
        }
        Record::SpanEnd {
            number, outcome, ..
        } => later
            .ends
            .push((number.0, outcome.exception.map(str::to_owned))),
        Record::SpanFields { number, fields } => later.fields.push((number.0, fields.0.to_vec())),
        Record::RemoteParent { number, .. } => later.remote.push(number.0),
        Record::Log {
            line,
            level,
            span,
            meaning,
            ..
        } => recorded.logs.push(Log {
            level: level.to_owned(),
            line: line.to_owned(),
            logger: meaning.logger.to_owned(),
            attributes: meaning.attributes.to_owned(),
            span: span.0,
        }),
        Record::Metric {
            name, value, unit, ..
        } => recorded
            .others
            .push(format!("{} {value} {unit}", names[&name.0].text)),
        Record::SessionEvent {
            event_type, data, ..
        } => recorded.others.push(format!("{event_type} {data}")),
        Record::Gap(gap) => recorded.lost += gap.normal + gap.errors,
        _ => {}
    }
}
