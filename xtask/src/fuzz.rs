//! `cargo xtask fuzz`: the long form of the fuzz targets, guided by coverage.
//!
//! The targets are test binaries; `cargo xtask test` feeds them their corpus and a second of
//! mutations each. Here they are built as libFuzzer programs. What cargo-fuzz would pass to the
//! compiler is stable but for the sanitizers, and these tests are in safe Rust.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Job;
use crate::step::{self, Checks};
use crate::workspace::{Profile, Workspace};

pub(crate) const HELP: &str = "\
Feeds the fuzz targets with what libFuzzer makes up, guided by coverage.

usage: cargo xtask fuzz [TARGET] [--seconds N]

  codec   bytes to records and back
  reader  a producer, honest or hostile, a collector, and what happens to the file between them
  fold    records, whatever they hold, to rows of a real store

Without a target, all of them, one after the other, each for N seconds (300). Needs a C++ compiler;
the stable toolchain is enough. What is promised stands at the head of each target's file.

What it finds new goes to target/fuzz/corpus. An input that breaks a promise goes to
target/fuzz/broken; put it into the target's corpus, which lies beside the test, so that it stays
found. To commit the best of what was found: <binary> -merge=1 <the target's corpus> <the new one>.

examples:
  cargo xtask fuzz reader --seconds 3600
  cargo nextest run --test fuzz                    the short form, as in CI";

/// A target, and the package with its test binary `fuzz`.
struct Target {
    name: &'static str,
    package: &'static str,
}

const TARGETS: [Target; 3] = [
    Target {
        name: "codec",
        package: "argus-spool",
    },
    Target {
        name: "reader",
        package: "argus-spool",
    },
    Target {
        name: "fold",
        package: "argus-drain",
    },
];

const SECONDS: u32 = 300;
/// Longer inputs find nothing that these do not.
const MOST_BYTES: u32 = 2_048;

/// What makes a libFuzzer program of a test binary that knows `cfg(fuzzing)`.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";

/// Understands the words behind `fuzz`.
pub(crate) fn plan(words: &[&str]) -> Result<Job> {
    let (names, seconds) = match words {
        [names @ .., "--seconds", count] => match count.parse::<u32>() {
            Ok(seconds) if seconds > 0 => (names, seconds),
            _ => bail!("`--seconds` takes a number, not `{count}`"),
        },
        names => (names, SECONDS),
    };
    let chosen: Vec<&Target> = match names {
        [] => TARGETS.iter().collect(),
        [name] => TARGETS.iter().filter(|it| it.name == *name).collect(),
        _ => bail!("`fuzz` takes one target, not `{}`", names.join(" ")),
    };
    if chosen.is_empty() {
        bail!("there is no fuzz target `{}`", names.join(" "));
    }
    Ok(Box::new(move |workspace| run(workspace, &chosen, seconds)))
}

fn run(workspace: &Workspace, chosen: &[&Target], seconds: u32) -> Result<()> {
    let mut checks = Checks::default();
    for target in chosen {
        let binary = build(workspace, target)?;
        let folder = |part: &str| {
            let folder = workspace.target(&format!("fuzz/{part}/{}", target.name));
            let made = std::fs::create_dir_all(&folder);
            made.with_context(|| format!("cannot create {}", folder.display()))?;
            Ok::<PathBuf, anyhow::Error>(folder)
        };
        let committed = format!(
            "crates/{}/tests/fuzz/corpus/{}",
            target.package, target.name
        );
        let mut feeding = workspace.command(binary);
        feeding.env("ARGUS_FUZZ_TARGET", target.name);
        feeding
            .arg(folder("corpus")?)
            .arg(workspace.path(&committed));
        feeding.arg(format!("-artifact_prefix={}/", folder("broken")?.display()));
        feeding.arg(format!("-max_total_time={seconds}"));
        feeding.arg(format!("-max_len={MOST_BYTES}"));
        feeding.args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"]);
        checks.run(&format!("fuzz {}", target.name), &mut feeding);
    }
    checks.finish()
}

/// Builds apart from everything else, since the flags hold for every crate.
fn build(workspace: &Workspace, target: &Target) -> Result<PathBuf> {
    let mut build = workspace.cargo(&["test", "--no-run", "--quiet", "--test", "fuzz"]);
    build.args(["--profile", Profile::Torture.name()]);
    build.args(["--package", target.package]);
    // With a target named, build scripts and macros are spared the flags.
    build.args(["--target", "host-tuple"]);
    build.arg("--target-dir").arg(workspace.target("fuzz"));
    build.env("RUSTFLAGS", RUSTFLAGS);
    step::run("build", &mut build)?;
    let told = build.arg("--message-format=json").output()?;
    let told = String::from_utf8_lossy(&told.stdout);
    let binary = told.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["target"]["name"] == "fuzz";
        is_ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    binary.context("cargo names no binary")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        crate::tests::refusal(plan(words))
    }

    #[test]
    fn every_target_is_explained_and_wrong_words_are_named() {
        for target in &TARGETS {
            assert!(HELP.contains(&format!("\n  {} ", target.name)));
            assert_eq!(refused(&[target.name, "--seconds", "3"]), "nothing wrong");
        }
        assert_eq!(refused(&[]), "nothing wrong");
        assert_eq!(refused(&["fuse"]), "there is no fuzz target `fuse`");
        let soon = "`--seconds` takes a number, not `soon`";
        assert_eq!(refused(&["--seconds", "soon"]), soon);
    }
}
