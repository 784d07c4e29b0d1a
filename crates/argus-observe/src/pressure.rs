//! What surrounds a process: the limits of its control group, and how much work waits there.
//!
//! Plain numbers with names and units as OpenTelemetry forms them; what this kernel does not have, or
//! this user may not read, is left out. Control groups of version 2 are asked first, those of version
//! 1 for what is missing. A limit is the tightest one between the group and the root of what can be
//! seen: a limit further up holds as well. Where the group keeps no account of pressure, the whole
//! machine's is told under its own name.
//!
//! Costs some ten files, each opened, read and closed: once in several seconds is often enough.

mod group;

use std::fs;
use std::path::Path;

pub use group::Cgroup;

/// Something measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// Such as `cgroup.memory.usage`.
    pub name: &'static str,
    /// In UCUM, as OpenTelemetry writes units: `By`, `s`, `%`, `{cpu}`.
    pub unit: &'static str,
    /// How much.
    pub value: f64,
}

/// How long work waited for something on the whole machine: `system.*.pressure.*`.
pub fn system() -> Vec<Value> {
    read_pressures(&SYSTEM, |file| Some(Path::new("/proc/pressure").join(file)))
}

/// One resource's pressure: the file, and the names of what it says. `some` is the share of time in
/// which at least one task waited, `full` in which all did.
struct Pressure {
    file: &'static str,
    some: Names,
    full: Names,
}

struct Names {
    average: &'static str,
    total: &'static str,
}

const SYSTEM: [Pressure; 3] = [
    Pressure {
        file: "cpu",
        some: Names {
            average: "system.cpu.pressure.some.avg10",
            total: "system.cpu.pressure.some.total",
        },
        full: Names {
            average: "system.cpu.pressure.full.avg10",
            total: "system.cpu.pressure.full.total",
        },
    },
    Pressure {
        file: "memory",
        some: Names {
            average: "system.memory.pressure.some.avg10",
            total: "system.memory.pressure.some.total",
        },
        full: Names {
            average: "system.memory.pressure.full.avg10",
            total: "system.memory.pressure.full.total",
        },
    },
    Pressure {
        file: "io",
        some: Names {
            average: "system.io.pressure.some.avg10",
            total: "system.io.pressure.some.total",
        },
        full: Names {
            average: "system.io.pressure.full.avg10",
            total: "system.io.pressure.full.total",
        },
    },
];

const CGROUP: [Pressure; 3] = [
    Pressure {
        file: "cpu.pressure",
        some: Names {
            average: "cgroup.cpu.pressure.some.avg10",
            total: "cgroup.cpu.pressure.some.total",
        },
        full: Names {
            average: "cgroup.cpu.pressure.full.avg10",
            total: "cgroup.cpu.pressure.full.total",
        },
    },
    Pressure {
        file: "memory.pressure",
        some: Names {
            average: "cgroup.memory.pressure.some.avg10",
            total: "cgroup.memory.pressure.some.total",
        },
        full: Names {
            average: "cgroup.memory.pressure.full.avg10",
            total: "cgroup.memory.pressure.full.total",
        },
    },
    Pressure {
        file: "io.pressure",
        some: Names {
            average: "cgroup.io.pressure.some.avg10",
            total: "cgroup.io.pressure.some.total",
        },
        full: Names {
            average: "cgroup.io.pressure.full.avg10",
            total: "cgroup.io.pressure.full.total",
        },
    },
];

fn read_pressures(
    table: &[Pressure],
    path: impl Fn(&str) -> Option<std::path::PathBuf>,
) -> Vec<Value> {
    let mut values = Vec::new();
    for pressure in table {
        let text = path(pressure.file).and_then(|path| fs::read_to_string(path).ok());
        for line in text.unwrap_or_default().lines() {
            tell_pressure(pressure, line, &mut values);
        }
    }
    values
}

/// A line such as `some avg10=0.22 avg60=0.17 avg300=1.11 total=58761459`, the total in microseconds.
fn tell_pressure(pressure: &Pressure, line: &str, values: &mut Vec<Value>) {
    let mut words = line.split_ascii_whitespace();
    let names = match words.next() {
        Some("some") => &pressure.some,
        Some("full") => &pressure.full,
        _ => return,
    };
    for word in words {
        let Some((key, Ok(number))) = word.split_once('=').map(|(k, v)| (k, v.parse::<f64>()))
        else {
            continue;
        };
        let (name, unit, value) = match key {
            "avg10" => (names.average, "%", number),
            "total" => (names.total, "s", number / 1e6),
            _ => continue,
        };
        values.push(Value { name, unit, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_pressure_is_a_share_and_a_total() {
        let mut values = Vec::new();
        let line = "some avg10=0.22 avg60=0.17 avg300=1.11 total=58761459";
        tell_pressure(&SYSTEM[2], line, &mut values);
        tell_pressure(&SYSTEM[2], "none avg10=1", &mut values);
        tell_pressure(&SYSTEM[2], "full avg10=x", &mut values);
        let expected = [
            Value {
                name: "system.io.pressure.some.avg10",
                unit: "%",
                value: 0.22,
            },
            Value {
                name: "system.io.pressure.some.total",
                unit: "s",
                value: 58.761_459,
            },
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn this_machine_tells_what_it_has() {
        let told = system();
        assert_eq!(told.is_empty(), fs::read("/proc/pressure/cpu").is_err());
        assert!(told.iter().all(|value| value.value >= 0.0));
    }
}
