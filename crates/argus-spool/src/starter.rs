//! Starting the collector without the host noticing.
//!
//! The collector must not be a child of the host: a `SIGCHLD` handler or a `waitpid(-1)` would see
//! it. So a go-between is cloned with no exit signal, which only `__WCLONE` waits for; it starts the
//! collector in a session of its own and exits at once. Both share the host's memory until they
//! execute (`CLONE_VM | CLONE_VFORK`): copying a large host's page tables would take milliseconds.
//! All signals are blocked meanwhile, so that no handler of the host runs in the wrong process.

use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use argus_model::paths::DataDir;

use crate::control::{ControlPage, Starter};
use crate::place::{self, PlaceError};
use crate::process::{self, Process};

const STACK: usize = 64 * 1024;
/// What the collector needs of the host's environment.
const KEPT_VARIABLES: [&str; 11] = [
    "HOME",
    "PATH",
    "TMPDIR",
    "ARGUS_LOG",
    "ARGUS_HOME",
    "ARGUS_DB",
    "ARGUS_RETAIN_AGE",
    "ARGUS_RETAIN_SIZE",
    "ARGUS_RETAIN_SESSIONS",
    "ARGUS_RETAIN_GROUPS",
    "ARGUS_SPOOL_BUDGET",
];

/// The collector could not be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The control page cannot be mapped.
    #[error("cannot map {path}")]
    Control {
        /// The page.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was started and has not said that it lives.
    #[error("the collector does not answer")]
    Silent,
}

/// For commands: makes sure that a collector runs for this data folder, started from `command` if
/// none does, and waits until it says so, at most `patience`.
pub fn ensure(
    place: &DataDir,
    command: &Path,
    patience: Duration,
) -> Result<ControlPage, StartError> {
    place::prepare(place)?;
    let path = place.control();
    let control =
        ControlPage::open(&path).map_err(|source| StartError::Control { path, source })?;
    let deadline = Instant::now() + patience;
    loop {
        let seen = control.commit_count();
        if control.living_collector().is_some() {
            return Ok(control);
        }
        if control.claim_start(Starter::Command) {
            spawn(command, place);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(StartError::Silent);
        }
        // The collector announces a commit when it has taken over.
        control.await_commit(seen, left.min(Duration::from_millis(20)));
    }
}

/// For guests: starts a collector if none lives and the host is one that may.
#[cold]
pub(crate) fn start_if_none(process: &Process) {
    if process.control.living_collector().is_some() || !may_start() {
        return;
    }
    let Some(command) = find_command() else {
        return;
    };
    if process.control.claim_start(Starter::Guest) {
        spawn(command, &process.place);
    }
}

/// An orphan of these hosts would become their child, or their service's.
fn may_start() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| {
        let off = std::env::var_os("ARGUS_COLLECTOR").is_some_and(|value| value == "off");
        let service =
            std::env::var_os("INVOCATION_ID").is_some() && std::os::unix::process::parent_id() == 1;
        let mut subreaper: c_int = 0;
        // SAFETY: the kernel writes one integer to a valid place.
        unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut subreaper) };
        !off && !service && std::process::id() != 1 && subreaper == 0
    })
}

fn find_command() -> Option<&'static Path> {
    static COMMAND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = COMMAND.get_or_init(|| {
        let named = std::env::var_os("ARGUS_BIN")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        let configured = process::configuration().command.clone();
        let on_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
            std::env::split_paths(&path)
                .map(|folder| folder.join("argus"))
                .collect::<Vec<_>>()
        });
        named
            .into_iter()
            .chain(configured)
            .chain(on_path)
            .find(|path| is_executable(path))
    });
    found.as_deref()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The first `most` bytes of a text, at a character's border.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Everything that the cloned processes need, made before there are any.
struct Plan {
    path: CString,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    inner_stack: *mut c_void,
    // The texts that the pointers above point into.
    _texts: Vec<CString>,
}

fn text(value: &OsStr) -> Option<CString> {
    CString::new(value.as_bytes()).ok()
}

fn plan(command: &Path, place: &DataDir, inner_stack: *mut c_void) -> Option<Plan> {
    let words = [
        command.as_os_str(),
        OsStr::new("collector"),
        OsStr::new("--db"),
        place.database().as_os_str(),
    ];
    let mut texts = words.into_iter().map(text).collect::<Option<Vec<_>>>()?;
    let ends = texts.len();
    for name in KEPT_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            let mut pair = OsString::from(name);
            pair.push("=");
            pair.push(value);
            texts.push(text(&pair)?);
        }
    }
    let pointers = |texts: &[CString]| {
        let ending = std::iter::once(std::ptr::null());
        texts
            .iter()
            .map(|text| text.as_ptr())
            .chain(ending)
            .collect()
    };
    Some(Plan {
        path: text(command.as_os_str())?,
        arguments: pointers(&texts[..ends]),
        environment: pointers(&texts[ends..]),
        inner_stack,
        _texts: texts,
    })
}

/// Starts the collector. Whether it runs is seen by its heartbeat, so there is no answer.
fn spawn(command: &Path, place: &DataDir) {
    // SAFETY: a new mapping, given back below when nobody runs on it any more: `CLONE_VFORK` makes
    // each clone's parent wait until the clone has executed or exited.
    unsafe {
        let stacks = libc::mmap(
            std::ptr::null_mut(),
            2 * STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
            -1,
            0,
        );
        if stacks == libc::MAP_FAILED {
            return;
        }
        if let Some(plan) = plan(command, place, stacks.byte_add(STACK)) {
            spawn_planned(&plan, stacks.byte_add(2 * STACK));
        }
        libc::munmap(stacks, 2 * STACK);
    }
}

/// # Safety
/// `stack` is the end of a stack that nobody else uses, as is the plan's inner one.
unsafe fn spawn_planned(plan: &Plan, stack: *mut c_void) {
    // SAFETY: signal sets are plain memory; the clone runs `go_between` on a stack of its own while
    // this thread waits; `errno`, which the clones share with it, is put back.
    unsafe {
        let errno = *libc::__errno_location();
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK;
        let argument = std::ptr::from_ref(plan).cast_mut().cast();
        let pid = libc::clone(go_between, stack, flags, argument);
        if pid > 0 {
            while libc::waitpid(pid, std::ptr::null_mut(), libc::__WCLONE) < 0
                && *libc::__errno_location() == libc::EINTR
            {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        *libc::__errno_location() = errno;
    }
}

extern "C" fn go_between(plan: *mut c_void) -> c_int {
    // SAFETY: `plan` is the caller's, who waits until this process is over; only system calls here.
    unsafe {
        let inner_stack = (*plan.cast::<Plan>()).inner_stack;
        libc::setsid();
        libc::clone(
            become_collector,
            inner_stack,
            libc::CLONE_VM | libc::CLONE_VFORK,
            plan,
        );
        libc::_exit(0)
    }
}

extern "C" fn become_collector(plan: *mut c_void) -> c_int {
    // SAFETY: as in `go_between`. The descriptor table and the signal handlers are copies: neither
    // clone was made with `CLONE_FILES` or `CLONE_SIGHAND`.
    unsafe {
        let plan = &*plan.cast::<Plan>();
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for standard in 0..3 {
            libc::dup2(null, standard);
        }
        if libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) != 0 {
            for descriptor in 3..4096 {
                libc::close(descriptor);
            }
        }
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        for signal in 1..32 {
            libc::sigaction(signal, &raw const default, std::ptr::null_mut());
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::chdir(c"/".as_ptr());
        libc::umask(0o077);
        libc::execve(
            plan.path.as_ptr(),
            plan.arguments.as_ptr(),
            plan.environment.as_ptr(),
        );
        libc::_exit(127)
    }
}
