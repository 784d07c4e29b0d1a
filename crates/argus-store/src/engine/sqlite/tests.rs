//! What only the SQLite engine promises: its tables, its file, and who may open it.

mod damage;
mod levels;
mod opening;
mod retention;
mod salvage;
mod stacks;
mod tables;
mod writing;
mod zones;

use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{open_reader, open_writer};
use crate::query::{Cell, Table};
use crate::{Batch, Sink, Store};

/// A store in a folder of its own, with the first batch committed.
struct Place {
    folder: TempDir,
    sink: Box<dyn Sink>,
}

impl Place {
    fn new(first: &Batch) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = open_writer(&folder.path().join("store.db")).unwrap();
        sink.commit(first).unwrap();
        Self { folder, sink }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn reader(&self) -> Box<dyn Store> {
        open_reader(&self.database()).unwrap()
    }

    /// A connection as another program would open it.
    fn foreign(&self) -> Connection {
        Connection::open(self.database()).unwrap()
    }

    fn query(&self, text: &str) -> Table {
        self.reader().query(text, 100).unwrap()
    }

    /// A query's answer as text, cells joined by `|`.
    fn lines(&self, text: &str) -> Vec<String> {
        let shown = |cell: &Cell| match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Int(number) => number.to_string(),
            Cell::Float(number) => format!("{number:?}"),
            Cell::Text(text) => text.clone(),
            Cell::Bytes(bytes) => format!("{bytes:?}"),
        };
        let rows = self.query(text).rows;
        rows.iter()
            .map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"))
            .collect()
    }
}
