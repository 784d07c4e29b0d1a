//! The README's table of numbers: every figure that has a target, from `bench/results`.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};

use super::figures::Report;
use super::{BENCHES, figures};
use crate::workspace::Workspace;

const README: &str = "README.md";
const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";

/// Writes the table anew.
pub(super) fn write(workspace: &Workspace) -> Result<()> {
    let path = workspace.path(README);
    let readme = std::fs::read_to_string(&path).context("cannot read README.md")?;
    let current = replaced(&readme, &render(&reports(workspace)?))?;
    if current != readme {
        std::fs::write(&path, current).context("cannot write README.md")?;
    }
    Ok(())
}

fn reports(workspace: &Workspace) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for bench in &BENCHES {
        reports.extend(Report::read(workspace, bench.name)?);
    }
    Ok(reports)
}

fn render(reports: &[Report]) -> String {
    let mut text = String::new();
    if !reports.is_empty() {
        text.push_str("| what | figure | target | |\n|---|---:|---:|---|\n");
    }
    for figure in reports.iter().flat_map(|report| &report.findings.figures) {
        if figure.target.is_some() {
            let _ = writeln!(text, "{}", figure.row());
        }
    }
    for report in reports {
        let bench = &report.bench;
        let machine = report.machine.markdown();
        let _ = write!(text, "\n[{bench}]({}/{bench}.md): ", figures::RESULTS);
        let _ = writeln!(text, "{machine}");
    }
    text
}

/// The README with `table` between its markers.
fn replaced(readme: &str, table: &str) -> Result<String> {
    let Some((before, rest)) = readme.split_once(BEGIN) else {
        bail!("README.md has no line {}", BEGIN.trim_end());
    };
    let Some((_, after)) = rest.split_once(END) else {
        bail!("README.md has no line {END}");
    };
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_table_is_that_of_the_results() {
        let workspace = Workspace::find().unwrap();
        let readme = std::fs::read_to_string(workspace.path(README)).unwrap();
        let current = replaced(&readme, &render(&reports(&workspace).unwrap())).unwrap();
        assert_eq!(readme, current, "stale; run: cargo xtask bench table");
    }

    #[test]
    fn the_markdown_beside_a_result_is_made_from_it() {
        let workspace = Workspace::find().unwrap();
        for report in reports(&workspace).unwrap() {
            let path = workspace.path(&format!("{}/{}.md", figures::RESULTS, report.bench));
            let text = std::fs::read_to_string(path).unwrap();
            assert_eq!(text, report.markdown(), "{}", report.bench);
        }
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let readme = format!("a\n{BEGIN}old\n{END}\nb\n");
        let expected = format!("a\n{BEGIN}new\n{END}\nb\n");
        assert_eq!(replaced(&readme, "new\n").unwrap(), expected);
    }

    #[test]
    fn a_readme_without_markers_is_refused() {
        let error = replaced("text", "").unwrap_err().to_string();
        assert_eq!(error, "README.md has no line <!-- bench:begin -->");
    }
}
