//! What the kernel offers: each feature is tried, not looked up by version.

use std::fs::File;
use std::io;
use std::process::{Command, Stdio};

use argus_observe::platform::{self, ExitStatus};
use argus_spool::probe::{Feature, try_feature};

use super::finding::{Finding, Section};

/// The oldest kernel that Argus is made for.
const OLDEST: (u32, u32) = (5, 4);
const SANDBOX: &str = "a newer kernel has it; in a container, its seccomp profile may forbid it";

/// All checks of this section.
pub(super) fn check() -> Section {
    let findings = vec![
        kernel(&platform::kernel_release()),
        clock(argus_spool::clock_source().as_deref()),
        feature("wipe on fork", Feature::WipeOnFork, Without::Nothing),
        feature("futex", Feature::Futex, Without::Nothing),
        feature(
            "membarrier",
            Feature::Membarrier,
            Without::Less("a record may wait up to 0.5 s for an idle collector"),
        ),
        feature(
            "populate",
            Feature::PopulateWrite,
            Without::Less("fresh spool pages fault one by one: up to 260 ns a span in bursts"),
        ),
        feature(
            "close_range",
            Feature::CloseRange,
            Without::Less("starting a collector takes some hundred microseconds longer"),
        ),
        pidfd(platform::pidfd_open(std::process::id()).map(drop)),
        exit_codes(ask_how_a_child_ended()),
    ];
    Section::new("Machine", findings)
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => return Finding::ok("kernel", format!("Linux {release}")),
    };
    if version < OLDEST {
        let found = format!("Linux {release}: older than 5.4, for which Argus is made");
        return Finding::off("kernel", found, "what is missing is listed below");
    }
    Finding::ok("kernel", format!("Linux {release}"))
}

fn clock(source: Option<&str>) -> Finding {
    match source {
        Some("tsc") => Finding::ok("clock", "tsc: a span reads the time in a few nanoseconds"),
        Some(other) => Finding::off(
            "clock",
            format!("{other}: a span costs about 100 ns more than with tsc"),
            "boot with clocksource=tsc if the machine's tsc is reliable (see the kernel's log)",
        ),
        None => Finding::off(
            "clock",
            "the kernel does not name its clock source: a span costs about 100 ns more",
            "let /sys be visible here",
        ),
    }
}

/// What is left when a feature is missing.
enum Without {
    /// No recording.
    Nothing,
    /// Recording, with this drawback.
    Less(&'static str),
}

fn feature(name: &'static str, feature: Feature, without: Without) -> Finding {
    match (try_feature(feature), without) {
        (Ok(()), _) => Finding::ok(name, "available"),
        (Err(error), Without::Less(drawback)) => {
            Finding::off(name, format!("{drawback} ({error})"), SANDBOX)
        }
        (Err(error), Without::Nothing) => Finding::problem(
            name,
            format!("nothing is recorded without it ({error})"),
            SANDBOX,
        ),
    }
}

fn pidfd(opened: io::Result<()>) -> Finding {
    match opened {
        Ok(()) => Finding::ok(
            "pidfd",
            "available: the end of a process is noticed at once",
        ),
        Err(error) => {
            let found = format!("the end of a process is noticed by looking at it ({error})");
            Finding::off("pidfd", found, SANDBOX)
        }
    }
}

fn exit_codes(told: io::Result<ExitStatus>) -> Finding {
    match told {
        Ok(ExitStatus::Ended { .. }) => Finding::ok("exit codes", "known for every process"),
        Ok(ExitStatus::NotYet | ExitStatus::Untold) => Finding::off(
            "exit codes",
            "of programs that `argus run` did not start: known only if the parent is slow to ask",
            "Linux 6.15 and newer tell them to everybody; start programs with `argus run`",
        ),
        Err(error) => Finding::off(
            "exit codes",
            format!("could not be tried ({error})"),
            SANDBOX,
        ),
    }
}

/// Lets a child end with a code and collects it; then the kernel is asked as a stranger would.
fn ask_how_a_child_ended() -> io::Result<ExitStatus> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--no-such-option")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let pid = child.id();
    let opened = platform::pidfd_open(pid);
    let stat = File::open(format!("/proc/{pid}/stat"));
    child.wait()?;
    Ok(platform::exit_status(pid, Some(&opened?), Some(&stat?)))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn an_old_kernel_is_told() {
        assert_eq!(kernel("6.18.2-arch1").verdict, Verdict::Ok);
        assert_eq!(kernel("5.4.0").verdict, Verdict::Ok);
        assert_eq!(kernel("4.19.306").verdict, Verdict::Off);
        assert_eq!(kernel("odd").verdict, Verdict::Ok);
    }

    #[test]
    fn a_slow_clock_is_told_with_its_price() {
        assert_eq!(clock(Some("tsc")).verdict, Verdict::Ok);
        assert_eq!(clock(Some("hpet")).verdict, Verdict::Off);
        assert_eq!(clock(None).verdict, Verdict::Off);
    }
}
