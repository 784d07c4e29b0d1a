//! Which life of a program this is.

use std::sync::atomic::Ordering;

use crate::fork::page;

/// Tells this process from the one it was forked from. Zero until something was recorded; then never
/// the number of a parent or a child. Two loads.
///
/// Who keeps a [`SpanNumber`](argus_model::SpanNumber) keeps this beside it: in a forked child the span belongs to the parent
/// and must be neither ended nor named as a parent.
#[inline]
pub fn life() -> usize {
    // Whoever finds an earlier life's number looks at its record, see `remote`.
    page().map_or(0, |page| {
        page.process.load(Ordering::Relaxed).expose_provenance()
    })
}
