//! What a program calls.

use argus_model::codec::{Encoder, Full, Small};
use argus_model::record::{OutcomeHead, span_end_head, span_start_head};
use argus_model::{Kind, Monotonic, Record, SpanNumber};

use crate::definition::Definition;
use crate::fork::page;
use crate::monotonic_now;
use crate::remote;
use crate::thread::{Current, Refused, Thread};

/// Which part of the disk budget a record may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Up to nine tenths.
    Normal,
    /// All of it.
    Error,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It survives any death of this process.
    Accepted,
    /// There was no room; it is counted.
    Lost,
    /// Recording is off.
    Disabled,
}

/// What became of a record that can be offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It survives any death of this process.
    Accepted,
    /// There is no room for it now. It is not counted: who reads a file stops reading instead.
    NoRoom,
    /// It can never fit; it is counted.
    Lost,
    /// Recording is off.
    Disabled,
}

impl Appended {
    /// The number of a span whose start this became.
    #[inline]
    fn number(self, number: SpanNumber) -> SpanNumber {
        match self {
            Self::Accepted => number,
            Self::Lost | Self::Disabled => SpanNumber::NONE,
        }
    }
}

impl Thread {
    /// Appends a record of any kind, stamped by the `Monotonic` that `body` is given.
    ///
    /// `definitions` are the names and subjects that the record refers to. `body` writes the payload;
    /// it may be called again when a chunk is full, and must run no foreign code.
    #[inline]
    pub fn append(
        self,
        kind: Kind,
        weight: Weight,
        definitions: &[&Definition],
        body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
    ) -> Appended {
        self.write(|pen| pen.append(kind, weight, definitions, body))
            .unwrap_or_else(|refused| lose(refused, weight))
    }

    /// Opens a span now, at this place. `fields` writes its arguments as key-value pairs.
    ///
    /// The answer is [`SpanNumber::NONE`] when nothing was recorded.
    #[inline]
    pub fn span_start(
        self,
        name: &'static Definition,
        at: Current,
        fields: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
    ) -> SpanNumber {
        self.open_span(name, at, None, fields)
    }

    /// [`Thread::span_start`] with fields that are at hand: the least that a span can cost.
    #[inline]
    pub fn span_start_small(
        self,
        name: &'static Definition,
        at: Current,
        fields: &Small,
    ) -> SpanNumber {
        let parent = at.number();
        let written = self.write(|pen| {
            let number = pen.span_number(parent);
            let appended = pen.append_small(Kind::SpanStart, Some(name), fields, |now| {
                span_start_head(name.number(), number, parent, now)
            });
            appended.number(number)
        });
        let number = written.unwrap_or_else(|refused| {
            lose(refused, Weight::Normal);
            SpanNumber::NONE
        });
        if at.is_remote() {
            self.tell_remote_parent(at, number);
        }
        number
    }

    /// Records the start of a span that `began` earlier, once it turned out to be worth recording. It
    /// is told because of an error, and has the errors' reserve.
    pub fn span_start_at(
        self,
        name: &'static Definition,
        at: Current,
        began: Monotonic,
        fields: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
    ) -> SpanNumber {
        self.open_span(name, at, Some(began), fields)
    }

    #[inline]
    fn open_span(
        self,
        name: &'static Definition,
        at: Current,
        began: Option<Monotonic>,
        mut fields: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
    ) -> SpanNumber {
        let parent = at.number();
        let weight = match began {
            None => Weight::Normal,
            Some(_) => Weight::Error,
        };
        let written = self.write(|pen| {
            let number = pen.span_number(parent);
            let appended = pen.append(Kind::SpanStart, weight, &[name], |out, now| {
                let began = began.unwrap_or(now);
                span_start_head(name.number(), number, parent, began).encode(out)?;
                fields(out)
            });
            appended.number(number)
        });
        let number = written.unwrap_or_else(|refused| {
            lose(refused, weight);
            SpanNumber::NONE
        });
        if at.is_remote() {
            self.tell_remote_parent(at, number);
        }
        number
    }

    /// Records that a span's parent is in another program.
    #[cold]
    fn tell_remote_parent(self, at: Current, number: SpanNumber) {
        let context = remote::recall(at.root());
        let Some(context) = context.filter(|_| !number.is_none()) else {
            return;
        };
        let record = Record::RemoteParent {
            number,
            trace: context.trace.to_be_bytes(),
            parent: context.span,
        };
        self.append(record.kind(), Weight::Normal, &[], |out, _| {
            record.encode(out)
        });
    }

    /// Ends a span now. `body` writes what `head` announces, in the order result value, exception
    /// text, fields of local variables.
    ///
    /// The end of a span whose start was not recorded is counted as lost, unless recording is off.
    #[inline]
    pub fn span_end(
        self,
        number: SpanNumber,
        head: OutcomeHead,
        weight: Weight,
        mut body: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
    ) -> Appended {
        let written = self.write(|pen| {
            if number.is_none() {
                return pen.lose(weight);
            }
            pen.append(Kind::SpanEnd, weight, &[], |out, at| {
                span_end_head(head, number, at).encode(out)?;
                body(out)
            })
        });
        written.unwrap_or_else(|refused| lose(refused, weight))
    }

    /// [`Thread::span_end`] of a span that did not fail, with a result that is at hand.
    #[inline]
    pub fn span_end_small(self, number: SpanNumber, head: OutcomeHead, result: &Small) -> Appended {
        let written = self.write(|pen| {
            if number.is_none() {
                return pen.lose(Weight::Normal);
            }
            pen.append_small(Kind::SpanEnd, None, result, |at| {
                span_end_head(head, number, at)
            })
        });
        written.unwrap_or_else(|refused| lose(refused, Weight::Normal))
    }
}

/// Counts a record that no pen could take.
#[cold]
fn lose(refused: Refused, weight: Weight) -> Appended {
    let Refused::Lost(reason) = refused else {
        return Appended::Disabled;
    };
    if let Some(page) = page() {
        page.lose(weight, reason, monotonic_now());
    }
    Appended::Lost
}

/// [`append`] for records whose order over all threads of the process matters: they share one chunk.
/// Takes a lock that is held for the time of such a call.
pub fn append_in_order(
    kind: Kind,
    weight: Weight,
    body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
) -> Appended {
    Thread::mine()
        .write_shared(|pen| pen.append(kind, weight, &[], body))
        .unwrap_or_else(|refused| lose(refused, weight))
}

/// [`Thread::append`] for the calling thread.
#[inline]
pub fn append(
    kind: Kind,
    weight: Weight,
    definitions: &[&Definition],
    body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
) -> Appended {
    Thread::mine().append(kind, weight, definitions, body)
}

/// Appends a record of the calling thread if there is room for it.
pub fn offer(
    kind: Kind,
    definitions: &[&Definition],
    body: impl FnMut(&mut Encoder<'_>, Monotonic) -> Result<(), Full>,
) -> Offered {
    let offered = Thread::mine().write(|pen| pen.offer(kind, definitions, body));
    offered.unwrap_or_else(|refused| match refused {
        Refused::Disabled => Offered::Disabled,
        Refused::Lost(_) => Offered::NoRoom,
    })
}

/// [`Thread::span_start`] for the calling thread.
#[inline]
pub fn span_start(
    name: &'static Definition,
    at: Current,
    fields: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
) -> SpanNumber {
    Thread::mine().span_start(name, at, fields)
}

/// [`Thread::span_end`] for the calling thread.
#[inline]
pub fn span_end(
    number: SpanNumber,
    head: OutcomeHead,
    weight: Weight,
    body: impl FnMut(&mut Encoder<'_>) -> Result<(), Full>,
) -> Appended {
    Thread::mine().span_end(number, head, weight, body)
}
