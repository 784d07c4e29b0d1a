//! Reads a whole spool the way the drain does.

use std::path::{Path, PathBuf};

use argus_model::paths::DataDir;
use argus_model::{Kind, ProducerId, Record};
use argus_spool::read::{ChunkReader, Phase, Producer, Progress, chunks, producers};

/// One producer's records as `take` sees them.
pub(crate) fn read_all(
    id: ProducerId,
    directory: &Path,
    take: &mut impl FnMut(u32, Record<'_>),
) -> u64 {
    let mut damaged = 0;
    for (number, path) in chunks(directory).unwrap() {
        let Some(mut reader) = ChunkReader::open(&path, id).unwrap_or_default() else {
            damaged += 1;
            continue;
        };
        loop {
            let progress = reader
                .read(Producer::Dead, 1 << 20, |raw| {
                    assert_eq!(raw.phase, Phase::New);
                    let kind = Kind::from_byte(raw.kind).expect("only kinds of today");
                    take(
                        number,
                        Record::decode(kind, raw.payload).expect("the CRC was right"),
                    );
                })
                .unwrap();
            if progress == Progress::Ended {
                break;
            }
        }
        damaged += reader.damaged().unwrap();
    }
    damaged
}

/// The producers below a home folder.
pub(crate) fn all_producers(home: &Path) -> Vec<(ProducerId, PathBuf)> {
    let place = DataDir::of(home.join("argus_runtime.db"));
    if place.spool().exists() {
        producers(&place.spool()).unwrap()
    } else {
        Vec::new()
    }
}

/// The value of every metric record of every producer, by producer, in order of chunk and offset.
pub(crate) fn metric_values(home: &Path) -> Vec<(ProducerId, Vec<f64>)> {
    let mut found = Vec::new();
    for (id, directory) in all_producers(home) {
        let mut values = Vec::new();
        read_all(id, &directory, &mut |_, record| {
            if let Record::Metric { value, .. } = record {
                values.push(value);
            }
        });
        found.push((id, values));
    }
    found
}
