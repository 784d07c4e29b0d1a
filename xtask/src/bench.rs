//! `cargo xtask bench`: what Argus costs and how fast it answers, beside its peers in the same run.
//!
//! A bench starts release builds of the product and of small programs (`xtask/examples/`, `bench/peers/`)
//! as children, in rounds that take turns, so that a change of the machine's pace meets all of them; what
//! it reports are medians and ratios. Its result is a file of [`figures`], each beside its target from
//! the design, with notes on the machine and its load. A missed number stays in the table as missed.
//!
//! - [`drain`]: from spool to store, against other schemas.
//! - [`query`]: pages and percentiles in large stores.
//! - [`instrument`]: what a decorator or a guard adds to a call.
//! - [`instrument_rust`]: what a span of `tracing` or a guard adds to a Rust program.
//! - [`latency`]: from an emit to the screen of another process.
//! - [`gaze`]: watching fifty processes from outside, and how soon an end is noticed.
//! - [`tail`]: following log files: latency, speed, idle, and what rotation costs in lines.
//! - [`table`]: the README's table, generated from the results.

mod drain;
mod figures;
mod gaze;
mod instrument;
mod instrument_rust;
mod latency;
mod machine;
mod meter;
mod programs;
mod query;
mod table;
mod tail;

use anyhow::{Result, bail};

use crate::Job;
use crate::bench::figures::{Findings, Report};
use crate::bench::machine::Machine;
use crate::bench::programs::Programs;
use crate::step;
use crate::workspace::Workspace;

pub(crate) const HELP: &str = "\
Measures Argus beside its peers and writes what it saw to bench/results.

usage: cargo xtask bench [drain|query|instrument|instrument-rust|latency|gaze|tail|all] [--full | --quick]
       cargo xtask bench table

  drain       spool to store: spans per CPU-second and bytes a span, against the schema of the
              monitor decorator's specification taken literally, and against bare rows
  query       pages, rare functions and percentiles in stores of 1 M and 10 M spans
  instrument  what @argus.monitor and a Rust guard add to a call, against a plain Python decorator,
              OpenTelemetry, logfire and viztracer
  instrument-rust  what a span costs a Rust program: layer, subscriber and guard, against
              tracing-opentelemetry, tracing-chrome and fastrace
  latency     from an emit to the screen state of another process, sporadic and under load
  gaze        what watching 50 processes costs, against pidstat, psutil and glances; how soon the end
              of a process is noticed
  tail        following log files: from a write to the store, lines a second, 100 files that rest, and
              lines lost and doubled in rotation, against tail -F, rsyslog, pygtail and logtail2
  all         all of them, one after the other (the default)
  table       only writes the README's table anew from bench/results

  --full      up to 30 M spans (a quarter of an hour more, 10 GB of disk)
  --quick     small numbers, to see that everything runs; nothing is written

Builds in release. Needs the network once: the peers are installed into .bench/venv with the versions
pinned in bench/requirements.txt, those in Rust are built in bench/peers/rust; `gaze` needs pidstat (apt install sysstat), `tail` leaves out
what is not there (apt install rsyslog logtail). Data goes to .bench/data and is removed afterwards.

Run it on a quiet machine: the load before and after stands in every result.

examples:
  cargo xtask bench drain
  cargo xtask bench all --full";

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Quick,
    Usual,
    Full,
}

impl Scale {
    /// Picks one of three by scale.
    fn pick<T>(self, quick: T, usual: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Usual => usual,
            Self::Full => full,
        }
    }
}

struct Bench {
    name: &'static str,
    run: fn(&Programs<'_>, Scale) -> Result<Findings>,
}

const BENCHES: [Bench; 7] = [
    Bench {
        name: "drain",
        run: drain::run,
    },
    Bench {
        name: "query",
        run: query::run,
    },
    Bench {
        name: "instrument",
        run: instrument::run,
    },
    Bench {
        name: "instrument-rust",
        run: instrument_rust::run,
    },
    Bench {
        name: "latency",
        run: latency::run,
    },
    Bench {
        name: "gaze",
        run: gaze::run,
    },
    Bench {
        name: "tail",
        run: tail::run,
    },
];

/// Understands the words behind `bench`.
pub(crate) fn plan(words: &[&str]) -> Result<Job> {
    let (options, names): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.starts_with('-'));
    let scale = match options[..] {
        [] => Scale::Usual,
        ["--quick"] => Scale::Quick,
        ["--full"] => Scale::Full,
        _ => bail!(
            "`bench` takes one of --quick and --full, not `{}`",
            options.join(" ")
        ),
    };
    let chosen: Vec<Bench> = match names[..] {
        ["table"] if options.is_empty() => return Ok(Box::new(table::write)),
        [] | ["all"] => BENCHES.into(),
        [name] => BENCHES
            .into_iter()
            .filter(|bench| bench.name == name)
            .collect(),
        _ => bail!("`bench` takes one name, not `{}`", names.join(" ")),
    };
    if chosen.is_empty() {
        bail!("there is no bench `{}`", names.join(" "));
    }
    Ok(Box::new(move |workspace| run(workspace, &chosen, scale)))
}

fn run(workspace: &Workspace, chosen: &[Bench], scale: Scale) -> Result<()> {
    let programs = Programs::build(workspace)?;
    for bench in chosen {
        eprintln!("==> bench {}", bench.name);
        let before = machine::load();
        let findings = (bench.run)(&programs, scale)?;
        let machine = Machine::describe(workspace, before);
        let report = Report::new(bench.name, machine, findings);
        print!("{}", report.markdown());
        if scale == Scale::Quick {
            continue;
        }
        report.write(workspace)?;
        step::note(&format!("written to {}", figures::RESULTS));
    }
    if scale != Scale::Quick {
        table::write(workspace)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        crate::tests::refusal(plan(words))
    }

    #[test]
    fn every_bench_is_explained() {
        for bench in &BENCHES {
            assert!(HELP.contains(&format!("\n  {} ", bench.name)));
            assert_eq!(refused(&[bench.name, "--full"]), "nothing wrong");
        }
        assert_eq!(refused(&[]), "nothing wrong");
        assert_eq!(refused(&["table"]), "nothing wrong");
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(refused(&["drian"]), "there is no bench `drian`");
        assert_eq!(
            refused(&["drain", "query"]),
            "`bench` takes one name, not `drain query`"
        );
        assert_eq!(
            refused(&["--full", "--quick"]),
            "`bench` takes one of --quick and --full, not `--full --quick`"
        );
    }
}
