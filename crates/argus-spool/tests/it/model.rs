//! Random steps of producer and reader against a model, replayed from a printed seed.
//!
//! The steps: emit records of random size and weight, read a random amount, forget the reader and
//! resume from the last saved position (a collector that died), release what has ended. The model
//! is the list of values emitted by each thread; what the reader saved must be that list, each value
//! once, in order.

use std::collections::BTreeMap;

use argus_model::record::Fields;
use argus_model::{Kind, Record};
use argus_spool::read::{ChunkReader, Phase, Producer, Progress, chunks, producers};
use argus_spool::{Appended, Definition, Weight, append, place};

use super::roles::{Home, metric, rounds, run};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn emit(name: &'static Definition, value: f64, unit: &str, weight: Weight) {
    let written = append(Kind::Metric, weight, &[name], |out, at| {
        let (name, attributes) = (name.number(), Fields::default());
        Record::Metric {
            subject: 0,
            name,
            at,
            value,
            unit,
            attributes,
        }
        .encode(out)
    });
    assert_eq!(written, Appended::Accepted);
}

#[derive(Default)]
struct Collector {
    readers: BTreeMap<u32, ChunkReader>,
    saved: BTreeMap<u32, (u64, u32)>,
    stored: Vec<u64>,
    names: BTreeMap<(u32, u64), u32>,
}

impl Collector {
    fn step(&mut self, most: u32) {
        let spool = place::from_environment().unwrap().spool();
        // Before the first record there is no folder.
        for (id, directory) in producers(&spool).unwrap_or_default() {
            for (number, path) in chunks(&directory).unwrap() {
                if self.readers.contains_key(&number) {
                    continue;
                }
                if let Some(mut reader) = ChunkReader::open(&path, id).unwrap() {
                    if let Some((generation, offset)) = self.saved.get(&number) {
                        reader.resume(*generation, *offset);
                    }
                    self.readers.insert(number, reader);
                }
            }
        }
        for (number, reader) in &mut self.readers {
            if reader.has_ended() && !reader.look_for_next_generation().unwrap() {
                continue;
            }
            let generation = reader.head().generation;
            let (stored, names) = (&mut self.stored, &mut self.names);
            let progress = reader
                .read(Producer::Living, most, |raw| {
                    let kind = Kind::from_byte(raw.kind).unwrap();
                    match Record::decode(kind, raw.payload).unwrap() {
                        Record::Name(name, _) => {
                            names.insert((*number, generation), name.0);
                        }
                        Record::Metric { value, name, .. } if raw.phase == Phase::New => {
                            let defined = names.get(&(*number, generation));
                            assert_eq!(
                                defined,
                                Some(&name.0),
                                "defined before use, also after a resume"
                            );
                            stored.push(value as u64);
                        }
                        _ => {}
                    }
                })
                .unwrap();
            self.saved
                .insert(*number, (reader.head().generation, reader.offset()));
            if progress == Progress::Ended {
                reader.write_released().unwrap();
            }
        }
    }

    fn die(&mut self) {
        self.readers.clear();
        self.names.clear();
    }
}

/// One thread at a time emits, so that one list is the whole truth; chunks pass between threads.
pub(crate) fn host(seed: u64) {
    let mut random = Random(seed | 1);
    let name = metric();
    let mut emitted = 0_u64;
    let mut collector = Collector::default();
    for _ in 0..150 {
        match random.below(10) {
            0..=5 => {
                let count = random.below(800);
                let sizes: Vec<u64> = (0..count).map(|_| random.below(300)).collect();
                let huge = random.below(40) == 0;
                let burst = move || {
                    for (index, size) in sizes.into_iter().enumerate() {
                        let size = if huge && index == 0 {
                            200_000
                        } else {
                            size as usize
                        };
                        let weight = if size % 2 == 0 {
                            Weight::Normal
                        } else {
                            Weight::Error
                        };
                        emit(
                            name,
                            (emitted + index as u64) as f64,
                            &"u".repeat(size),
                            weight,
                        );
                    }
                };
                if random.below(3) == 0 {
                    std::thread::spawn(burst).join().unwrap();
                } else {
                    burst();
                }
                emitted += count;
            }
            6..=8 => collector.step(random.below(1 << 18) as u32),
            _ => collector.die(),
        }
    }
    for _ in 0..10_000 {
        if collector.stored.len() as u64 >= emitted {
            break;
        }
        collector.step(1 << 22);
    }
    collector.stored.sort_unstable();
    let missing = (0..emitted).find(|value| collector.stored.binary_search(value).is_err());
    let doubled = collector.stored.windows(2).find(|pair| pair[0] == pair[1]);
    let count = collector.stored.len() as u64;
    assert_eq!(
        (missing, doubled, count),
        (None, None, emitted),
        "seed {seed}"
    );
}

#[test]
fn random_steps_agree_with_the_model() {
    let first: u64 = std::env::var("ARGUS_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let last = first + u64::from(rounds(20));
    for seed in first..last {
        println!("seed {seed} (replay: ARGUS_TEST_SEED={seed})");
        let home = Home::new(&format!("model-{seed}"));
        run(
            &format!("model:{}", seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            &home.0,
        );
    }
    let seeds = last - first;
    println!("model, {seeds} seeds: all accepted stored, doubled 0");
}
