//! PostgreSQL, and how one talks to it: its protocol's third version.

use std::process::{Command, Stdio};

use super::installed;
use super::traffic::Connection;
use crate::nobody::Nobody;

/// What is sent before one hangs up.
pub(crate) const FAREWELL: &[u8] = b"X\0\0\0\x04";

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Well,
    WithAnError,
}

/// A server with a new database in this user's folder; nothing where it is not installed.
pub(crate) fn command(nobody: &Nobody, port: u16) -> Option<Command> {
    let postgres = installed("postgres", false)?;
    let data = nobody.path("data");
    let mut initdb = nobody.command("initdb");
    initdb.args(["--auth=trust", "--username=argus", "--no-sync", "-D"]);
    let made = initdb.arg(&data).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    let mut command = nobody.command(postgres);
    command.arg("-D").arg(&data);
    command.args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
    Some(command)
}

/// Begins a session.
pub(crate) fn greet(connection: &mut Connection) {
    let parameters = b"user\0argus\0database\0postgres\0\0";
    let mut hello = (8 + parameters.len() as u32).to_be_bytes().to_vec();
    hello.extend(196_608_u32.to_be_bytes());
    hello.extend(parameters);
    connection.send(&hello);
    assert_eq!(until_ready(connection), Answered::Well);
}

/// Asks, and waits for all of the answer.
pub(crate) fn ask(connection: &mut Connection, query: &str) -> Answered {
    let length = 4 + query.len() as u32 + 1;
    let mut message = vec![b'Q'];
    message.extend(length.to_be_bytes());
    message.extend(query.as_bytes());
    message.push(0);
    connection.send(&message);
    until_ready(connection)
}

fn until_ready(connection: &mut Connection) -> Answered {
    let mut answered = Answered::Well;
    loop {
        let head = connection.receive(5);
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        connection.receive(length as usize - 4);
        match head[0] {
            b'E' => answered = Answered::WithAnError,
            b'Z' => return answered,
            _ => {}
        }
    }
}
