//! `argus stack`: what every thread of a Python program is in the middle of, now.
//!
//! The program needs no preparation and notices nothing; see [`argus_observe::stack`]. Nothing is
//! recorded.

use anyhow::Result;
use argus_observe::process::{self, Target};
use argus_observe::stack::{Activity, StackError, StackSampler, Stacks, ThreadStack};
use argus_tui::sanitize;
use clap::ArgGroup;
use serde::Serialize;

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::moment::{iso, now};
use crate::output::{self, Format, Screen, Tone};

/// Samples tried before it is said that the program changes too fast.
const ATTEMPTS: u32 = 20;

/// Show what every thread of a running Python program is doing, without touching it
///
/// Prints the calls that each thread is in, innermost first. The program goes on meanwhile and need
/// not know of Argus: its memory is read, which the kernel allows to whom it lets debug it.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["pid", "process"])))]
#[command(after_help = "\
Examples:
  argus stack --pid 4711
  argus stack --process gunicorn --json")]
pub(crate) struct Args {
    /// The process with this id
    #[arg(long)]
    pid: Option<u32>,
    /// The process with this name
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

/// Prints the stacks.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let target = find(args)?;
    let stacks = sample(&mut StackSampler::attach(&target)?)?;
    match args.format.format() {
        Format::Json => output::document(&Told::of(&target, &stacks))?,
        Format::Human => output::lines(&text(&target, &stacks, Screen::of_stdout()))?,
    }
    Ok(Exit::Fine)
}

fn find(args: &Args) -> Result<Target> {
    let Some(name) = &args.process else {
        return Ok(process::find_by_pid(args.pid.unwrap_or_default())?);
    };
    let found = process::find_by_name(name)?;
    if !found.others.is_empty() {
        let others: Vec<_> = found.others.iter().map(|t| t.pid.to_string()).collect();
        output::note(&format!(
            "{} processes are named {}; this is {}, not {} (--pid chooses)",
            others.len() + 1,
            sanitize(name),
            found.first.pid,
            others.join(", ")
        ));
    }
    Ok(found.first)
}

/// The first sample that did not fall apart.
fn sample(sampler: &mut StackSampler) -> Result<Stacks, StackError> {
    let mut attempt = 1;
    loop {
        match sampler.sample() {
            Err(StackError::Torn { .. }) if attempt < ATTEMPTS => attempt += 1,
            sampled => return sampled,
        }
    }
}

/// The stacks as JSON tells them.
#[derive(Debug, Serialize)]
struct Told<'a> {
    timestamp: String,
    pid: u32,
    process_name: &'a str,
    command_line: &'a str,
    threads: Vec<Thread<'a>>,
    threads_left_out: usize,
}

#[derive(Debug, Serialize)]
struct Thread<'a> {
    tid: Option<u32>,
    name: &'a str,
    state: &'static str,
    gil: bool,
    frames: Vec<Frame<'a>>,
    frames_left_out: usize,
}

#[derive(Debug, Serialize)]
struct Frame<'a> {
    function: &'a str,
    file: &'a str,
    line: Option<u32>,
}

impl<'a> Told<'a> {
    fn of(target: &'a Target, stacks: &'a Stacks) -> Self {
        Self {
            timestamp: iso(now()),
            pid: target.pid,
            process_name: &target.process_name,
            command_line: &target.command_line,
            threads: stacks.threads.iter().map(Thread::of).collect(),
            threads_left_out: stacks.left_out,
        }
    }
}

impl<'a> Thread<'a> {
    fn of(thread: &'a ThreadStack) -> Self {
        let frames = thread.frames.iter().map(|frame| Frame {
            function: &frame.function,
            file: &frame.file,
            line: frame.line,
        });
        Self {
            tid: thread.tid,
            name: &thread.name,
            state: word(thread.activity),
            gil: thread.holds_gil,
            frames: frames.collect(),
            frames_left_out: thread.left_out,
        }
    }
}

const fn word(activity: Activity) -> &'static str {
    match activity {
        Activity::Active => "active",
        Activity::Idle => "idle",
    }
}

/// The stacks as people read them.
fn text(target: &Target, stacks: &Stacks, screen: Screen) -> String {
    let mut out = String::new();
    let mut line = |indent: &str, parts: &[(&str, Tone)]| {
        out.push_str(indent);
        for (text, tone) in parts {
            screen.paint(&sanitize(text), *tone, &mut out);
        }
        out.push('\n');
    };
    let about = format!(" {}  {}", target.pid, target.command_line);
    let name = (target.process_name.as_str(), Tone::Heading);
    line("", &[name, (about.trim_end(), Tone::Faint)]);
    for thread in &stacks.threads {
        let tid = thread.tid.map_or(String::new(), |tid| format!(" {tid}"));
        let gil = if thread.holds_gil {
            ", has the GIL"
        } else {
            ""
        };
        let tone = match thread.activity {
            Activity::Active => Tone::Good,
            Activity::Idle => Tone::Faint,
        };
        line("", &[]);
        line(
            "",
            &[
                (&thread.name, Tone::Heading),
                (&tid, Tone::Faint),
                ("  ", Tone::Plain),
                (word(thread.activity), tone),
                (gil, Tone::Good),
            ],
        );
        for frame in &thread.frames {
            let place = match frame.line {
                Some(line) => format!(" ({}:{line})", frame.file),
                None => format!(" ({})", frame.file),
            };
            line(
                "  ",
                &[(&frame.function, Tone::Plain), (&place, Tone::Faint)],
            );
        }
        if thread.frames.is_empty() {
            line("  ", &[("in no Python function", Tone::Faint)]);
        }
        if thread.left_out > 0 {
            let rest = format!("… and {} outer calls", thread.left_out);
            line("  ", &[(&rest, Tone::Faint)]);
        }
    }
    if stacks.left_out > 0 {
        let rest = format!("… and {} more threads", stacks.left_out);
        line("\n", &[(&rest, Tone::Faint)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use argus_model::Monotonic;
    use argus_observe::stack::Frame;

    use super::*;

    fn thread(tid: Option<u32>, name: &str, functions: &[&str]) -> ThreadStack {
        let frames = functions.iter().map(|function| Frame {
            function: (*function).to_owned(),
            file: "/app/shop.py".into(),
            line: Some(12),
        });
        ThreadStack {
            tid,
            name: name.into(),
            activity: Activity::Idle,
            holds_gil: false,
            frames: frames.collect(),
            left_out: 0,
        }
    }

    fn target() -> Target {
        Target {
            pid: 4711,
            start_ticks: 1,
            process_name: "python3".into(),
            command_line: "python3 shop.py".into(),
            exe: None,
        }
    }

    #[test]
    fn stacks_read_like_this() {
        let mut busy = thread(Some(4712), "pricing", &["Shop.price", "run"]);
        busy.activity = Activity::Active;
        busy.holds_gil = true;
        busy.frames[1].line = None;
        busy.left_out = 3;
        let threads = vec![
            thread(Some(4711), "MainThread", &["wait"]),
            busy,
            thread(None, "na\u{1b}[2Jtive", &[]),
        ];
        let stacks = Stacks {
            at: Monotonic::default(),
            threads,
            left_out: 2,
        };
        insta::assert_snapshot!(text(&target(), &stacks, Screen::default()), @r"
        python3 4711  python3 shop.py

        MainThread 4711  idle
          wait (/app/shop.py:12)

        pricing 4712  active, has the GIL
          Shop.price (/app/shop.py:12)
          run (/app/shop.py)
          … and 3 outer calls

        na[2Jtive  idle
          in no Python function

        … and 2 more threads
        ");
    }
}
