//! `argus man`: a manual page for every command, from the definitions that `--help` prints.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Cli;
use crate::exit::Exit;
use crate::output;

/// Print the manual, or write one page per command into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  argus man | man -l -
  argus man ~/.local/share/man/man1 && man argus-run")]
pub(crate) struct Args {
    /// Write argus.1, argus-run.1 and the others here; the folder is made where it is missing
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints or writes the pages.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let pages = pages()?;
    match &args.folder {
        Some(folder) => write(&pages, folder)
            .with_context(|| format!("cannot write to {}", folder.display()))?,
        None => {
            let mut out = io::stdout().lock();
            for page in &pages {
                out.write_all(&page.text)?;
            }
            out.flush()?;
        }
    }
    Ok(Exit::Fine)
}

/// A manual page.
struct Page {
    file: String,
    text: Vec<u8>,
}

/// The page of `argus` first, then one for each of its commands.
fn pages() -> Result<Vec<Page>> {
    // The generated page of `help` would only repeat the list of commands.
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let commands = root.get_subcommands().cloned().collect::<Vec<_>>();
    std::iter::once(root)
        .chain(commands)
        .map(|command| Ok(page(command)?))
        .collect()
}

fn page(command: clap::Command) -> io::Result<Page> {
    let notes = command.get_after_help().map(ToString::to_string);
    let has_commands = command.has_subcommands();
    let source = concat!("argus ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).source(source).manual("Argus");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    render_notes(&notes.unwrap_or_default(), &mut text);
    Ok(Page {
        file: man.get_filename(),
        text,
    })
}

/// What `--help` says last (examples, exit codes, environment). Indented lines stay as they stand
/// there: the generator would run the lines of an example together.
fn render_notes(notes: &str, page: &mut Vec<u8>) {
    for paragraph in notes.split("\n\n").filter(|text| !text.is_empty()) {
        let (title, text) = match paragraph.split_once(':') {
            Some((title, text)) if !title.contains(' ') || title == "Exit codes" => (title, text),
            _ => ("Notes", paragraph),
        };
        let is_verbatim = text.starts_with("\n  ");
        page.extend(format!(".SH {}\n", title.to_uppercase()).bytes());
        page.extend_from_slice(if is_verbatim { b".nf\n" } else { b"" });
        for line in text.trim_start().lines() {
            page.extend(escaped(line.strip_prefix("  ").unwrap_or(line)).bytes());
            page.push(b'\n');
        }
        page.extend_from_slice(if is_verbatim { b".fi\n" } else { b"" });
    }
}

/// Text that roff shows as it is.
fn escaped(line: &str) -> String {
    let mut text = String::new();
    // A point or an apostrophe in the first column would be a command.
    if line.starts_with(['.', '\'']) {
        text.push_str("\\&");
    }
    for character in line.chars() {
        match character {
            '\\' => text.push_str("\\e"),
            '-' => text.push_str("\\-"),
            _ if character.is_ascii() => text.push(character),
            _ => text.push_str(&format!("\\[u{:04X}]", u32::from(character))),
        }
    }
    text
}

fn write(pages: &[Page], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for page in pages {
        fs::write(folder.join(&page.file), &page.text)?;
    }
    let count = pages.len();
    output::note(&format!("wrote {count} pages to {}", folder.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages().unwrap();
        let root = Cli::command();
        let files: Vec<_> = pages.iter().map(|page| page.file.clone()).collect();
        let expected: Vec<_> = std::iter::once("argus.1".to_owned())
            .chain(
                root.get_subcommands()
                    .map(|c| format!("argus-{}.1", c.get_name())),
            )
            .collect();
        assert_eq!(files, expected);
        for page in &pages[1..] {
            let text = str::from_utf8(&page.text).unwrap();
            assert!(text.contains(".SH EXAMPLES\n.nf\nargus "), "{}", page.file);
        }
    }

    #[test]
    fn text_is_no_command_to_roff() {
        assert_eq!(escaped(".TH -x '\\…"), "\\&.TH \\-x '\\e\\[u2026]");
    }
}
