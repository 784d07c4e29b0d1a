//! Programs that real supervisors start again.

use std::time::Duration;

use argus_observe::births::News;
use argus_observe::platform;
use argus_observe::process::find_by_name;
use argus_observe::restart::{Program, Restarts, Return};
use rustix::process::{Signal, kill_process};

use super::observer::{both_means, open};
use crate::stranger::{Stranger, eventually};

/// How long the supervisor waits before it starts the program again.
const PAUSE: Duration = Duration::from_millis(200);

#[test]
fn a_program_that_its_supervisor_starts_again_is_recognised() {
    for means in both_means() {
        for by_name in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("argus-it-again");
            std::fs::copy("/bin/sleep", &program).unwrap();
            // The supervisor's copy has its own name until it executes the program.
            let body = format!(
                "while :; do {} 65 & wait $!; sleep 0.2; done",
                program.display()
            );
            let stranger = Stranger::run(&format!("sh -c '{body}'"));
            let first = eventually("it runs", || find_by_name("argus-it-again").ok()).first;
            let recognised_by = if by_name {
                Program::Named("argus-it-again".into())
            } else {
                Program::of(&first)
            };
            let mut births = open(means);
            let began = platform::monotonic_now();
            let mut restarts = Restarts::of(recognised_by, &first, began);

            let killed = platform::monotonic_now();
            kill_process(platform::raw_pid(first.pid).unwrap(), Signal::KILL).unwrap();
            assert_eq!(restarts.ended(first.instance(), killed), None);
            let back = eventually("it is back", || {
                let now = platform::monotonic_now();
                let news = births.look(now, |newborn| restarts.judge(newborn)).unwrap();
                let mut returns = news
                    .into_iter()
                    .filter_map(|news| told(&mut restarts, news));
                returns.next()
            });
            let passed = platform::monotonic_now().since(killed);
            assert_eq!(back.target.process_name, "argus-it-again", "{means:?}");
            assert_ne!(back.target.pid, first.pid);
            // Start times are counted in hundredths of a second.
            let least = PAUSE - Duration::from_millis(20);
            assert!(back.down >= least && back.down <= passed, "{:?}", back.down);
            stranger.kill(Signal::KILL);
            kill_process(platform::raw_pid(back.target.pid).unwrap(), Signal::KILL).unwrap();
        }
    }
}

fn told(restarts: &mut Restarts, news: News) -> Option<Return> {
    match news {
        News::Born(birth) => restarts.born(&birth),
        News::Became(target) => restarts.became(&target, platform::monotonic_now()),
        News::Passed(_) | News::Lost => None,
    }
}
