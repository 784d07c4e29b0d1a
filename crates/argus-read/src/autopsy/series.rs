//! A quantity over the last minute, in few numbers and one curve.

use argus_model::Measure;
use argus_store::query::{StoredMetric, StoredSample};

/// The measures that are worth a look; the others only ever grow.
const GAUGES: [Measure; 7] = [
    Measure::DiskReadRate,
    Measure::DiskWriteRate,
    Measure::NetworkReceiveRate,
    Measure::NetworkSendRate,
    Measure::Descriptors,
    Measure::Children,
    Measure::Pss,
];

/// What a [`Series`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    /// Percent of one core.
    Cpu,
    /// Resident memory in MiB.
    Memory,
    /// Number of threads.
    Threads,
    /// Something else that is measured from outside.
    Measure(Measure),
    /// What a program, or a plugin, names itself.
    Named {
        /// Its name.
        name: String,
        /// Its unit, empty when none.
        unit: String,
        /// A JSON object, absent when empty.
        attributes: Option<String>,
    },
}

/// A quantity's values, of which there is at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What.
    pub quantity: Quantity,
    /// The last value.
    pub last: f64,
    /// The lowest.
    pub lowest: f64,
    /// The mean of all.
    pub mean: f64,
    /// The highest.
    pub highest: f64,
    /// All of them, oldest first.
    pub values: Vec<f64>,
}

impl Series {
    fn new(quantity: Quantity, values: Vec<f64>) -> Option<Self> {
        let last = *values.last()?;
        #[expect(clippy::cast_precision_loss, reason = "a thousand values at most")]
        let count = values.len() as f64;
        Some(Self {
            quantity,
            last,
            lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean: values.iter().sum::<f64>() / count,
            highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            values,
        })
    }

    /// The values as a curve of at most so many points: the highest of those that share a point.
    pub fn curve(&self, points: usize) -> Vec<f64> {
        let each = self.values.len().div_ceil(points.max(1)).max(1);
        let highest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.values.chunks(each).map(highest).collect()
    }
}

/// CPU, memory and threads first, then what else is known, then what programs name, in the order in
/// which it appeared. A quantity without a value is left out.
pub(super) fn all(samples: &[StoredSample], metrics: &[StoredMetric]) -> Vec<Series> {
    let of = |quantity, value: &dyn Fn(&StoredSample) -> Option<f64>| {
        Series::new(quantity, samples.iter().filter_map(value).collect())
    };
    let vitals = [
        of(Quantity::Cpu, &|sample| Some(sample.cpu_percent)),
        of(Quantity::Memory, &|sample| Some(sample.memory_mb)),
        of(Quantity::Threads, &|sample| Some(sample.threads.into())),
    ];
    let gauges = GAUGES.map(|gauge| {
        of(Quantity::Measure(gauge), &|sample| {
            sample.measures.get(gauge)
        })
    });
    let mut series: Vec<Series> = vitals.into_iter().chain(gauges).flatten().collect();
    series.extend(named(metrics));
    series
}

fn named(metrics: &[StoredMetric]) -> impl Iterator<Item = Series> {
    let mut groups: Vec<(Quantity, Vec<f64>)> = Vec::new();
    for metric in metrics.iter().filter(|metric| metric.value.is_finite()) {
        let quantity = Quantity::Named {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            attributes: metric.attributes.clone(),
        };
        match groups.iter_mut().find(|(known, _)| *known == quantity) {
            Some((_, values)) => values.push(metric.value),
            None => groups.push((quantity, vec![metric.value])),
        }
    }
    groups
        .into_iter()
        .filter_map(|(quantity, values)| Series::new(quantity, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_every_peak() {
        let series = Series::new(Quantity::Cpu, vec![1.0, 9.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(series.curve(9), [1.0, 9.0, 2.0, 3.0, 4.0]);
        assert_eq!(series.curve(3), [9.0, 3.0, 4.0]);
        assert_eq!(series.curve(1), [9.0]);
        assert_eq!(
            (series.last, series.lowest, series.highest),
            (4.0, 1.0, 9.0)
        );
        assert!((series.mean - 3.8).abs() < 1e-9);
        assert_eq!(Series::new(Quantity::Cpu, Vec::new()), None);
    }
}
