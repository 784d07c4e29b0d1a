//! Servers: nginx, Redis, PostgreSQL, Node, a JVM, Python.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::postgres::{self, Answered};
use super::traffic::{Connection, Moved, free_port, until_it_listens};
use super::{Ends, Watched, installed};
use crate::bed::{Bed, until};
use crate::nobody::Nobody;
use crate::rounds;

/// A server, and how one talks to it.
struct Server<'a> {
    name: &'a str,
    bed: Bed,
    command: Command,
    port: u16,
    /// How many processes it has before anybody connects.
    processes: i64,
    /// Greets, in the protocols that need it, and asks so many times.
    talk: fn(&mut Connection, u32),
    /// What is sent before one hangs up.
    farewell: &'static [u8],
    /// How long the shortest connections stay. Where each has a process of its own, gaze promises to
    /// see it when it lives for fifty milliseconds.
    stays: Duration,
    /// Asks it to end.
    signal: Signal,
}

/// Connections that are open at the same time, and those that come and go one after the other.
const KEPT: u32 = 8;
const BRIEF: u32 = 50;

/// Loads a server, compares both sides' totals, and ends it.
///
/// While connections are open both sides must agree to the byte. When one ends, the kernel counts the
/// end mark among the bytes received; gaze takes it off where it has seen the connection closing, so
/// that afterwards each may have left one byte more.
fn serve(server: Server<'_>) -> Ends {
    let Server { name, port, .. } = server;
    let mut command = server.command;
    command.stdout(Stdio::null());
    let watched = Watched::start(server.bed, &mut command, || until_it_listens(port));
    until("all its processes are watched", || {
        watched.processes() >= server.processes
    });
    let open = |requests| {
        let mut connection = Connection::open(port);
        (server.talk)(&mut connection, requests);
        connection
    };
    let kept: Vec<Connection> = (0..KEPT).map(|_| open(load())).collect();
    let mut client = Moved::default();
    kept.iter()
        .for_each(|connection| client.add(connection.moved));
    let expected = client.other_side();
    // The connection that found the server listening may end as late as under watch.
    let fits = |seen: Moved| {
        let received = expected.received..=expected.received + 1;
        seen.sent == expected.sent && received.contains(&seen.received)
    };
    let seen = settled(&watched, fits);
    println!("programs, {name}, while connected: clients {client:?}, gaze {seen:?}");
    assert!(
        fits(seen),
        "{name}, while connected: {seen:?}, expected {expected:?}"
    );

    let brief = (0..BRIEF).map(|_| open(1));
    client = Moved::default();
    for mut connection in brief.chain(kept) {
        std::thread::sleep(server.stays);
        connection.send(server.farewell);
        client.add(connection.close());
    }
    let expected = client.other_side();
    let most = expected.received + u64::from(KEPT + BRIEF);
    let fits = |seen: Moved| {
        seen.sent == expected.sent && (expected.received..=most).contains(&seen.received)
    };
    let seen = settled(&watched, fits);
    println!("programs, {name}, afterwards: clients {client:?}, gaze {seen:?}");
    assert!(
        fits(seen),
        "{name}, afterwards: {seen:?}, expected {expected:?}"
    );
    let ends = watched.end(server.signal);
    println!("programs, {name}: {ends:?}");
    ends
}

/// What gaze says that the server has moved, once it fits, or after a while.
fn settled(watched: &Watched, fits: impl Fn(Moved) -> bool) -> Moved {
    const LONG_ENOUGH: Duration = Duration::from_secs(20);
    let deadline = Instant::now() + LONG_ENOUGH;
    loop {
        let seen = Moved {
            sent: watched.total("network_sent_bytes"),
            received: watched.total("network_received_bytes"),
        };
        if fits(seen) || Instant::now() > deadline {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How often each of the kept ones asks.
fn load() -> u32 {
    rounds(50)
}

fn ask_for_pages(connection: &mut Connection, requests: u32) {
    (0..requests).for_each(|_| connection.request("/"));
}

#[test]
fn nginx_moves_what_its_clients_do() {
    let Some(nginx) = installed("nginx", true) else {
        return;
    };
    let (bed, port) = (Bed::new(), free_port());
    let folder = bed.path("nginx");
    std::fs::create_dir(&folder).unwrap();
    let configuration = bed.path("nginx.conf");
    std::fs::write(&configuration, nginx_conf(&folder, port)).unwrap();
    let mut command = Command::new(nginx);
    command.arg("-e").arg(folder.join("error.log"));
    command.arg("-c").arg(&configuration).arg("-p").arg(&folder);
    let ends = serve(Server {
        name: "nginx",
        bed,
        command,
        port,
        processes: 3,
        talk: ask_for_pages,
        farewell: b"",
        stays: Duration::ZERO,
        signal: Signal::QUIT,
    });
    assert_eq!(
        (ends.processes, ends.children),
        (3, 2),
        "a master, two workers"
    );
    assert_eq!((ends.fine, ends.unknown), (3, 0));
}

fn nginx_conf(folder: &Path, port: u16) -> String {
    let page = "x".repeat(3_000);
    let folder = folder.display();
    format!(
        "daemon off; worker_processes 2; pid {folder}/pid;
         events {{ worker_connections 64; }}
         http {{
            access_log off;
            keepalive_requests 1000000;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"{page}\"; }} }}
         }}"
    )
}

#[test]
fn redis_moves_what_its_clients_do() {
    let Some(redis) = installed("redis-server", true) else {
        return;
    };
    let (bed, port) = (Bed::new(), free_port());
    let mut command = Command::new(redis);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--dir", bed.path("").to_str().unwrap()]);
    let ends = serve(Server {
        name: "redis",
        bed,
        command,
        port,
        processes: 1,
        talk: set_and_get,
        farewell: b"",
        stays: Duration::ZERO,
        signal: Signal::TERM,
    });
    assert_eq!((ends.processes, ends.fine), (1, 1));
}

fn set_and_get(connection: &mut Connection, requests: u32) {
    let value = "v".repeat(1_000);
    for number in 0..requests {
        connection.send(format!("SET key:{number} {value}\r\n").as_bytes());
        assert_eq!(connection.receive_line(), "+OK\r\n");
        connection.send(format!("GET key:{number}\r\n").as_bytes());
        assert_eq!(connection.receive_line(), "$1000\r\n");
        connection.receive(1_002);
    }
}

#[test]
fn postgresql_moves_what_its_clients_do() {
    let Some(ends) = postgresql(Duration::from_millis(60)) else {
        return;
    };
    assert!(
        ends.children >= 5 + i64::from(KEPT),
        "its workers and a backend a client: {ends:?}"
    );
    assert_eq!(ends.unknown, 0, "{ends:?}");
}

/// Not every such client's process is seen, but what it moves is somebody's.
#[test]
fn postgresql_moves_what_clients_of_a_moment_do() {
    let ends = postgresql(Duration::ZERO);
    assert!(ends.is_none_or(|ends| ends.children >= 5 + i64::from(KEPT)));
}

fn postgresql(stays: Duration) -> Option<Ends> {
    // It does not run as root.
    let (bed, nobody, port) = (Bed::new(), Nobody::new(), free_port());
    let mut command = postgres::command(&nobody, port)?;
    command.stderr(Stdio::null());
    Some(serve(Server {
        name: "postgresql",
        bed,
        command,
        port,
        processes: 5,
        talk: query,
        farewell: postgres::FAREWELL,
        stays,
        signal: Signal::INT,
    }))
}

fn query(connection: &mut Connection, queries: u32) {
    postgres::greet(connection);
    for _ in 0..queries {
        let answered = postgres::ask(connection, "SELECT repeat('x', 3000)");
        assert_eq!(answered, Answered::Well);
    }
}

const NODE: &str = "
const http = require('http');
const server = http.createServer((_, answer) => answer.end('x'.repeat(3000)));
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
";

#[test]
fn node_moves_what_its_clients_do() {
    script("node", "server.js", NODE, false);
}

const PYTHON: &str = "
import http.server, signal, sys
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    wbufsize = -1  # head and body in one go, or the client's system waits before it acknowledges
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '3000')
        self.end_headers()
        self.wfile.write(b'x' * 3000)
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Page).serve_forever()
";

#[test]
fn python_moves_what_its_clients_do() {
    script("python3", "server.py", PYTHON, true);
}

const LAST_ANSWER: &str = "
import os, socket, sys
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
listener.accept()[0].close()  # whoever waits until it listens
line = listener.accept()[0]
line.recv(1)
line.sendall(b'x' * 90_000)
os._exit(0)
";

/// All of it moves between two looks, and the kernel may tell of it after the server's end.
#[test]
fn a_server_that_ends_with_its_answer_has_moved_it() {
    let Some(python) = installed("python3", true) else {
        return;
    };
    for _ in 0..5 {
        let (bed, port) = (Bed::new(), free_port());
        let file = bed.path("server.py");
        std::fs::write(&file, LAST_ANSWER).unwrap();
        let mut command = Command::new(&python);
        command.arg(&file).arg(port.to_string());
        let mut watched = Watched::start(bed, &mut command, || until_it_listens(port));
        let mut connection = Connection::open(port);
        connection.send(b"?");
        connection.receive(90_000);
        watched.program.0.wait().unwrap();
        assert!(watched.gaze.0.wait().unwrap().success());
        let is_all = |seen: Moved| seen.sent == 90_000 && (1..=2).contains(&seen.received);
        let seen = settled(&watched, is_all);
        println!("programs, the last answer of a server: 90000 bytes, gaze {seen:?}");
        assert!(is_all(seen), "{seen:?}");
    }
}

const JAVA: &str = "
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
public class Server {
    public static void main(String[] words) throws Exception {
        byte[] page = new byte[3000];
        var address = new InetSocketAddress(\"127.0.0.1\", Integer.parseInt(words[0]));
        var server = HttpServer.create(address, 0);
        server.createContext(\"/\", exchange -> {
            exchange.sendResponseHeaders(200, page.length);
            try (var body = exchange.getResponseBody()) { body.write(page); }
        });
        server.setExecutor(java.util.concurrent.Executors.newFixedThreadPool(4));
        server.start();
    }
}
";

#[test]
fn a_jvm_moves_what_its_clients_do() {
    script("java", "Server.java", JAVA, false);
}

/// A server in a file that its interpreter runs; the port is its one argument.
fn script(interpreter: &str, name: &str, text: &str, is_in_ci: bool) {
    let Some(interpreter_path) = installed(interpreter, is_in_ci) else {
        return;
    };
    let (bed, port) = (Bed::new(), free_port());
    let file = bed.path(name);
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(interpreter_path);
    if interpreter == "java" {
        command.arg("-Dsun.net.httpserver.nodelay=true");
    }
    command.arg(&file).arg(port.to_string());
    let ends = serve(Server {
        name: interpreter,
        bed,
        command,
        port,
        processes: 1,
        talk: ask_for_pages,
        farewell: b"",
        stays: Duration::ZERO,
        signal: Signal::TERM,
    });
    assert_eq!((ends.processes, ends.unknown), (1, 0), "{ends:?}");
}
