//! Random steps of a program's threads and of its collectors against a model, replayed from a printed
//! seed.
//!
//! The steps: emit from the main thread, or from up to three threads at once that then end; read a
//! random amount and commit it, or die before the commit; die after it; sync and give chunks back. The
//! model is how many records each thread has emitted: what was committed must be, for each thread,
//! these records, each once, in this order.
//!
//! `argus-spool` has the same for a single reader of single chunks; here it is the drain's own intake,
//! which has to bring the chunks of a thread into order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use argus_drain::intake::Intake;
use argus_model::record::Fields;
use argus_model::{Kind, NameKind, NameText, ProducerId, Record, Timestamp};
use argus_spool::read::producers;
use argus_spool::{Appended, Definition, Weight, append, boot_anchor, define, place};
use argus_store::Batch;
use argus_store::batch::Position;
use tempfile::TempDir;

const ROLE: &str = "ARGUS_TEST_ROLE";
const NAME: &str = "n";
const STEPS: u32 = 150;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Emits records of this thread, from `first` on, of random sizes.
fn burst(name: &'static Definition, lane: u32, first: u32, count: u32, mut random: Random) {
    for number in first..first + count {
        let value = f64::from(lane) * 4_294_967_296.0 + f64::from(number);
        let size = match random.below(2_000) {
            0 => 200_000,
            _ => random.below(300),
        };
        let unit = "u".repeat(size as usize);
        let written = append(Kind::Metric, Weight::Normal, &[name], |out, at| {
            let (name, attributes) = (name.number(), Fields::default());
            Record::Metric {
                subject: 0,
                name,
                at,
                value,
                unit: &unit,
                attributes,
            }
            .encode(out)
        });
        assert_eq!(written, Appended::Accepted);
    }
}

/// What a store would hold, and the collector that lives at the moment.
#[derive(Default)]
struct Collector {
    intake: Option<Intake>,
    /// The next number of each thread.
    stored: BTreeMap<u32, u32>,
    positions: BTreeMap<u32, Position>,
    rows: u64,
}

impl Collector {
    fn intake(&mut self) -> Option<&mut Intake> {
        if self.intake.is_none() {
            let (producer, directory) = spool()?;
            let saved: Vec<Position> = self.positions.values().copied().collect();
            let anchor = boot_anchor();
            let intake = Intake::new(producer, directory, None, &saved, Vec::new(), anchor);
            self.intake = Some(intake);
        }
        self.intake.as_mut()
    }

    fn read(&mut self, most: u32) -> Option<Batch> {
        let mut batch = Batch::default();
        let now = Timestamp::from_nanos(i64::MAX);
        self.intake()?.read(most, now, &mut batch).unwrap();
        Some(batch)
    }

    /// Rows and positions in one step.
    fn commit(&mut self, batch: &Batch) {
        for row in &batch.metrics {
            assert_eq!(row.name, NAME, "defined before use, also after a resume");
            let value = row.value as u64;
            let (lane, number) = ((value >> 32) as u32, value as u32);
            let next = self.stored.entry(lane).or_default();
            assert_eq!(number, *next, "of thread {lane}, in order, each once");
            *next += 1;
            self.rows += 1;
        }
        for position in &batch.positions {
            self.positions.insert(position.chunk, *position);
        }
        let damaged: u64 = batch.ledger.iter().map(|entry| entry.damaged).sum();
        assert_eq!(damaged, 0);
        if let Some(intake) = &mut self.intake {
            intake.committed(batch.metrics.len() as u64);
        }
    }
}

fn spool() -> Option<(ProducerId, PathBuf)> {
    let place = place::from_environment().unwrap();
    producers(&place.spool()).unwrap_or_default().pop()
}

fn host(seed: u64) {
    let mut random = Random(seed | 1);
    let name = define(NameText::plain(NameKind::Metric, NAME));
    let mut emitted: BTreeMap<u32, u32> = BTreeMap::new();
    let mut collector = Collector::default();
    for _ in 0..STEPS {
        match random.below(12) {
            0..=3 => {
                let (first, count) = (
                    emitted.get(&0).copied().unwrap_or(0),
                    random.below(800) as u32,
                );
                burst(name, 0, first, count, Random(random.0));
                *emitted.entry(0).or_default() += count;
            }
            4 | 5 => std::thread::scope(|scope| {
                for _ in 0..=random.below(3) {
                    let lane = emitted.len() as u32 + 1;
                    let count = random.below(1_500) as u32;
                    emitted.insert(lane, count);
                    let random = Random(random.0 ^ u64::from(lane) | 1);
                    scope.spawn(move || burst(name, lane, 0, count, random));
                }
            }),
            6..=8 => {
                if let Some(batch) = collector.read(1 + random.below(1 << 19) as u32) {
                    collector.commit(&batch);
                }
            }
            9 => {
                // Dies with what it has read.
                collector.read(1 + random.below(1 << 19) as u32);
                collector.intake = None;
            }
            10 => collector.intake = None,
            _ => {
                if let Some(intake) = &mut collector.intake {
                    intake.synced();
                }
            }
        }
    }
    let all: u64 = emitted.values().map(|count| u64::from(*count)).sum();
    for _ in 0..10_000 {
        if collector.rows >= all {
            break;
        }
        if let Some(batch) = collector.read(1 << 22) {
            collector.commit(&batch);
        }
        // A chunk that a collector before this one gave back is looked at again after a sync.
        if let Some(intake) = &mut collector.intake {
            intake.synced();
        }
    }
    emitted.retain(|_, count| *count > 0);
    assert_eq!(collector.stored, emitted, "seed {seed}");
}

/// The test that is no test but a host program.
#[test]
fn play() {
    if let Some(seed) = std::env::var(ROLE).ok().and_then(|seed| seed.parse().ok()) {
        host(seed);
    }
}

fn run(seed: u64, home: &Path) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["model::play", "--exact", "--nocapture"]);
    command.env(ROLE, seed.to_string()).env("ARGUS_HOME", home);
    command.env("ARGUS_COLLECTOR", "off").env_remove("ARGUS_DB");
    let output = command.stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {said}");
}

#[test]
fn random_steps_agree_with_the_model_thread_by_thread() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("ARGUS_TEST_SEED").unwrap_or(1);
    let seeds = number("ARGUS_TORTURE_ROUNDS").unwrap_or(8);
    for seed in first..first + seeds {
        println!("seed {seed} (replay: ARGUS_TEST_SEED={seed} ARGUS_TORTURE_ROUNDS=1)");
        let home = TempDir::new().unwrap();
        run(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), home.path());
    }
    println!(
        "model, {seeds} seeds through the intake: all accepted stored, doubled 0, out of order 0"
    );
}
