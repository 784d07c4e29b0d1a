//! Children made in every way in which a program can make them. A module for the test binaries of
//! this crate and of others: this crate is where `unsafe` may stand.

/// The ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `fork(3)` of the C library, leaving by `_exit`.
    LibcFork,
    /// The system call, of which the C library knows nothing, leaving by `_exit`.
    BareFork,
    /// A child of a child, whose parent is gone before it emits.
    Orphan,
    /// `fork(3)`, emitting from a thread of its own, leaving by `exit` with all its handlers.
    ForkAndThread,
}

const WAYS: [Way; 4] = [
    Way::LibcFork,
    Way::BareFork,
    Way::Orphan,
    Way::ForkAndThread,
];

/// Makes the `number`-th child, which runs `body` and leaves; answers its wait status. The ways
/// come up in turn.
pub(crate) fn make(number: u32, body: impl FnOnce() + Send) -> i32 {
    let way = WAYS[number as usize % WAYS.len()];
    // SAFETY: the callers are hosts with one thread, so that a child finds no lock held.
    let pid = unsafe {
        match way {
            Way::BareFork => libc::syscall(libc::SYS_fork) as libc::pid_t,
            Way::LibcFork | Way::Orphan | Way::ForkAndThread => libc::fork(),
        }
    };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid == 0 {
        in_child(way, body);
    }
    let mut status = -1;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    status
}

fn in_child(way: Way, body: impl FnOnce() + Send) -> ! {
    let quiet = std::panic::AssertUnwindSafe(|| match way {
        Way::LibcFork | Way::BareFork => body(),
        Way::Orphan => {
            let mut pipe = [0; 2];
            // SAFETY: a pipe of its own tells the middle one when the grandchild is done, so that a
            // wait for the middle one is a wait for both; system calls only.
            unsafe {
                assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
                if libc::fork() == 0 {
                    body();
                    libc::write(pipe[1], [1_u8].as_ptr().cast(), 1);
                    libc::_exit(0);
                }
                libc::close(pipe[1]);
                let mut done = 0_u8;
                let read = libc::read(pipe[0], (&raw mut done).cast(), 1);
                assert_eq!((read, done), (1, 1), "the grandchild has emitted");
            }
        }
        Way::ForkAndThread => std::thread::scope(|scope| {
            scope.spawn(body);
        }),
    });
    let code = i32::from(std::panic::catch_unwind(quiet).is_err());
    if way == Way::ForkAndThread {
        std::process::exit(code);
    }
    // SAFETY: leaves at once, as a host may.
    unsafe { libc::_exit(code) }
}
