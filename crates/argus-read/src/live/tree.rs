//! Open spans as a tree, kept flat.
//!
//! A thread's spans stand in preorder, each with its depth and the number of spans below it. A
//! screen skips a folded subtree by one addition and formats only the rows it shows; a stack of ten
//! thousand frames needs no recursion, neither to build nor to drop.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use argus_model::{SpanKey, Timestamp};
use argus_store::query::StoredOpenSpan;

/// A thread with open spans.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveThread {
    /// Kernel thread id, 0 when unknown.
    pub tid: u32,
    /// Its name, empty when unknown.
    pub name: String,
    /// Its open spans in preorder: every span is followed by what runs inside it.
    pub spans: Vec<LiveSpan>,
}

/// An open span and its place in its thread.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSpan {
    /// The span.
    pub span: StoredOpenSpan,
    /// 0 for one that has no open parent in its thread.
    pub depth: usize,
    /// Spans inside it, at any depth: as many of those that follow belong to it.
    pub descendants: usize,
}

impl LiveSpan {
    /// How long it has been open.
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        now.since(self.span.started_at)
    }
}

/// Sorts a process's spans into threads and these into trees.
pub(crate) fn threads(pid: u32, spans: Vec<StoredOpenSpan>) -> Vec<LiveThread> {
    let mut groups: BTreeMap<(u32, String), Vec<StoredOpenSpan>> = BTreeMap::new();
    for span in spans {
        // A thread can change its name while a span is open; its id tells it apart, if known.
        let name = match span.tid {
            0 => span.thread.clone(),
            _ => String::new(),
        };
        groups.entry((span.tid, name)).or_default().push(span);
    }
    let mut threads: Vec<_> = groups
        .into_iter()
        .map(|((tid, _), spans)| LiveThread {
            tid,
            name: spans
                .last()
                .map(|span| span.thread.clone())
                .unwrap_or_default(),
            spans: preorder(spans),
        })
        .collect();
    threads.sort_by_key(|thread| thread.tid != pid);
    threads
}

/// Puts a thread's spans into preorder; siblings by their start.
fn preorder(mut spans: Vec<StoredOpenSpan>) -> Vec<LiveSpan> {
    spans.sort_by_key(|span| (span.started_at, span.key.number));
    let places: HashMap<SpanKey, usize> = spans
        .iter()
        .enumerate()
        .map(|(place, span)| (span.key, place))
        .collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut roots = Vec::new();
    for (place, span) in spans.iter().enumerate() {
        let parent = SpanKey {
            producer: span.key.producer,
            number: span.parent,
        };
        match places.get(&parent) {
            Some(&parent) if parent != place => children[parent].push(place),
            _ => roots.push(place),
        }
    }
    // Damaged parents can form a ring that no root leads to: whatever was not reached in this walk
    // is started from as well, so that no span is hidden.
    let starts = roots.into_iter().chain(0..spans.len());
    let order = walk(starts, &children);
    let descendants = descendants(&order);
    let mut slots: Vec<Option<StoredOpenSpan>> = spans.into_iter().map(Some).collect();
    order
        .into_iter()
        .zip(descendants)
        .filter_map(|((place, depth), descendants)| {
            Some(LiveSpan {
                span: slots[place].take()?,
                depth,
                descendants,
            })
        })
        .collect()
}

/// How many of those that follow each entry of a preorder are deeper, up to the first that is not.
fn descendants(order: &[(usize, usize)]) -> Vec<usize> {
    let mut counts = vec![0; order.len()];
    let mut ancestors: Vec<usize> = Vec::new();
    for (index, &(_, depth)) in order.iter().enumerate() {
        while let Some(last) = ancestors.pop_if(|last| order[*last].1 >= depth) {
            counts[last] = index - last - 1;
        }
        ancestors.push(index);
    }
    for last in ancestors {
        counts[last] = order.len() - last - 1;
    }
    counts
}

/// Visits every place once, parents before children: places with their depth.
fn walk(starts: impl Iterator<Item = usize>, children: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let mut order = Vec::with_capacity(children.len());
    let mut reached = vec![false; children.len()];
    let mut waiting = Vec::new();
    for start in starts {
        waiting.push((start, 0));
        while let Some((place, depth)) = waiting.pop() {
            if std::mem::replace(&mut reached[place], true) {
                continue;
            }
            order.push((place, depth));
            waiting.extend(
                children[place]
                    .iter()
                    .rev()
                    .map(|&child| (child, depth + 1)),
            );
        }
    }
    order
}
