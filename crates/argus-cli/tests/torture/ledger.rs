//! What hosts said that they emitted, beside what the store holds.
//!
//! The records of a torture are metrics named `lane`. A lane is one stretch of emitting on one
//! thread; the value of its n-th record is `lane << 32 | n`, so that from the rows alone one can tell
//! which were doubled, which came out of order, and which nobody emitted.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use argus_model::record::Fields;
use argus_model::{Kind, NameKind, NameText, Record};
use argus_spool::{Appended, Definition, Weight};

use super::bed::Bed;

/// What a host counted of its own emits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) accepted: u64,
    pub(crate) refused_normal: u64,
    pub(crate) refused_errors: u64,
}

impl Said {
    /// Emits one record and counts what became of it.
    pub(crate) fn emit(&mut self, lane: u32, number: u32, weight: Weight) -> Appended {
        let value = f64::from(lane) * 4_294_967_296.0 + f64::from(number);
        let name = definition();
        let appended = argus_spool::append(Kind::Metric, weight, &[name], |out, at| {
            let (name, attributes) = (name.number(), Fields::default());
            Record::Metric {
                subject: 0,
                name,
                at,
                value,
                unit: "1",
                attributes,
            }
            .encode(out)
        });
        match (appended, weight) {
            (Appended::Accepted, _) => self.accepted += 1,
            (Appended::Lost, Weight::Normal) => self.refused_normal += 1,
            (Appended::Lost, Weight::Error) => self.refused_errors += 1,
            (Appended::Disabled, _) => panic!("recording is on"),
        }
        appended
    }

    /// Adds these counts to what others said, in one write.
    pub(crate) fn say(self, file: &Path) {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(file).unwrap();
        let Self {
            accepted,
            refused_normal,
            refused_errors,
        } = self;
        let line = format!("{accepted} {refused_normal} {refused_errors}\n");
        file.write_all(line.as_bytes()).unwrap();
    }

    /// The sum of what was said.
    pub(crate) fn read(file: &Path) -> Self {
        let mut sum = Self::default();
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let counts: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
            sum.accepted += counts[0];
            sum.refused_normal += counts[1];
            sum.refused_errors += counts[2];
        }
        sum
    }
}

fn definition() -> &'static Definition {
    static DEFINITION: OnceLock<&'static Definition> = OnceLock::new();
    DEFINITION.get_or_init(|| argus_spool::define(NameText::plain(NameKind::Metric, "lane")))
}

/// The rows of lanes. Where a flipped bit hit the name's definition, they are stored under its number.
const LANES: &str = "metrics WHERE (name = 'lane' OR name LIKE '?%')";

/// Both sides of the account.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) said: Said,
    pub(crate) stored: u64,
    pub(crate) lost_normal: u64,
    pub(crate) lost_errors: u64,
    pub(crate) damaged: u64,
    pub(crate) unknown: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
}

impl Ledger {
    /// What the store says about the lanes, beside what hosts said.
    pub(crate) fn of_lanes(bed: &Bed, said: Said) -> Self {
        let of_lanes = |query: &str| query.replace("LANES", LANES);
        let count = |query: &str| u64::try_from(bed.number(&of_lanes(query))).unwrap();
        let mut ledger = Self {
            said,
            stored: count("SELECT count(*) FROM LANES"),
            doubled: count(
                "SELECT count(*) - count(DISTINCT run_id || ' ' || CAST(value AS INTEGER))
                 FROM LANES",
            ),
            out_of_order: count(
                "SELECT count(*) FROM (
                    SELECT value < lag(value) OVER (
                        PARTITION BY run_id, CAST(value AS INTEGER) >> 32 ORDER BY id
                    ) AS back
                    FROM LANES
                 ) WHERE back",
            ),
            ..Self::default()
        };
        ledger.take_losses(bed);
        ledger
    }

    /// Takes the losses from the account of all producers.
    pub(crate) fn take_losses(&mut self, bed: &Bed) {
        for entry in bed.ledger() {
            self.lost_normal += entry.lost_normal;
            self.lost_errors += entry.lost_errors;
            self.damaged += entry.damaged;
            self.unknown += entry.unknown;
        }
    }

    /// Prints the account and fails unless it balances.
    pub(crate) fn settle(&self, name: &str) {
        println!(
            "{name}: accepted {}, stored {}, damaged {}; refused {} + {} errors, counted as lost \
             {} + {} errors; doubled {}, out of order {}, unknown {}",
            self.said.accepted,
            self.stored,
            self.damaged,
            self.said.refused_normal,
            self.said.refused_errors,
            self.lost_normal,
            self.lost_errors,
            self.doubled,
            self.out_of_order,
            self.unknown,
        );
        let (said, found) = (self.said, self.stored + self.damaged);
        assert_eq!(said.accepted, found, "{name}: accepted are stored");
        assert_eq!(
            (said.refused_normal, said.refused_errors),
            (self.lost_normal, self.lost_errors),
            "{name}: losses are counted"
        );
        let wrong = (self.doubled, self.out_of_order, self.unknown);
        assert_eq!(wrong, (0, 0, 0), "{name}: doubled, out of order, unknown");
    }
}
