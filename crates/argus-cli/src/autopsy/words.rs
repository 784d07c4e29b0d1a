//! How a run ended, in words.

use std::borrow::Cow;

use argus_model::death::{Cause, Evidence};
use argus_read::autopsy::Ended;

/// Linux's signals by number, the first of them 1. (As nearly every architecture counts them.)
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of the signal that an exit code of −N stands for.
pub(super) fn signal(code: i32) -> Option<Cow<'static, str>> {
    let number = code.checked_neg().filter(|number| *number > 0)?;
    let name = usize::try_from(number - 1)
        .ok()
        .and_then(|place| SIGNALS.get(place));
    Some(match name {
        Some(name) => Cow::Borrowed(*name),
        None => Cow::Owned(format!("signal {number}")),
    })
}

/// `was killed by SIGSEGV (signal 11), core dumped`: what follows the program's name.
pub(super) fn ending(ended: Option<Ended>) -> String {
    let Some(ended) = ended else {
        return "lives".into();
    };
    let Some(code) = ended.exit_code else {
        return "ended; how is unknown".into();
    };
    let mut text = match (code, signal(code), ended.death.cause) {
        (0, ..) => "ended well (exit code 0)".to_owned(),
        (_, Some(_), Cause::OutOfMemory) => "was killed by the kernel: out of memory".into(),
        (_, Some(_), Cause::PerhapsOutOfMemory) => {
            "was killed by SIGKILL, perhaps by the kernel: out of memory".into()
        }
        (_, Some(name), _) if name.starts_with("SIG") => {
            format!("was killed by {name} (signal {})", -i64::from(code))
        }
        (_, Some(name), _) => format!("was killed by {name}"),
        (_, None, _) => format!("ended with exit code {code}"),
    };
    if ended.death.core_dumped == Some(true) {
        text.push_str(", core dumped");
    }
    text
}

/// Whose the SIGKILL was, and how that is known; nothing for other ends.
pub(super) fn evidence(ended: Ended) -> Option<&'static str> {
    if ended.exit_code != Some(-9) {
        return None;
    }
    let death = ended.death;
    Some(match (death.cause, death.evidence) {
        (Cause::OutOfMemory, Evidence::KernelLog) => "the kernel's log says so",
        (Cause::OutOfMemory, _) => {
            "the kernel counted it in the program's control group, in which nobody else is missing"
        }
        (Cause::PerhapsOutOfMemory, Evidence::ControlGroup) => {
            "the kernel killed for want of memory in the program's control group just then, \
             perhaps another process of it"
        }
        (Cause::PerhapsOutOfMemory, _) => {
            "the kernel killed for want of memory on this machine just then, perhaps another process"
        }
        (Cause::Signal, Evidence::ControlGroup) => {
            "sent by somebody: in its control group the kernel killed nothing for want of memory"
        }
        (Cause::Signal, _) => {
            "sent by somebody: the kernel killed nothing on this machine for want of memory"
        }
        _ => "sent by somebody, or by the kernel for want of memory: that was not observed",
    })
}

#[cfg(test)]
mod tests {
    use argus_model::{Death, Timestamp};

    use super::*;

    fn ended(exit_code: Option<i32>, death: Death) -> Ended {
        Ended {
            at: Timestamp::default(),
            exit_code,
            death,
        }
    }

    #[test]
    fn an_end_is_told_in_words() {
        let check = |code, expected| {
            assert_eq!(ending(Some(ended(code, Death::of_code(code)))), expected);
        };
        check(Some(0), "ended well (exit code 0)");
        check(Some(3), "ended with exit code 3");
        check(Some(-11), "was killed by SIGSEGV (signal 11)");
        check(Some(-31), "was killed by SIGSYS (signal 31)");
        check(Some(-40), "was killed by signal 40");
        check(Some(i32::MIN), "ended with exit code -2147483648");
        check(None, "ended; how is unknown");
        assert_eq!(ending(None), "lives");
        let dumped = Death {
            core_dumped: Some(true),
            ..Death::of_code(Some(-6))
        };
        let text = ending(Some(ended(Some(-6), dumped)));
        assert_eq!(text, "was killed by SIGABRT (signal 6), core dumped");
    }

    #[test]
    fn only_a_sigkill_needs_evidence_and_each_kind_of_it_says_something_else() {
        let of = |code, cause, evidence| {
            let death = Death {
                cause,
                evidence,
                core_dumped: None,
            };
            super::evidence(ended(Some(code), death))
        };
        assert_eq!(of(-11, Cause::Signal, Evidence::ExitStatus), None);
        assert_eq!(of(0, Cause::Exit, Evidence::ExitStatus), None);
        let told = [
            of(-9, Cause::OutOfMemory, Evidence::KernelLog),
            of(-9, Cause::OutOfMemory, Evidence::ControlGroup),
            of(-9, Cause::PerhapsOutOfMemory, Evidence::ControlGroup),
            of(-9, Cause::PerhapsOutOfMemory, Evidence::Machine),
            of(-9, Cause::Signal, Evidence::ControlGroup),
            of(-9, Cause::Signal, Evidence::Machine),
            of(-9, Cause::Killed, Evidence::None),
        ];
        let different: std::collections::HashSet<_> = told.iter().flatten().collect();
        assert_eq!(different.len(), told.len());
    }
}
