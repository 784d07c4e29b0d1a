//! Places where a test may kill the collector.
//!
//! `ARGUS_FAILPOINT=name` or `name:3` makes a collector built with debug assertions kill itself at
//! the first or third passage. In a release build the function is empty.

/// Every failpoint, in the order of the loop.
pub const ALL: [&str; 10] = [
    "after-election",
    "after-read",
    "before-commit",
    "after-commit",
    "after-notify",
    "after-sync",
    "after-release",
    "before-remove",
    "after-remove",
    "before-leave",
];

/// Dies here by SIGKILL if the environment says so.
#[inline]
pub fn pass(name: &'static str) {
    debug_assert!(ALL.contains(&name), "a failpoint is listed");
    #[cfg(debug_assertions)]
    armed::pass(name);
}

#[cfg(debug_assertions)]
mod armed {
    use std::process::Command;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static PASSED: AtomicU32 = AtomicU32::new(0);

    fn armed() -> Option<&'static (String, u32)> {
        static ARMED: OnceLock<Option<(String, u32)>> = OnceLock::new();
        ARMED
            .get_or_init(|| {
                let text = std::env::var("ARGUS_FAILPOINT").ok()?;
                let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
                Some((name.to_owned(), count.parse().ok()?))
            })
            .as_ref()
    }

    pub(super) fn pass(name: &str) {
        let Some((wanted, at)) = armed() else { return };
        if name == wanted && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *at {
            let pid = std::process::id().to_string();
            // Without `unsafe` there is no kill(2); the shell's own is the same signal.
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
            loop {
                std::thread::park();
            }
        }
    }
}
