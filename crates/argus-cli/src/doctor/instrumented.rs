//! `argus doctor --instrumented`: what Python code could not be instrumented, and why.

use anyhow::Result;
use argus_model::paths::DataDir;
use argus_tui::sanitize;

use crate::exit::Exit;
use crate::instrumented::{LeftOut, left_out};
use crate::open::{open_store, store_if_any};
use crate::output::{self, Format};

/// Names beyond this many lines back are long past.
const LINES: usize = 5_000;

/// Prints the list.
pub(super) fn list(format: Format, data: &DataDir) -> Result<Exit> {
    let names = match store_if_any(data)? {
        Some(_) => left_out(&*open_store(data)?, LINES)?,
        None => Vec::new(),
    };
    match format {
        Format::Json => output::document(&names)?,
        Format::Human if names.is_empty() => {
            output::line("Nothing that was to be instrumented was left out.")?;
        }
        Format::Human => {
            for name in &names {
                output::line(&text(name))?;
            }
        }
    }
    Ok(Exit::Fine)
}

fn text(left_out: &LeftOut) -> String {
    let LeftOut {
        app_name,
        name,
        reason,
    } = left_out;
    sanitize(&format!("{name} ({app_name}): {reason}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_with_its_program_and_the_reason() {
        let left_out = LeftOut {
            app_name: "prices".into(),
            name: "pkg._fast".into(),
            reason: "no source\u{1b}[31m".into(),
        };
        assert!(text(&left_out).starts_with("pkg._fast (prices): no source"));
        assert!(!text(&left_out).contains('\u{1b}'));
    }
}
