//! Which Argus this is, what else is installed, and what the environment changes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};

use super::finding::{Finding, Section};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All checks of this section.
pub(super) fn check() -> Section {
    let this = std::env::current_exe().unwrap_or_default();
    let mut findings = vec![
        Finding::ok("this", format!("argus {VERSION}, {}", this.display())),
        on_path(&this),
        package(&this),
    ];
    findings.extend(environment(std::env::vars_os()));
    Section::new("Installation", findings)
}

/// The `argus` that programs find when they start a collector.
fn on_path(this: &Path) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("argus"))
        .find(|file| file.is_file() && is_executable(file));
    let Some(found) = found else {
        return Finding::off(
            "on PATH",
            "no argus: programs in Rust start a collector only when ARGUS_BIN names it",
            format!("export ARGUS_BIN={}", this.display()),
        );
    };
    if is_same_file(&found, this) {
        return Finding::ok("on PATH", format!("{}, this one", found.display()));
    }
    match version_of(&found).as_deref() {
        Some(VERSION) => Finding::ok("on PATH", format!("{}, same version", found.display())),
        other => Finding::off(
            "on PATH",
            format!(
                "{} is {}, not {VERSION}",
                found.display(),
                other.unwrap_or("something else")
            ),
            "install the same version, or let ARGUS_BIN name the newer one",
        ),
    }
}

fn is_executable(file: &Path) -> bool {
    access(file, Access::EXEC_OK).is_ok()
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// What `argus --version` answers there.
fn version_of(command: &Path) -> Option<String> {
    let output = Command::new(command)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().strip_prefix("argus ")?.to_owned())
}

/// The Python package that was installed together with this command.
fn package(this: &Path) -> Finding {
    let library = this.ancestors().nth(2).map(|prefix| prefix.join("lib"));
    let Some((folder, version)) = library.and_then(|library| package_in(&library)) else {
        return Finding::off(
            "Python package",
            "none beside this command",
            "pip install . in Argus's source folder   (for programs in Python)",
        );
    };
    let found = format!("argus {version}, {}", folder.display());
    if version == VERSION {
        Finding::ok("Python package", found)
    } else {
        let advice = format!("install the package of version {VERSION}");
        Finding::off("Python package", found, advice)
    }
}

/// The package and its version in `<prefix>/lib`, by the record that its installer left.
fn package_in(library: &Path) -> Option<(PathBuf, String)> {
    let entries = |folder: &Path| folder.read_dir().into_iter().flatten().flatten();
    let pythons =
        entries(library).filter(|entry| name_of(&entry.file_name()).starts_with("python"));
    let packages = pythons.flat_map(|python| {
        ["site-packages", "dist-packages"].map(|folder| python.path().join(folder))
    });
    packages.into_iter().find_map(|packages| {
        let version = entries(&packages).find_map(|entry| {
            let name = name_of(&entry.file_name());
            let version = name.strip_prefix("argus-")?.strip_suffix(".dist-info")?;
            Some(version.to_owned())
        })?;
        Some((packages.join("argus"), version))
    })
}

fn name_of(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// One finding for every variable of ours that is set.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<Finding> {
    let mut ours: Vec<_> = variables
        .map(|(name, value)| (name_of(&name), name_of(&value)))
        .filter(|(name, _)| name.starts_with("ARGUS_"))
        .collect();
    ours.sort_unstable();
    if ours.is_empty() {
        return vec![Finding::ok("environment", "no variable of Argus is set")];
    }
    let judged = ours.iter().map(|(name, value)| variable(name, value));
    judged.collect()
}

fn variable(name: &str, value: &str) -> Finding {
    let set = format!("{name}={value}");
    let unset = format!("unset {name}");
    match (name, value) {
        ("ARGUS_DISABLE", value) if !value.is_empty() && value != "0" => {
            let found = format!("{set}: programs do not record themselves");
            Finding::problem("environment", found, unset)
        }
        ("ARGUS_COLLECTOR", "off") => {
            let found = format!("{set}: no collector is started, records wait in the spools");
            Finding::off("environment", found, unset)
        }
        ("ARGUS_BIN", file) if !file.is_empty() && !is_executable(Path::new(file)) => {
            let found = format!("{set}: cannot be executed, so it is passed over");
            Finding::off("environment", found, unset)
        }
        ("ARGUS_SAMPLE_RATE", rate) if rate.parse::<f64>().is_ok_and(|rate| rate < 1.0) => {
            let found = format!("{set}: only this share of all calls is recorded");
            Finding::off("environment", found, unset)
        }
        (
            "ARGUS_INSTRUMENT"
            | "ARGUS_INSTRUMENT_EXCLUDE"
            | "ARGUS_DISABLE"
            | "ARGUS_COLLECTOR"
            | "ARGUS_BIN"
            | "ARGUS_SAMPLE_RATE"
            | "ARGUS_DB"
            | "ARGUS_HOME"
            | "ARGUS_APP_NAME",
            _,
        ) => Finding::ok("environment", set),
        _ => Finding::off(
            "environment",
            format!("{set}: means nothing to Argus"),
            unset,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn variables_that_stop_recording_are_told_from_others() {
        let check = |name, value, verdict| assert_eq!(variable(name, value).verdict, verdict);
        check("ARGUS_DISABLE", "1", Verdict::Problem);
        check("ARGUS_DISABLE", "0", Verdict::Ok);
        check("ARGUS_COLLECTOR", "off", Verdict::Off);
        check("ARGUS_BIN", "/nowhere/argus", Verdict::Off);
        check("ARGUS_SAMPLE_RATE", "0.1", Verdict::Off);
        check("ARGUS_HOME", "/data", Verdict::Ok);
        check("ARGUS_HOEM", "/data", Verdict::Off);
    }

    #[test]
    fn strangers_variables_are_none_of_our_business() {
        let variables = [("PATH", "/bin"), ("ARGUSX", "1")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(environment(variables.into_iter()).len(), 1);
    }

    #[test]
    fn the_package_is_found_by_its_installers_record() {
        let prefix = tempfile::tempdir().unwrap();
        let packages = prefix.path().join("lib/python3.12/site-packages");
        fs::create_dir_all(packages.join("argus-0.0.9.dist-info")).unwrap();
        let (folder, version) = package_in(&prefix.path().join("lib")).unwrap();
        assert_eq!(
            (folder, version.as_str()),
            (packages.join("argus"), "0.0.9")
        );
        assert_eq!(package_in(prefix.path()), None);
    }
}
