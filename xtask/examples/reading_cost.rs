//! What watching processes costs the watcher: `reading_cost [PROCESSES]`. Prints JSON, microseconds of
//! CPU time a process and reading.
//!
//! The processes sleep, and each keeps a connection open to one of ours, so that their sockets are
//! looked at too. Medians of rounds; a round is one reading of every process, as `argus gaze` takes it.

use std::error::Error;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use argus_observe::network::Network;
use argus_observe::platform::{monotonic_now, process_cpu_time};
use argus_observe::process::{Target, find_by_pid};
use argus_observe::sample::{Details, Pss, Sampler};
use argus_observe::threads::Threads;

const ROUNDS: usize = 201;
const EACH_TIME: Details = Details {
    every: Duration::ZERO,
    pss: Pss::Left,
};

struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been killed by somebody else.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args()
        .nth(1)
        .map_or(Ok(50), |count| count.parse())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let sleepers: Vec<Sleeper> = (0..count)
        .map(|_| sleeper(&listener))
        .collect::<Result<_, _>>()?;
    let targets: Vec<Target> = sleepers
        .iter()
        .map(|sleeper| find_by_pid(sleeper.0.id()))
        .collect::<Result<_, _>>()?;

    let fast = samplers(&targets, None)?;
    let detailed = samplers(&targets, Some(EACH_TIME))?;
    let with_pss = Details {
        pss: Pss::Measured,
        ..EACH_TIME
    };
    let proportional = samplers(&targets, Some(with_pss))?;
    let mut network = Network::open(Duration::ZERO)?;
    for target in &targets {
        network.watch(target)?;
    }
    let mut threads = targets
        .iter()
        .map(Threads::attach)
        .collect::<Result<Vec<_>, _>>()?;

    let each = |micros: f64| micros / f64::from(count);
    println!("{{");
    println!("  \"processes\": {count},");
    println!("  \"reading\": {:.2},", each(sampling(fast)?));
    println!(
        "  \"reading_with_details\": {:.2},",
        each(sampling(detailed)?)
    );
    println!(
        "  \"reading_with_details_and_pss\": {:.2},",
        each(sampling(proportional)?)
    );
    let looked = median(|| network.look_at_once(monotonic_now()))?;
    println!("  \"network\": {:.2},", each(looked));
    let looked = median(|| threads.iter_mut().try_for_each(|one| one.look().map(drop)))?;
    println!("  \"thread\": {:.2}", each(looked));
    println!("}}");
    Ok(())
}

/// A program that does nothing, with a connection of ours as its standard input.
fn sleeper(listener: &TcpListener) -> Result<Sleeper, Box<dyn Error>> {
    let line = std::net::TcpStream::connect(listener.local_addr()?)?;
    let child = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::from(OwnedFd::from(line)))
        .spawn()?;
    Ok(Sleeper(child))
}

fn samplers(targets: &[Target], details: Option<Details>) -> Result<Vec<Sampler>, Box<dyn Error>> {
    let mut samplers = Vec::with_capacity(targets.len());
    for target in targets {
        let sampler = Sampler::attach(target)?;
        samplers.push(match details {
            Some(details) => sampler.with_details(details)?,
            None => sampler,
        });
    }
    Ok(samplers)
}

fn sampling(mut samplers: Vec<Sampler>) -> Result<f64, std::io::Error> {
    median(|| {
        samplers
            .iter_mut()
            .try_for_each(|one| one.sample().map(drop))
    })
}

/// CPU time of the middle round, in microseconds.
fn median(mut round: impl FnMut() -> Result<(), std::io::Error>) -> Result<f64, std::io::Error> {
    let own = std::process::id();
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let before = process_cpu_time(own)?;
        round()?;
        let used = process_cpu_time(own)?.saturating_sub(before);
        rounds.push(used.as_secs_f64() * 1e6);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}
