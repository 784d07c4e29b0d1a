//! The loop that passes streams and signals through until the program has ended.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use argus_model::record::LogSource;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use rustix::stdio;

use super::terminal::{RawMode, Terminal, unblock};
use super::{Child, Ended};
use crate::exit::timespec;
use crate::line::{Line, Splitter};
use crate::platform::{self, Delivered, Sender, Signals};

/// The signals that are passed on to the program instead of acting on the caller.
pub const FORWARDED: [Signal; 7] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
];

/// No pipe of an ordinary user and no terminal holds more: so much is read after the program's end
/// at most, since those it has left behind may go on writing for ever.
const LAST_BYTES: usize = 1 << 20;

/// How often a program without a pidfd is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

type Each<'a> = dyn FnMut(LogSource, Line<'_>) + 'a;

pub(super) fn run(child: Child<'_>, each: &mut Each<'_>) -> io::Result<Ended> {
    let _raw = child.terminal.as_ref().and_then(|_| RawMode::enter());
    let pidfd = platform::pidfd_open(child.target.pid).ok();
    let mut relay = Relay::new(child)?;
    loop {
        let ready = relay.wait(pidfd.as_ref())?;
        relay.control.forward_signals();
        relay.pass_input(ready.input);
        relay.pass_output(ready.outputs, each);
        if let Some(status) = relay.process.try_wait()? {
            relay.pass_the_rest(each);
            return Ok(Ended::of(status));
        }
    }
}

struct Relay<'a> {
    process: std::process::Child,
    control: Control<'a>,
    /// Output first, then error.
    outputs: Vec<Output>,
    input: Input,
    buffer: Vec<u8>,
}

/// The ways to the program besides its output.
struct Control<'a> {
    pid: Option<Pid>,
    terminal: Option<Terminal>,
    signals: &'a Signals,
}

/// One stream of the program's output.
struct Output {
    source: LogSource,
    from: Option<OwnedFd>,
    splitter: Splitter,
}

/// What was typed and not yet taken by the program's terminal.
#[derive(Default)]
struct Input {
    pending: Vec<u8>,
    is_over: bool,
}

/// What a wait has found.
struct Ready {
    input: bool,
    outputs: [bool; 2],
}

/// What a read has found.
enum Read {
    Bytes(usize),
    Nothing,
    Over,
}

impl<'a> Relay<'a> {
    fn new(mut child: Child<'a>) -> io::Result<Self> {
        let pid = platform::raw_pid(child.target.pid);
        let output = match &child.terminal {
            Some(terminal) => Some(terminal.end.try_clone()?),
            None => child.output.take(),
        };
        let streams = [
            (LogSource::Stdout, output),
            (LogSource::Stderr, child.error.take()),
        ];
        let mut outputs = Vec::new();
        for (source, from) in streams {
            if let Some(from) = &from {
                unblock(from)?;
            }
            outputs.push(Output {
                source,
                from,
                splitter: Splitter::default(),
            });
        }
        Ok(Self {
            process: child.process,
            control: Control {
                pid,
                terminal: child.terminal,
                signals: child.signals,
            },
            outputs,
            input: Input::default(),
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Waits until something is to be done.
    fn wait(&self, pidfd: Option<&OwnedFd>) -> io::Result<Ready> {
        const INPUT: u64 = 2;
        const TERMINAL: u64 = 3;
        let mut wanted: Vec<(u64, BorrowedFd<'_>, PollFlags)> = Vec::new();
        for (index, output) in (0..).zip(&self.outputs) {
            if let Some(from) = &output.from {
                wanted.push((index, from.as_fd(), PollFlags::IN));
            }
        }
        if let Some(terminal) = &self.control.terminal {
            if !self.input.pending.is_empty() {
                wanted.push((TERMINAL, terminal.end.as_fd(), PollFlags::OUT));
            } else if !self.input.is_over {
                wanted.push((INPUT, stdio::stdin(), PollFlags::IN));
            }
        }
        let mut polled: Vec<_> = wanted
            .iter()
            .map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
            .collect();
        polled.push(PollFd::new(self.control.signals, PollFlags::IN));
        polled.extend(pidfd.map(|fd| PollFd::new(fd, PollFlags::IN)));
        let timeout = pidfd.is_none().then_some(LOOK_AGAIN).and_then(timespec);
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |what: u64| {
            wanted
                .iter()
                .zip(&polled)
                .any(|((index, ..), polled)| *index == what && !polled.revents().is_empty())
        };
        Ok(Ready {
            input: is_ready(INPUT) || is_ready(TERMINAL),
            outputs: [is_ready(0), is_ready(1)],
        })
    }

    /// Passes keys on to the program's terminal, as fast as that takes them.
    fn pass_input(&mut self, is_ready: bool) {
        let Some(terminal) = self.control.terminal.as_ref().filter(|_| is_ready) else {
            return;
        };
        if self.input.pending.is_empty() {
            match read(stdio::stdin(), &mut self.buffer) {
                Read::Bytes(count) => self.input.pending.extend_from_slice(&self.buffer[..count]),
                Read::Nothing => {}
                Read::Over => self.input.is_over = true,
            }
        }
        match rustix::io::write(&terminal.end, &self.input.pending) {
            Ok(count) => drop(self.input.pending.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.input.pending.clear();
                self.input.is_over = true;
            }
        }
    }

    fn pass_output(&mut self, ready: [bool; 2], each: &mut Each<'_>) {
        for (output, is_ready) in self.outputs.iter_mut().zip(ready) {
            if is_ready {
                output.pass(&mut self.buffer, &self.control, each);
            }
        }
    }

    /// Everything the program wrote before it ended.
    fn pass_the_rest(&mut self, each: &mut Each<'_>) {
        for output in &mut self.outputs {
            let mut passed = 0;
            while let Some(count) = output.pass(&mut self.buffer, &self.control, each) {
                passed += count;
                if passed >= LAST_BYTES {
                    break;
                }
            }
            let source = output.source;
            output.splitter.finish(|line| each(source, line));
        }
    }
}

impl Control<'_> {
    fn forward_signals(&self) {
        while let Some(signal) = self.signals.next() {
            self.forward(signal);
        }
    }

    /// Passes a signal on, unless the program got it together with us: without a terminal of its
    /// own it belongs to the foreground group of ours.
    fn forward(&self, delivered: Delivered) {
        let Some(signal) = Signal::from_named_raw(delivered.number) else {
            return;
        };
        match &self.terminal {
            // The program's own terminal then tells it.
            Some(terminal) if signal == Signal::WINCH => terminal.take_size(),
            None if delivered.sender == Sender::Kernel => {}
            _ => {
                if let Some(pid) = self.pid {
                    // Our child, not collected yet: the id is its own. It may have ended.
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
        }
    }
}

impl Output {
    /// Reads once and passes it on; `None` when there was nothing, or the stream is over.
    fn pass(
        &mut self,
        buffer: &mut [u8],
        control: &Control<'_>,
        each: &mut Each<'_>,
    ) -> Option<usize> {
        let from = self.from.as_ref()?;
        let count = match read(from.as_fd(), buffer) {
            Read::Bytes(count) => count,
            Read::Nothing => return None,
            Read::Over => {
                self.from = None;
                return None;
            }
        };
        let bytes = &buffer[..count];
        let to = match self.source {
            LogSource::Stderr => stdio::stderr(),
            _ => stdio::stdout(),
        };
        if write_all(to, bytes, control).is_err() {
            // Nobody reads us any more: let the program find that out for itself.
            self.from = None;
        }
        let source = self.source;
        self.splitter.push(bytes, |line| each(source, line));
        Some(count)
    }
}

fn read(from: BorrowedFd<'_>, buffer: &mut [u8]) -> Read {
    match rustix::io::read(from, buffer) {
        Ok(0) => Read::Over,
        Ok(count) => Read::Bytes(count),
        Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
        // A terminal whose other end is closed says EIO.
        Err(_) => Read::Over,
    }
}

/// Waits for a slow reader as the program itself would have waited, still passing signals on.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8], control: &Control<'_>) -> io::Result<()> {
    /// A pipe that polls writable takes so much without blocking.
    const PIECE: usize = 4096;
    while !bytes.is_empty() {
        let mut polled = [
            PollFd::from_borrowed_fd(to, PollFlags::OUT),
            PollFd::new(control.signals, PollFlags::IN),
        ];
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_writable = !polled[0].revents().is_empty();
        control.forward_signals();
        if !is_writable {
            continue;
        }
        match rustix::io::write(to, &bytes[..bytes.len().min(PIECE)]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
