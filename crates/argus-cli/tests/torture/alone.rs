//! Namespaces of its own for a torture that needs to mount, or to rule over pids.
//!
//! The test starts itself again below `unshare`. Whatever it mounts is seen by nobody else, and goes
//! with the last process that sees it.

use std::process::Command;

/// Set in the process that is alone, to the test's name.
const ALONE: &str = "ARGUS_TORTURE_ALONE";

/// What the test wants for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// Mounts.
    Mounts,
    /// Mounts and a table of processes.
    Processes,
}

impl Own {
    fn command(self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        if self == Self::Processes {
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        command
    }
}

/// Runs `body` alone. Where the kernel or a sandbox does not allow that, says so and does nothing.
pub(crate) fn alone(test: &str, own: Own, body: impl FnOnce()) {
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        return body();
    }
    let may = own.command().arg("true").output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        println!("{test}: not run, no namespaces to be had here");
        return;
    }
    let mut command = own.command();
    command.arg(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    let status = command.env(ALONE, test).status().unwrap();
    assert!(status.success(), "{test}: {status}");
}
