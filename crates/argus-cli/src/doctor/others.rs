//! What may be observed of programs that do not record themselves.

use rustix::fs::inotify;
use rustix::process::geteuid;

use super::finding::{Finding, Section};
use super::text_of;

/// Fewer watches than this are soon used up by an editor or a file manager.
const FEW_WATCHES: u64 = 8_192;

/// All checks of this section.
pub(super) fn check() -> Section {
    let user = geteuid().as_raw();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let findings = vec![
        whose(user),
        hidden(user, hidepid(&mounts)),
        tracing(
            user,
            text_of("/proc/sys/kernel/yama/ptrace_scope").as_deref(),
        ),
        log_files(),
    ];
    Section::new("Observing other programs", findings)
}

fn whose(user: u32) -> Finding {
    if user == 0 {
        return Finding::ok("whose", "running as root: everybody's");
    }
    let found = format!("user {user}: your own programs; of others' CPU, memory and threads");
    Finding::ok("whose", found)
}

/// What `/proc` is mounted with: its `hidepid` option.
fn hidepid(mounts: &str) -> Option<&str> {
    let proc = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let is_proc = (fields.next(), fields.next()) == (Some("/proc"), Some("proc"));
        fields.next().filter(|_| is_proc)
    })?;
    let mut options = proc.split(',');
    options.find_map(|option| option.strip_prefix("hidepid="))
}

fn hidden(user: u32, hidepid: Option<&str>) -> Finding {
    match hidepid {
        None | Some("0" | "off") => Finding::ok("hidepid", "/proc shows every process"),
        Some(value) if user == 0 => Finding::ok("hidepid", format!("{value}, not for root")),
        Some(value) => Finding::off(
            "hidepid",
            format!("/proc is mounted with hidepid={value}: others' processes cannot be observed"),
            "sudo argus gaze, or a group that /proc is mounted for (gid=)",
        ),
    }
}

fn tracing(user: u32, scope: Option<&str>) -> Finding {
    match scope {
        None | Some("0") => Finding::ok("ptrace_scope", "no restriction beyond the user's"),
        Some(scope) if user == 0 && scope != "3" => {
            Finding::ok("ptrace_scope", format!("{scope}, not for root"))
        }
        Some(scope) => Finding::off(
            "ptrace_scope",
            format!("{scope}: a zombie's exit code may stay unknown before Linux 6.15"),
            "start the program with `argus run`, which always knows",
        ),
    }
}

fn log_files() -> Finding {
    if let Err(error) = inotify::init(inotify::CreateFlags::CLOEXEC) {
        return Finding::off(
            "inotify",
            format!("log files are looked at now and then, not at once ({error})"),
            "raise the limit: sysctl fs.inotify.max_user_instances=1024",
        );
    }
    let limit = |name: &str| {
        text_of(&format!("/proc/sys/fs/inotify/{name}"))?
            .parse::<u64>()
            .ok()
    };
    let watches = limit("max_user_watches");
    let instances = limit("max_user_instances");
    let (Some(watches), Some(instances)) = (watches, instances) else {
        return Finding::ok("inotify", "available: log lines are seen at once");
    };
    let found = format!("up to {watches} watched files, {instances} observers per user");
    if watches < FEW_WATCHES {
        let advice = "sysctl fs.inotify.max_user_watches=65536   (else log lines come late)";
        return Finding::off("inotify", found, advice);
    }
    Finding::ok("inotify", found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn hidden_processes_are_read_from_the_mount() {
        let mounts = "sysfs /sys sysfs rw 0 0\nproc /proc proc rw,nosuid,hidepid=invisible 0 0\n";
        assert_eq!(hidepid(mounts), Some("invisible"));
        assert_eq!(hidepid("proc /proc proc rw,relatime 0 0\n"), None);
        assert_eq!(hidepid(""), None);
        assert_eq!(hidden(1000, Some("2")).verdict, Verdict::Off);
        assert_eq!(hidden(0, Some("2")).verdict, Verdict::Ok);
    }

    #[test]
    fn nobody_may_trace_with_scope_three() {
        assert_eq!(tracing(0, Some("1")).verdict, Verdict::Ok);
        assert_eq!(tracing(0, Some("3")).verdict, Verdict::Off);
        assert_eq!(tracing(1000, Some("1")).verdict, Verdict::Off);
        assert_eq!(tracing(1000, None).verdict, Verdict::Ok);
    }
}
