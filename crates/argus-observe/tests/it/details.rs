//! What is measured beyond CPU, memory and threads, against programs that know what they did.

use std::time::Duration;

use argus_model::measure::{Measure, Measures};
use argus_observe::process::{AttachError, find_by_pid};
use argus_observe::sample::{Details, Pss, Sampler};
use rustix::process::Signal;

use crate::stranger::{Program, Stranger, as_nobody, eventually};

/// Everything, with every reading.
const ALL: Details = Details {
    every: Duration::ZERO,
    pss: Pss::Measured,
};

fn sampler(stranger: &Stranger) -> Sampler {
    let sampler = Sampler::attach(&stranger.target()).unwrap();
    sampler.with_details(ALL).unwrap()
}

fn measure(sampler: &mut Sampler) -> Measures {
    sampler.sample().unwrap().unwrap().measures
}

/// The next value of what is not measured with every detail.
fn next(sampler: &mut Sampler, wanted: Measure) -> f64 {
    let mut values = (0..100).map(|_| measure(sampler).get(wanted));
    values.find_map(|value| value).unwrap()
}

/// By how much each of these measures grows while the program takes its next step.
fn growth<const N: usize>(program: &Program, measures: [Measure; N]) -> [f64; N] {
    let mut sampler = sampler(&program.stranger);
    let before = measure(&mut sampler);
    program.step();
    let after = measure(&mut sampler);
    measures.map(|measure| after.get(measure).unwrap() - before.get(measure).unwrap())
}

#[test]
fn disk_totals_and_rates_are_what_a_program_really_moved() {
    // Direct, and over blocks that are there already: nothing else is read or written for it.
    let program = Program::start(
        "import mmap, os\n\
         block = mmap.mmap(-1, 1 << 20)\n\
         path = os.path.join(folder, 'data')\n\
         with open(path, 'wb') as file:\n\
         \x20   for _ in range(8): file.write(block)\n\
         \x20   os.fsync(file.fileno())\n\
         try: data = os.open(path, os.O_RDWR | os.O_DIRECT)\n\
         except OSError: data = None\n\
         step()\n\
         for _ in range(8 if data else 0): os.write(data, block)\n\
         for _ in range(3 if data else 0): os.preadv(data, [block], 0)\n\
         step()\n",
    );
    let mut sampler = sampler(&program.stranger);
    let before = sampler.sample().unwrap().unwrap();
    if before.measures.get(Measure::DiskWritten) == Some(0.0) {
        eprintln!("skipped: the folder for temporary files is not on a disk");
        return;
    }
    program.step();
    let after = sampler.sample().unwrap().unwrap();
    let value = |measure| after.measures.get(measure).unwrap();
    let grown = |measure| value(measure) - before.measures.get(measure).unwrap();
    assert_eq!(grown(Measure::DiskWritten), 8.0 * 1_048_576.0);
    assert_eq!(grown(Measure::DiskRead), 3.0 * 1_048_576.0);
    let seconds = after.at.since(before.at).as_secs_f64();
    let close = |rate: f64, bytes: f64| (rate * seconds - bytes).abs() < 1.0;
    assert!(close(value(Measure::DiskWriteRate), 8.0 * 1_048_576.0));
    assert!(close(value(Measure::DiskReadRate), 3.0 * 1_048_576.0));
    assert_eq!(before.measures.get(Measure::DiskReadRate), None);
}

#[test]
fn page_faults_are_counted() {
    let program = Program::start(
        "import mmap\n\
         memory = mmap.mmap(-1, 1000 * mmap.PAGESIZE)\n\
         memory.madvise(mmap.MADV_NOHUGEPAGE)\n\
         step()\n\
         for page in range(1000): memory[page * mmap.PAGESIZE] = 1\n\
         step()\n",
    );
    let [minor, major] = growth(&program, [Measure::MinorFaults, Measure::MajorFaults]);
    assert!((1000.0..1200.0).contains(&minor), "{minor}");
    assert!((0.0..50.0).contains(&major), "{major}");
}

#[test]
fn switches_are_counted_over_all_threads() {
    let program = Program::start(
        "import threading\n\
         go, done = threading.Event(), threading.Event()\n\
         def rest():\n\
         \x20   go.wait()\n\
         \x20   for _ in range(200): time.sleep(0.0001)\n\
         \x20   done.set()\n\
         \x20   time.sleep(60)\n\
         threading.Thread(target=rest, daemon=True).start()\n\
         step()\n\
         go.set(); done.wait()\n\
         step()\n",
    );
    let mut sampler = sampler(&program.stranger);
    let voluntary = next(&mut sampler, Measure::VoluntarySwitches);
    let involuntary = next(&mut sampler, Measure::InvoluntarySwitches);
    program.step();
    assert!(next(&mut sampler, Measure::VoluntarySwitches) - voluntary >= 200.0);
    assert!(next(&mut sampler, Measure::InvoluntarySwitches) >= involuntary);
}

#[test]
fn who_shares_a_cpu_waits_for_it_and_may_use_one_cpu_only() {
    let program = Program::start(
        "cpu = min(os.sched_getaffinity(0))\n\
         os.sched_setaffinity(0, {cpu})\n\
         rival = os.fork()\n\
         if rival == 0:\n\
         \x20   end = time.monotonic() + 60\n\
         \x20   while time.monotonic() < end: pass\n\
         \x20   os._exit(0)\n\
         step()\n\
         end = time.process_time() + 0.1\n\
         while time.process_time() < end: pass\n\
         os.kill(rival, 9)\n\
         step()\n",
    );
    let mut sampler = sampler(&program.stranger);
    let before = measure(&mut sampler);
    program.step();
    let after = sampler.sample().unwrap().unwrap();
    let waited = after.measures.get(Measure::RunQueueWait).unwrap()
        - before.get(Measure::RunQueueWait).unwrap();
    assert!(waited > 20.0, "{waited} ms beside 100 ms of work");
    let normalized = after.measures.get(Measure::CpuNormalized).unwrap();
    assert!((normalized - after.cpu_percent).abs() < 1e-9);
}

#[test]
fn descriptors_are_counted() {
    let program = Program::start(
        "step()\n\
         files = [open('/dev/null') for _ in range(37)]\n\
         step()\n",
    );
    assert_eq!(growth(&program, [Measure::Descriptors]), [37.0]);
}

#[test]
fn children_are_counted_whichever_thread_began_them() {
    let program = Program::start(
        "import subprocess, threading\n\
         begun = threading.Event()\n\
         children = []\n\
         def begin(): children.append(subprocess.Popen(['sleep', '60']))\n\
         def other():\n\
         \x20   begin(); begun.set(); time.sleep(60)\n\
         for _ in range(3): begin()\n\
         threading.Thread(target=other, daemon=True).start()\n\
         begun.wait()\n\
         step()\n\
         for child in children: child.kill()\n\
         step()\n",
    );
    let mut sampler = sampler(&program.stranger);
    assert_eq!(next(&mut sampler, Measure::Children), 4.0);
    program.step();
    // Killed, but not collected.
    assert_eq!(next(&mut sampler, Measure::Children), 4.0);
}

#[test]
fn what_is_dear_is_measured_the_more_rarely_the_more_threads_there_are() {
    let program = Program::start(
        "import threading\n\
         step()\n\
         for _ in range(2): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n\
         step()\n",
    );
    let known = |sampler: &mut Sampler, wanted| -> Vec<usize> {
        let known = |_: &usize| measure(sampler).get(wanted).is_some();
        (0..31).filter(known).collect()
    };
    let mut of_one = sampler(&program.stranger);
    assert_eq!(
        known(&mut of_one, Measure::VoluntarySwitches),
        [0, 5, 10, 15, 20, 25, 30]
    );
    assert_eq!(known(&mut of_one, Measure::Children).len(), 31);
    program.step();
    let mut of_three = sampler(&program.stranger);
    assert_eq!(
        known(&mut of_three, Measure::VoluntarySwitches),
        [0, 15, 30]
    );
    let mut of_three = sampler(&program.stranger);
    assert_eq!(known(&mut of_three, Measure::Children), [0, 15, 30]);
}

#[test]
fn proportional_memory_is_less_than_all_of_it_and_only_on_demand() {
    let stranger = Stranger::asleep();
    // While the program is still being loaded it grows between the two.
    eventually("a part of all of it is shared", || {
        let reading = sampler(&stranger).sample().unwrap().unwrap();
        let pss = reading.measures.get(Measure::Pss).unwrap();
        (pss > 0.0 && pss < reading.rss_bytes as f64 / 1_048_576.0).then_some(())
    });
    let left = Details {
        pss: Pss::Left,
        ..ALL
    };
    let not_asked = Sampler::attach(&stranger.target()).unwrap();
    let mut not_asked = not_asked.with_details(left).unwrap();
    assert_eq!(measure(&mut not_asked).get(Measure::Pss), None);
}

#[test]
fn details_come_only_so_often_and_nothing_without_them() {
    let stranger = Stranger::asleep();
    let rare = Details {
        every: Duration::from_secs(3600),
        ..ALL
    };
    let sampler = Sampler::attach(&stranger.target()).unwrap();
    let mut sampler = sampler.with_details(rare).unwrap();
    assert!(measure(&mut sampler).get(Measure::Descriptors).is_some());
    let between = measure(&mut sampler);
    let known: Vec<_> = between.iter().map(|(measure, _)| measure).collect();
    assert_eq!(known, [Measure::CpuNormalized]);
    let mut plain = Sampler::attach(&stranger.target()).unwrap();
    assert!(measure(&mut plain).is_empty());
}

#[test]
fn what_another_user_may_not_see_is_absent() {
    let stranger = Stranger::asleep();
    // Without the right to become somebody else, somebody else's process is looked at.
    let foreign = if rustix::process::getuid().is_root() {
        stranger.target()
    } else {
        find_by_pid(1).unwrap()
    };
    let reading = as_nobody(move || {
        let sampler = Sampler::attach(&foreign).unwrap();
        sampler
            .with_details(ALL)
            .unwrap()
            .sample()
            .unwrap()
            .unwrap()
    });
    let known = |measure| reading.measures.get(measure).is_some();
    assert!(reading.rss_bytes > 0 && reading.threads > 0);
    for denied in [
        Measure::DiskRead,
        Measure::DiskWritten,
        Measure::DiskReadRate,
        Measure::DiskWriteRate,
        Measure::Pss,
    ] {
        assert!(!known(denied), "{denied:?}");
    }
    assert!(known(Measure::MinorFaults) && known(Measure::CpuNormalized));
    if reading.threads == 1 {
        assert!(known(Measure::VoluntarySwitches));
    }
}

#[test]
fn a_zombie_has_ended() {
    let stranger = Stranger::run_uncollected("sleep 60");
    let target = stranger.target();
    let mut sampler = sampler(&stranger);
    assert!(sampler.sample().unwrap().is_some());
    stranger.kill(Signal::KILL);
    eventually("it is a zombie", || {
        sampler.sample().unwrap().is_none().then_some(())
    });
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid)).unwrap();
    assert!(stat.contains(") Z "), "{stat}");
    let again = Sampler::attach(&target);
    assert!(matches!(again, Err(AttachError::EndedMeanwhile(_))));
}

#[test]
fn a_process_whose_first_thread_has_ended_lives() {
    let program = Program::start(
        "import ctypes, platform, threading\n\
         block = bytearray(b'x' * 50_000_000)\n\
         exit_thread = {'x86_64': 60, 'aarch64': 93}[platform.machine()]\n\
         libc = ctypes.CDLL(None)\n\
         def other():\n\
         \x20   while ') Z ' not in open(f'/proc/{os.getpid()}/stat').read(): time.sleep(0.001)\n\
         \x20   step(); step()\n\
         threading.Thread(target=other).start()\n\
         libc.syscall(exit_thread, 0)\n",
    );
    let mut sampler = sampler(&program.stranger);
    let reading = sampler.sample().unwrap().unwrap();
    assert!(reading.rss_bytes > 50_000_000, "{reading:?}");
    assert_eq!(reading.measures.get(Measure::Descriptors), None);
    program.stranger.kill(Signal::KILL);
    eventually("it is dead", || {
        sampler.sample().unwrap().is_none().then_some(())
    });
}

#[test]
fn a_kernel_thread_can_be_measured() {
    // Nobody finds one by name or id, but one that is attached to is measured as what it is.
    let stat = std::fs::read_to_string("/proc/2/stat").unwrap_or_default();
    let Some((_, rest)) = stat.split_once("(kthreadd) ") else {
        eprintln!("skipped: no kernel thread is to be seen here");
        return;
    };
    let start_ticks = rest.split(' ').nth(22 - 3).unwrap().parse().unwrap();
    let sampler = Sampler::attach_to(2, start_ticks).unwrap();
    let reading = sampler.with_details(ALL).unwrap().sample();
    let reading = reading.unwrap().unwrap();
    assert_eq!((reading.rss_bytes, reading.threads), (0, 1));
    let children = reading.measures.get(Measure::Children);
    assert!(children.is_some_and(|children| children > 0.0));
    assert_eq!(reading.measures.get(Measure::Pss), None);
}

#[test]
fn what_stands_still_is_told_again_and_what_ran_is_read_anew() {
    let program = Program::start(
        "step()\n\
         memory = bytearray(32 << 20)\n\
         files = [open('/dev/null') for _ in range(20)]\n\
         step()\n",
    );
    program.has_stopped();
    let every = Duration::ZERO;
    let details = Details {
        every,
        pss: Pss::Left,
    };
    let sampler = Sampler::attach(&program.stranger.target()).unwrap();
    let mut sampler = sampler.with_details(details).unwrap();
    let first = sampler.sample().unwrap().unwrap();
    let still = eventually("it stands still", || {
        let reading = sampler.sample().unwrap().unwrap();
        (reading.cpu_percent == 0.0).then_some(reading)
    });
    assert_eq!(
        (still.rss_bytes, still.threads),
        (first.rss_bytes, first.threads)
    );
    let count = |measures: &Measures, measure| measures.get(measure).unwrap();
    for measure in [
        Measure::Descriptors,
        Measure::Children,
        Measure::MinorFaults,
    ] {
        let (first, still) = (&first.measures, &still.measures);
        assert_eq!(count(still, measure), count(first, measure), "{measure:?}");
    }
    if first.measures.get(Measure::DiskRead).is_some() {
        assert_eq!(still.measures.get(Measure::DiskReadRate), Some(0.0));
    }
    program.step();
    let after = sampler.sample().unwrap().unwrap();
    assert!(after.cpu_percent > 0.0);
    assert!(after.rss_bytes > first.rss_bytes + (30 << 20));
    let descriptors =
        |reading: &argus_observe::sample::Reading| count(&reading.measures, Measure::Descriptors);
    assert_eq!(descriptors(&after), descriptors(&first) + 20.0);
    program.stranger.kill(Signal::KILL);
    eventually("its end shows", || {
        sampler.sample().unwrap().is_none().then_some(())
    });
}
