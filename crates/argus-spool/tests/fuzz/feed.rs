//! Feeds a target: first its corpus, then, for a while, mutations of it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Something to feed.
pub(crate) struct Target {
    /// Its name, and that of the folder with its corpus.
    pub(crate) name: &'static str,
    /// Panics when a promise is broken.
    pub(crate) check: fn(&[u8]),
}

/// Which target a libFuzzer program feeds.
const CHOSEN: &str = "ARGUS_FUZZ_TARGET";
/// How long mutations are fed in the short form.
const SECONDS: &str = "ARGUS_FUZZ_SECONDS";
const LONGEST: usize = 4_096;

/// The target that the environment names.
pub(crate) fn chosen(targets: &[Target]) -> fn(&[u8]) {
    static CHECK: OnceLock<fn(&[u8])> = OnceLock::new();
    *CHECK.get_or_init(|| {
        let name = std::env::var(CHOSEN).unwrap_or_default();
        let target = targets.iter().find(|target| target.name == name);
        target.unwrap_or_else(|| panic!("{CHOSEN}={name}")).check
    })
}

/// The corpus, then mutations of it. The input that broke a promise is kept as a file, which the
/// message names.
pub(crate) fn short_form(target: &Target) {
    let corpus = corpus(target);
    for (path, input) in &corpus {
        let fed = std::panic::catch_unwind(|| (target.check)(input));
        assert!(fed.is_ok(), "{} breaks a promise", path.display());
    }
    let seconds = std::env::var(SECONDS).ok().and_then(|s| s.parse().ok());
    let enough = Duration::from_secs(seconds.unwrap_or(1));
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let (began, mut inputs) = (Instant::now(), 0_u64);
    while began.elapsed() < enough {
        let input = mutation(&corpus, &mut chance);
        if std::panic::catch_unwind(|| (target.check)(&input)).is_err() {
            let path =
                Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-broken", target.name));
            std::fs::write(&path, &input).unwrap();
            panic!("{} breaks a promise", path.display());
        }
        inputs += 1;
    }
    println!(
        "{}: {} files, {inputs} mutations",
        target.name,
        corpus.len()
    );
}

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let entries = std::fs::read_dir(folder.join(target.name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has a corpus", target.name);
    let read = |path: PathBuf| {
        let input = std::fs::read(&path).unwrap();
        (path, input)
    };
    files.into_iter().map(read).collect()
}

/// A piece of the corpus with a few changes, or bytes out of nothing.
fn mutation(corpus: &[(PathBuf, Vec<u8>)], chance: &mut Chance) -> Vec<u8> {
    let mut input = if chance.below(8) == 0 {
        (0..chance.below(600)).map(|_| chance.byte()).collect()
    } else {
        corpus[chance.below(corpus.len())].1.clone()
    };
    for _ in 0..=chance.below(6) {
        let at = chance.below(input.len() + 1);
        match chance.below(6) {
            0 => input.insert(at, chance.byte()),
            1 => {
                let to = (at + chance.below(16)).min(input.len());
                input.drain(at..to);
            }
            2 => {
                // Numbers at which lengths and counters turn over.
                let odd = [0, 1, 7, 8, 127, 128, 255][chance.below(7)];
                input.splice(at..(at + 1).min(input.len()), [odd]);
            }
            3 => {
                let other = &corpus[chance.below(corpus.len())].1;
                let from = chance.below(other.len() + 1);
                let to = (from + chance.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let bit = 1 << chance.below(8);
                input
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte ^= bit);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// A repeatable source of chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }
}
