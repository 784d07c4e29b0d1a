//! The real `argus` in a terminal of its own: what stands on its screen, and keys for it.
//!
//! `setsid` (util-linux) makes the pseudo-terminal the program's controlling one without `unsafe`
//! here, so that it never finds the terminal of whoever runs the tests.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

const ROWS: u16 = 30;
const COLUMNS: u16 = 100;
const PATIENCE: Duration = Duration::from_secs(20);

/// A program in a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    display: Arc<Display>,
    /// Keeps the terminal open after the program has left, so that its modes can be read.
    terminal: OwnedFd,
    modes: Termios,
}

#[derive(Default)]
struct Display {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

impl Default for State {
    fn default() -> Self {
        let size = |n: u16| n.try_into().unwrap();
        Self {
            parser: vt100::Parser::new(size(ROWS), size(COLUMNS), 0),
            bytes: Vec::new(),
        }
    }
}

impl Terminal {
    /// Starts the program that `command` describes.
    pub(crate) fn start(command: &Command) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name, flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let modes = tcgetattr(&terminal).unwrap();
        let child = in_session(command, &terminal).spawn().unwrap();

        let display = Arc::new(Display::default());
        let screen = File::from(master.try_clone().unwrap());
        std::thread::spawn({
            let display = Arc::clone(&display);
            move || display.follow(screen)
        });
        Self {
            child,
            keyboard: master.into(),
            display,
            terminal,
            modes,
        }
    }

    /// Types these characters.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends SIGTERM to the program.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until the screen is as described; its text.
    pub(crate) fn wait_for(&self, what: &str, seen: impl Fn(&vt100::Screen) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.display.state.lock().unwrap();
        loop {
            let screen = state.parser.screen();
            if seen(screen) {
                return screen.contents();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never saw {what}:\n{}", screen.contents());
            state = self.display.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until this text stands on the screen; all of the screen's text.
    pub(crate) fn wait_for_text(&self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the program has left.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not leave");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything the program has written so far, escape sequences included.
    pub(crate) fn written(&self) -> String {
        let state = self.display.state.lock().unwrap();
        String::from_utf8_lossy(&state.bytes).into_owned()
    }

    /// The terminal must be as it was: main screen, cursor shown, lines and echo by the kernel.
    pub(crate) fn assert_restored(&self) {
        self.wait_for("the main screen with its cursor", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        let now = tcgetattr(&self.terminal).unwrap();
        assert_eq!(now.local_modes & cooked, self.modes.local_modes & cooked);
        assert_eq!(now.output_modes, self.modes.output_modes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Display {
    fn follow(&self, mut screen: File) {
        let mut buffer = [0; 4096];
        // EIO is the end: every side of the terminal has closed it.
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            let mut state = self.state.lock().unwrap();
            state.parser.process(&buffer[..count]);
            state.bytes.extend_from_slice(&buffer[..count]);
            self.changed.notify_all();
        }
    }
}

fn in_session(command: &Command, terminal: &OwnedFd) -> Command {
    let mut session = Command::new("setsid");
    session
        .arg("--ctty")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .env("TERM", "xterm-256color");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            session.env(name, value);
        }
    }
    session
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal.try_clone().unwrap());
    session
}
