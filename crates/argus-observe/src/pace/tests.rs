//! Simulated loads: every moment, every load is given; nothing here waits.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A process under a load given as a function of time, sampled at an interval of one second.
#[derive(Clone)]
struct Simulation {
    pace: Pace,
    now: Monotonic,
    cpu_seconds: f64,
    /// When samples were taken, and the interval then in force.
    samples: Vec<(Monotonic, Duration)>,
    /// When the fastest interval was in force.
    fast: Vec<Monotonic>,
}

/// What the process does at a moment.
#[derive(Clone, Copy, Default)]
struct Load {
    cores: f64,
    rss_mib: f64,
    errors: u64,
}

fn at(millis: u64) -> Monotonic {
    Monotonic::from_nanos(millis * 1_000_000)
}

fn cores(cores: f64) -> Load {
    Load {
        cores,
        ..Load::default()
    }
}

impl Simulation {
    fn of(load: impl Fn(Monotonic) -> Load, length: Duration) -> Self {
        let first = Probe {
            at: at(1000),
            cpu_time: Duration::ZERO,
            rss_bytes: 0,
            errors: 0,
        };
        let mut simulation = Self {
            pace: Pace::begin(Bounds::around(SECOND), first),
            now: first.at,
            cpu_seconds: 0.0,
            samples: Vec::new(),
            fast: Vec::new(),
        };
        simulation.go_on(later(first.at, length), load);
        simulation
    }

    fn go_on(&mut self, end: Monotonic, load: impl Fn(Monotonic) -> Load) {
        while self.now < end {
            self.step(&load);
        }
    }

    /// On to the next probe, in steps of a millisecond.
    fn step(&mut self, load: impl Fn(Monotonic) -> Load) {
        let due = self.pace.due();
        while self.now < due {
            self.cpu_seconds += 0.001 * load(self.now).cores;
            self.now = later(self.now, Duration::from_millis(1));
        }
        let load = load(self.now);
        let verdict = self.pace.probe(Probe {
            at: self.now,
            cpu_time: Duration::from_secs_f64(self.cpu_seconds),
            rss_bytes: (load.rss_mib * 1_048_576.0) as u64,
            errors: load.errors,
        });
        assert!(verdict.due > self.now);
        if self.pace.interval() == self.pace.bounds.fastest {
            self.fast.push(self.now);
        }
        if let Some(interval) = verdict.sample {
            self.samples.push((self.now, interval));
        }
    }

    fn count_between(&self, from: Monotonic, to: Monotonic) -> usize {
        let samples = self.samples.iter();
        samples.filter(|(at, _)| (from..to).contains(at)).count()
    }

    fn first_after(&self, moment: Monotonic) -> (Monotonic, Duration) {
        let mut samples = self.samples.iter();
        *samples.find(|(at, _)| *at >= moment).unwrap()
    }
}

#[test]
fn an_idle_process_is_sampled_at_six_times_the_interval() {
    let idle = Simulation::of(|_| cores(0.0), Duration::from_secs(120));
    let (_, interval) = *idle.samples.last().unwrap();
    assert_eq!(interval, 6 * SECOND);
    assert_eq!(idle.count_between(at(41_000), at(101_000)), 10);
}

#[test]
fn a_steady_load_is_sampled_at_the_interval() {
    let busy = Simulation::of(|_| cores(0.7), Duration::from_secs(60));
    assert_eq!(busy.count_between(at(21_000), at(51_000)), 30);
    assert!(busy.samples.iter().all(|(_, interval)| *interval == SECOND));
}

#[test]
fn a_step_is_answered_within_one_fast_interval_whenever_it_comes() {
    let fastest = Bounds::around(SECOND).fastest;
    assert_eq!(fastest, Duration::from_millis(100));
    for (from, to) in [(0.0, 1.0), (0.0, 0.06), (1.0, 0.0), (0.5, 0.6), (2.0, 2.5)] {
        let before = Simulation::of(|_| cores(from), Duration::from_secs(59));
        for millis in (60_000..66_100).step_by(7) {
            let step = at(millis);
            let mut stepped = before.clone();
            stepped.go_on(at(millis + 500), |now| {
                cores(if now < step { from } else { to })
            });
            let what = format!("{from} to {to} at {millis} ms");
            let (answered, _) = stepped.first_after(step);
            assert!(answered.since(step) <= fastest, "{what}: {answered:?}");
            // A sample that was due anyway may come first; the pace is up in time none the less.
            let mut fast = stepped.fast.iter().filter(|now| **now >= step);
            let noticed = *fast.next().unwrap();
            assert!(noticed.since(step) <= fastest, "{what}: {noticed:?}");
            let (_, interval) = stepped.first_after(noticed);
            assert_eq!(interval, fastest, "{what}");
        }
    }
}

#[test]
fn after_a_step_the_pace_slows_down_again() {
    let load = |now| cores(if now < at(60_000) { 0.0 } else { 0.8 });
    let stepped = Simulation::of(load, Duration::from_secs(70));
    let after = stepped.samples.iter().filter(|(now, _)| *now >= at(60_000));
    let intervals: Vec<_> = after.map(|(_, interval)| interval.as_millis()).collect();
    // A step in the middle of a window is two movements.
    assert_eq!(
        intervals[..6],
        [100, 200, 400, 800, 1000, 1000],
        "{intervals:?}"
    );
}

#[test]
fn no_sample_comes_sooner_than_the_fastest_interval_or_later_than_the_slowest() {
    let wild = |now: Monotonic| {
        cores(if (now.nanos() / 70_000_000).is_multiple_of(3) {
            1.0
        } else {
            0.0
        })
    };
    let rare = |now: Monotonic| {
        cores(if (now.nanos() / 100_000_000).is_multiple_of(97) {
            1.0
        } else {
            0.0
        })
    };
    for simulation in [
        Simulation::of(wild, Duration::from_secs(60)),
        Simulation::of(rare, Duration::from_secs(60)),
    ] {
        for pair in simulation.samples.windows(2) {
            let gap = pair[1].0.since(pair[0].0);
            assert!(gap >= Duration::from_millis(85), "{gap:?}");
            assert!(gap <= 6 * SECOND, "{gap:?}");
        }
    }
}

#[test]
fn a_load_that_always_flickers_is_no_movement() {
    // Between 30 % and 50 % of a core, each for a fiftieth of a second.
    let flicker = |now: Monotonic| {
        cores(if (now.nanos() / 21_000_000).is_multiple_of(2) {
            0.3
        } else {
            0.5
        })
    };
    let steady = Simulation::of(flicker, Duration::from_secs(120));
    let count = steady.count_between(at(61_000), at(121_000));
    assert!((58..=75).contains(&count), "{count} samples in a minute");
}

#[test]
fn growing_memory_and_an_error_are_movements() {
    let grown = |now| Load {
        rss_mib: if now < at(60_030) { 100.0 } else { 104.0 },
        ..Load::default()
    };
    let failed = |now| Load {
        errors: u64::from(now >= at(60_030)),
        ..Load::default()
    };
    for simulation in [
        Simulation::of(grown, Duration::from_secs(70)),
        Simulation::of(failed, Duration::from_secs(70)),
    ] {
        let (answered, interval) = simulation.first_after(at(60_030));
        assert!(answered.since(at(60_030)) <= Duration::from_millis(100));
        assert_eq!(interval, Duration::from_millis(100));
    }
}

#[test]
fn a_leak_keeps_the_pace_up_and_a_breath_does_not() {
    let rss = |rate: f64| {
        move |now: Monotonic| Load {
            rss_mib: 50.0 + rate * now.since(at(0)).as_secs_f64(),
            ..Load::default()
        }
    };
    let leaking = Simulation::of(rss(5.0), Duration::from_secs(60));
    assert!(leaking.count_between(at(31_000), at(61_000)) > 60);
    let resting = Simulation::of(rss(0.001), Duration::from_secs(60));
    assert!(resting.count_between(at(31_000), at(61_000)) <= 6);
}

#[test]
fn late_probes_are_not_made_up_for() {
    let first = Probe {
        at: at(0),
        cpu_time: Duration::ZERO,
        rss_bytes: 0,
        errors: 0,
    };
    let mut pace = Pace::begin(Bounds::around(SECOND), first);
    let late = pace.probe(Probe {
        at: at(10_020),
        ..first
    });
    assert_eq!(late.sample, Some(2 * SECOND));
    assert_eq!(late.due, at(10_050));
    let same = pace.probe(Probe {
        at: at(10_020),
        ..first
    });
    assert_eq!((same.sample, same.due), (None, at(10_050)));
}

#[test]
fn a_very_short_interval_has_no_shorter_one() {
    let millis = Duration::from_millis;
    assert_eq!(Bounds::around(millis(1)).fastest, millis(1));
    assert_eq!(Bounds::around(millis(50)).fastest, millis(10));
    assert_eq!(Bounds::around(millis(500)).fastest, millis(50));
}
