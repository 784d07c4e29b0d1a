//! What is known of each callsite of `tracing`: its name's definition and which of its fields matter.
//!
//! A callsite is a `static` of the program, so the address of its metadata tells it from all others.
//! It is looked up at every span, so there is no lock on the way: tables of cells that are filled once
//! and never emptied, each table four times as large as the one before, looked through one after the
//! other. A program has hundreds of callsites, which are in the first.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use argus_model::{NameKind, NameText};
use argus_spool::Definition;
use tracing_core::{Level, Metadata};

use crate::name::interned;
use crate::redact::Sensitive;

/// Callsites in the first table.
const FIRST: usize = 512;
/// How many neighbours of a full cell are tried before the next table is.
const NEIGHBOURS: usize = 8;
/// Of a callsite's number: the bits of its place in its table.
const TABLE_SHIFT: u32 = 26;
/// Fields that can be told by a bit.
const BITS: usize = u64::BITS as usize;

/// A callsite of spans or events.
#[derive(Debug)]
pub(super) struct Callsite {
    pub(super) metadata: &'static Metadata<'static>,
    /// Where it stands: a table's place among the tables, and its own in there.
    pub(super) number: u32,
    definition: OnceLock<&'static Definition>,
    /// By the index of a field: its values are masked.
    masked: u64,
    /// The field that holds the text of an event.
    pub(super) message: Option<usize>,
    /// The field that tells of an event why its span fails.
    pub(super) error: Option<usize>,
    /// A span of it was entered more than once: its busy time is worth measuring.
    entered_again: AtomicBool,
}

impl Callsite {
    fn new(number: u32, metadata: &'static Metadata<'static>, sensitive: &Sensitive) -> Self {
        let fields = metadata.fields();
        let position = |name: &str| fields.iter().position(|field| field.name() == name);
        let masked = fields
            .iter()
            .take(BITS)
            .filter(|field| sensitive.covers(field.name()))
            .fold(0, |masked, field| masked | 1 << field.index());
        let error = position("error").or_else(|| position("err"));
        // What `#[instrument(err(level = …))]` emits: the error and nothing else.
        let is_failure = *metadata.level() == Level::ERROR || fields.len() == 1;
        Self {
            metadata,
            number,
            definition: OnceLock::new(),
            masked,
            message: position("message"),
            error: error.filter(|_| is_failure),
            entered_again: AtomicBool::new(false),
        }
    }

    /// The definition of the spans' name. Their fields are its parameters, by the same index.
    #[inline]
    pub(super) fn definition(&self) -> &'static Definition {
        self.definition.get_or_init(|| {
            let metadata = self.metadata;
            let fields = metadata.fields().iter();
            interned(&NameText {
                kind: NameKind::Span,
                text: metadata.name().to_owned(),
                group: Some(metadata.target().to_owned()),
                file: metadata.file().map(str::to_owned),
                line: metadata.line().unwrap_or(0),
                parameters: fields.map(|field| field.name().to_owned()).collect(),
            })
        })
    }

    /// Whether values of the field with this index are masked. Those that no bit can tell are.
    #[inline]
    pub(super) fn masks(&self, index: usize) -> bool {
        index >= BITS || self.masked >> index & 1 != 0
    }

    /// Whether spans of it are timed from their first entry on.
    #[inline]
    pub(super) fn is_entered_again(&self) -> bool {
        self.entered_again.load(Ordering::Relaxed)
    }

    pub(super) fn note_entered_again(&self) {
        self.entered_again.store(true, Ordering::Relaxed);
    }
}

/// The callsites that one recorder has met.
#[derive(Debug)]
pub(super) struct Callsites {
    sensitive: Sensitive,
    first: Table,
}

#[derive(Debug)]
struct Table {
    cells: Box<[OnceLock<Callsite>]>,
    next: OnceLock<Box<Table>>,
}

impl Callsites {
    pub(super) fn new(sensitive: Sensitive) -> Self {
        Self {
            sensitive,
            first: Table::new(FIRST),
        }
    }

    /// What is known of this callsite.
    #[inline]
    pub(super) fn of(&self, metadata: &'static Metadata<'static>) -> &Callsite {
        let address = std::ptr::from_ref(metadata).addr();
        let mut table = &self.first;
        let mut tables_before = 0;
        loop {
            for index in table.indices(address) {
                let cell = &table.cells[index];
                let callsite = cell.get_or_init(|| {
                    let number = tables_before << TABLE_SHIFT | index as u32;
                    Callsite::new(number, metadata, &self.sensitive)
                });
                if std::ptr::eq(callsite.metadata, metadata) {
                    return callsite;
                }
            }
            table = table.next();
            tables_before += 1;
        }
    }

    /// The callsite with this number.
    pub(super) fn numbered(&self, number: u32) -> Option<&Callsite> {
        let mut table = &self.first;
        for _ in 0..number >> TABLE_SHIFT {
            table = table.next.get()?;
        }
        let index = number & ((1 << TABLE_SHIFT) - 1);
        table.cells.get(index as usize)?.get()
    }
}

impl Table {
    fn new(cells: usize) -> Self {
        Self {
            cells: (0..cells).map(|_| OnceLock::new()).collect(),
            next: OnceLock::new(),
        }
    }

    /// Where a callsite may stand. Metadata is larger than 128 bytes: lower bits tell little.
    #[inline]
    fn indices(&self, address: usize) -> impl Iterator<Item = usize> + use<> {
        let mask = self.cells.len() - 1;
        let spread = (address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        (0..NEIGHBOURS).map(move |step| (spread + step) & mask)
    }

    #[cold]
    fn next(&self) -> &Self {
        self.next
            .get_or_init(|| Box::new(Self::new(4 * self.cells.len())))
    }
}
