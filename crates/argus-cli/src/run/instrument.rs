//! `--instrument`: has the Pythons of a run record the functions of modules that nobody decorated.
//!
//! They are asked by their environment, which their children inherit; the package that is installed
//! beside each of them takes notice (see `python/argus/_hook.py`). Where there is no such package,
//! nothing happens, and the user is told.

use std::ffi::OsString;

use argus_model::Timestamp;
use argus_model::paths::DataDir;
use argus_store::query::{ProcessFilter, TimeRange};

use super::tell;
use crate::instrumented;
use crate::open::open_store;

#[derive(Debug, clap::Args)]
pub(crate) struct InstrumentArgs {
    /// Record every function of these Python modules: `a.b`, `a.*` (the package and all below it), `*`
    /// (all but the standard library), `__main__` (the program itself); may be repeated
    #[arg(long, value_name = "MODULES")]
    instrument: Vec<String>,
    /// Leave out modules and functions with this text in their name; may be repeated
    #[arg(long, value_name = "TEXT", requires = "instrument")]
    instrument_exclude: Vec<String>,
}

impl InstrumentArgs {
    /// What the program's environment gets.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let lists = [
            ("ARGUS_INSTRUMENT", &self.instrument),
            ("ARGUS_INSTRUMENT_EXCLUDE", &self.instrument_exclude),
        ];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        given
            .map(|(name, list)| (name.into(), list.join(",").into()))
            .collect()
    }

    /// Tells the user when no process of this application has instrumented anything since `began`.
    pub(super) fn complain_if_nothing_was(&self, app_name: &str, began: Timestamp, data: &DataDir) {
        if self.instrument.is_empty() {
            return;
        }
        let of = ProcessFilter {
            time: TimeRange {
                from: Some(began),
                to: None,
            },
            app_name: Some(app_name.to_owned()),
            ..ProcessFilter::default()
        };
        let asked = open_store(data).and_then(|store| instrumented::has_begun(&*store, of));
        match asked {
            Ok(true) => {}
            Ok(false) => tell(&format!(
                "nothing was instrumented: no Python that has the argus package imported {}",
                self.instrument.join(" or ")
            )),
            Err(error) => tell(&format!("whether anything was instrumented: {error}")),
        }
    }
}
