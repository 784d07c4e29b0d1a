//! What processes move over TCP, against programs that know what they moved.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use argus_model::measure::{Measure, Measures};
use argus_observe::network::{Ends, Looked, Network, Traffic, Unseen};
use argus_observe::platform::monotonic_now;
use argus_observe::process::find_by_pid;
use rustix::process::Signal;

use crate::stranger::{Program, Stranger, as_nobody, eventually};

/// One side says how many bytes follow and how many it wants back; `talk` is over when all of them
/// have arrived.
const TALK: &str = "import socket, struct
def exactly(line, count):
    while count: count -= len(line.recv(min(count, 65536)))
def talk(line, there, back):
    line.sendall(struct.pack('>II', there, back) + b'x' * there)
    exactly(line, back)
def answer(line):
    while True:
        head = line.recv(8, socket.MSG_WAITALL)
        if len(head) < 8: return
        there, back = struct.unpack('>II', head)
        exactly(line, there)
        line.sendall(b'y' * back)
";
const HEAD: u64 = 8;

fn talk(line: &mut TcpStream, there: u32, back: u32) {
    let mut bytes = [there.to_be_bytes(), back.to_be_bytes()].concat();
    bytes.resize(HEAD as usize + there as usize, b'x');
    line.write_all(&bytes).unwrap();
    line.read_exact(&mut vec![0; back as usize]).unwrap();
}

fn answer(mut line: TcpStream) {
    let mut head = [0; HEAD as usize];
    while line.read_exact(&mut head).is_ok() {
        let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let (there, back) = (number(0), number(4));
        line.read_exact(&mut vec![0; there]).unwrap();
        line.write_all(&vec![b'y'; back]).unwrap();
    }
}

/// Answers whoever connects, for as long as the test runs; its port.
fn answering(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for line in listener.incoming() {
            std::thread::spawn(move || answer(line.unwrap()));
        }
    });
    port
}

fn program(text: &str) -> Program {
    Program::start(&format!("{TALK}{text}"))
}

/// Watches the program, and looks whenever it is asked to.
fn watch(program: &Program) -> Network {
    let mut network = Network::open(Duration::ZERO).unwrap();
    network.watch(&program.stranger.target()).unwrap();
    network
}

fn look(network: &mut Network, pid: u32) -> Traffic {
    network.look_at_once(monotonic_now()).unwrap();
    network.traffic(pid).unwrap()
}

fn traffic(received: u64, sent: u64) -> Traffic {
    Traffic { received, sent }
}

fn check_connections_that_stay(address: &str) {
    let port = answering(address);
    let program = program(&format!(
        "old = socket.create_connection(('{address}', {port}))\n\
         talk(old, 1000, 2000)\n\
         step()\n\
         talk(old, 300, 4_000_000)\n\
         new = socket.create_connection(('{address}', {port}))\n\
         talk(new, 5_000_000, 60)\n\
         step()\n\
         talk(new, 1, 0); talk(new, 0, 1)\n\
         step()\n"
    ));
    let pid = program.stranger.pid;
    let mut network = watch(&program);
    assert_eq!(
        look(&mut network, pid),
        traffic(0, 0),
        "before it was watched"
    );
    program.step();
    let (received, sent) = (4_000_060, 5_000_300 + 2 * HEAD);
    assert_eq!(look(&mut network, pid), traffic(received, sent));
    program.step();
    let after = traffic(received + 1, sent + 1 + 2 * HEAD);
    assert_eq!(look(&mut network, pid), after);
}

#[test]
fn connections_that_stay_are_counted_from_when_they_are_watched() {
    check_connections_that_stay("127.0.0.1");
}

#[test]
fn so_are_those_of_version_six() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no addresses of version 6");
        return;
    }
    check_connections_that_stay("::1");
}

#[test]
fn the_parts_of_a_multipath_connection_are_counted() {
    let port = answering("127.0.0.1");
    let program = program(&format!(
        "try:\n\
         \x20   line = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)\n\
         \x20   line.connect(('127.0.0.1', {port}))\n\
         except OSError: line = None\n\
         step()\n\
         if line: talk(line, 70_000, 80_000)\n\
         step()\n"
    ));
    let mut network = watch(&program);
    program.step();
    let told = look(&mut network, program.stranger.pid);
    if told == traffic(0, 0) {
        eprintln!("skipped: this kernel knows no multipath connections");
        return;
    }
    assert_eq!(told, traffic(80_000, 70_000 + HEAD));
}

#[test]
fn what_moved_between_the_last_look_and_the_end_is_counted() {
    let port = answering("127.0.0.1");
    let program = program(&format!(
        "line = socket.create_connection(('127.0.0.1', {port}))\n\
         step()\n\
         talk(line, 70_000, 80_000)\n\
         line.close()\n\
         step()\n"
    ));
    let mut network = watch(&program);
    program.step();
    let expected = traffic(80_000, 70_000 + HEAD);
    eventually("the end is told", || {
        let told = look(&mut network, program.stranger.pid);
        // The other side's end mark is a byte to the kernel, and it cannot be told.
        (told.sent == expected.sent && told.received.abs_diff(expected.received) <= 1).then_some(())
    });
    assert!(matches!(network.ends(), Ends::Told));
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A program that answers `count` connections one after the other, each on a port of both versions.
fn server(count: u32) -> (Program, u16) {
    let port = free_port();
    let program = program(&format!(
        "server = socket.create_server(('::', {port}), family=socket.AF_INET6, \
         dualstack_ipv6=True, backlog=500)\n\
         step()\n\
         for _ in range({count}):\n\
         \x20   line, _ = server.accept()\n\
         \x20   answer(line)\n\
         \x20   line.close()\n\
         step()\n"
    ));
    (program, port)
}

#[test]
fn connections_accepted_and_closed_between_two_looks_are_counted() {
    const COUNT: u32 = 200;
    let (program, port) = server(COUNT);
    let pid = program.stranger.pid;
    let mut network = watch(&program);
    look(&mut network, pid);
    program.stranger.kill(Signal::CONT);
    for _ in 0..COUNT {
        talk(
            &mut TcpStream::connect(("127.0.0.1", port)).unwrap(),
            300,
            5_000,
        );
    }
    program.has_stopped();
    let (received, sent) = (u64::from(COUNT) * (300 + HEAD), u64::from(COUNT) * 5_000);
    let told = eventually("all ends are told", || {
        let told = look(&mut network, pid);
        (told.sent == sent).then_some(told)
    });
    let end_marks = u64::from(COUNT);
    assert!(
        (received..=received + end_marks).contains(&told.received),
        "{told:?}"
    );
    assert!(matches!(network.ends(), Ends::Told));
}

#[test]
fn connections_made_and_closed_between_two_looks_are_nobodys() {
    let port = answering("127.0.0.1");
    let program = program(&format!(
        "step()\n\
         with socket.create_connection(('127.0.0.1', {port})) as line: talk(line, 90_000, 100_000)\n\
         step()\n"
    ));
    let mut network = watch(&program);
    look(&mut network, program.stranger.pid);
    program.step();
    eventually("its end is told", || {
        let told = look(&mut network, program.stranger.pid);
        assert_eq!(told, traffic(0, 0));
        // Tests beside this one have their nobodys, too.
        let nobodys = network.nobodys();
        (nobodys.sent >= 90_000 && nobodys.received >= 100_000).then_some(())
    });
}

#[test]
fn a_child_that_inherits_a_socket_takes_over_and_nothing_is_counted_twice() {
    let port = answering("127.0.0.1");
    let program = program(&format!(
        "line = socket.create_connection(('127.0.0.1', {port}))\n\
         parent = os.getpid()\n\
         child = os.fork()\n\
         if child == 0:\n\
         \x20   step()\n\
         \x20   talk(line, 100, 200)\n\
         \x20   step()\n\
         \x20   talk(line, 3_000, 4_000)\n\
         \x20   step()\n\
         step()\n\
         line.close()\n\
         step()\n"
    ));
    let children = format!("/proc/{0}/task/{0}/children", program.stranger.pid);
    let child: u32 = eventually("the child is there", || {
        std::fs::read_to_string(&children)
            .unwrap()
            .trim()
            .parse()
            .ok()
    });
    let child = find_by_pid(child).unwrap();
    let go_on = || {
        let pid = argus_observe::platform::raw_pid(child.pid).unwrap();
        Program::wait_until_stopped(child.pid);
        rustix::process::kill_process(pid, Signal::CONT).unwrap();
        Program::wait_until_stopped(child.pid);
    };
    let mut network = watch(&program);
    network.watch(&child).unwrap();
    go_on();
    assert_eq!(
        look(&mut network, program.stranger.pid),
        traffic(200, 100 + HEAD)
    );
    assert_eq!(network.traffic(child.pid), Some(traffic(0, 0)));
    program.step();
    go_on();
    assert_eq!(look(&mut network, child.pid), traffic(4_000, 3_000 + HEAD));
    let parents = network.traffic(program.stranger.pid);
    assert_eq!(parents, Some(traffic(200, 100 + HEAD)));
    let pid = argus_observe::platform::raw_pid(child.pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[test]
fn the_last_numbers_of_a_process_that_has_ended_are_complete() {
    let port = answering("127.0.0.1");
    let program = program(&format!(
        "line = socket.create_connection(('127.0.0.1', {port}))\n\
         step()\n\
         talk(line, 70_000, 80_000)\n"
    ));
    let pid = program.stranger.pid;
    let mut network = watch(&program);
    program.stranger.kill(Signal::CONT);
    eventually("it has ended", || find_by_pid(pid).is_err().then_some(()));
    eventually("its last bytes are told", || {
        let told = look(&mut network, pid);
        (told.sent == 70_000 + HEAD && told.received >= 80_000).then_some(())
    });
    network.leave(pid);
    assert_eq!(network.traffic(pid), None);
}

/// It serves one connection that was seen and one that never is, and ends at once: the kernel may tell
/// all of it after its end.
#[test]
fn what_a_server_moves_at_its_very_end_is_its_own() {
    for _ in 0..5 {
        let port = free_port();
        let program = program(&format!(
            "listener = socket.create_server(('127.0.0.1', {port}))\n\
             step()\n\
             line = listener.accept()[0]\n\
             step()\n\
             other = listener.accept()[0]\n\
             line.sendall(b'z' * 7_000)\n\
             other.sendall(b'z' * 90_000)\n\
             os._exit(0)\n"
        ));
        let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut lines = vec![connect()];
        program.step();
        let pid = program.stranger.pid;
        let mut network = watch(&program);
        look(&mut network, pid);
        program.stranger.kill(Signal::CONT);
        lines.push(connect());
        for line in &mut lines {
            std::io::copy(line, &mut std::io::sink()).unwrap();
        }
        drop(lines);
        eventually("it has ended", || find_by_pid(pid).is_err().then_some(()));
        look(&mut network, pid);
        let account = network.ended(pid).unwrap();
        assert_eq!(network.traffic(pid), None);
        eventually("all is told", || {
            network.hear_of_ends();
            network.is_settled(&account).then_some(())
        });
        assert_eq!(network.last_traffic(&account).sent, 97_000);
        network.close(account);
    }
}

#[test]
fn totals_and_rates_are_told_as_measures() {
    let port = answering("127.0.0.1");
    let program = program(&format!(
        "line = socket.create_connection(('127.0.0.1', {port}))\n\
         step()\n\
         talk(line, 992, 2_000)\n\
         step()\n"
    ));
    let pid = program.stranger.pid;
    let mut network = watch(&program);
    let before = monotonic_now();
    network.look_at_once(before).unwrap();
    program.step();
    let now = monotonic_now();
    assert_eq!(network.look(now).unwrap(), Looked::Now);
    let mut measures = Measures::NONE;
    network.tell(pid, &mut measures);
    let value = |measure| measures.get(measure).unwrap();
    assert_eq!(value(Measure::NetworkReceived), 2_000.0);
    assert_eq!(value(Measure::NetworkSent), 1_000.0);
    let seconds = now.since(before).as_secs_f64();
    assert!((value(Measure::NetworkReceiveRate) * seconds - 2_000.0).abs() < 1e-6);
    assert!((value(Measure::NetworkSendRate) * seconds - 1_000.0).abs() < 1e-6);
}

#[test]
fn a_look_before_its_time_is_none() {
    let mut network = Network::open(Duration::from_secs(3600)).unwrap();
    let now = monotonic_now();
    assert_eq!(network.look(now).unwrap(), Looked::Now);
    assert_eq!(network.look(now).unwrap(), Looked::NotYet);
}

#[test]
fn it_works_without_privileges_on_processes_of_ones_own() {
    as_nobody(|| check_connections_that_stay("127.0.0.1"));
}

#[test]
fn another_users_process_is_not_seen() {
    let stranger = Stranger::asleep();
    let foreign = if rustix::process::getuid().is_root() {
        stranger.target()
    } else {
        find_by_pid(1).unwrap()
    };
    let answer = as_nobody(move || {
        let mut network = Network::open(Duration::ZERO).unwrap();
        assert!(matches!(network.ends(), Ends::Told));
        network.watch(&foreign)
    });
    assert!(matches!(answer, Err(Unseen::NotPermitted(_))), "{answer:?}");
}

#[test]
fn a_process_in_another_network_namespace_is_not_seen() {
    let stranger = Stranger::run("exec unshare --net sleep 60");
    let asleep = eventually("it has begun or was refused", || {
        match find_by_pid(stranger.pid) {
            Ok(target) if target.process_name == "sleep" => Some(Some(target)),
            Ok(_) => None,
            Err(_) => Some(None),
        }
    });
    let Some(target) = asleep else {
        eprintln!("skipped: this user may not make network namespaces");
        return;
    };
    let answer = Network::open(Duration::ZERO).unwrap().watch(&target);
    assert!(
        matches!(answer, Err(Unseen::OtherNamespace(_))),
        "{answer:?}"
    );
}

#[test]
fn a_process_that_has_ended_is_not_watched() {
    let stranger = Stranger::asleep();
    let mut target = stranger.target();
    target.start_ticks += 1;
    let answer = Network::open(Duration::ZERO).unwrap().watch(&target);
    assert!(
        matches!(answer, Err(Unseen::NoSuchProcess(_))),
        "{answer:?}"
    );
}
