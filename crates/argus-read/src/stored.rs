//! What is read, by its own names: the part of `argus-store` that is meant for screens.
//!
//! Screens depend on this crate alone; what a store is written with stays out of their reach.

pub use argus_store::batch::{CollectorState, Hold, RunKey, Status};
pub use argus_store::query::{
    ProducerLedger, Store, StoredOpenSpan, StoredRun, StoredSample, StoredSpan, StoredStack,
};
pub use argus_store::{OpenError, ReadError};
