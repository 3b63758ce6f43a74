//! `farewell completions` and `farewell man`: text for a shell, and for `man`.

use clap::Args;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::Inline;
use clap_mangen::roff::Roff;
use clap_mangen::roff::bold;
use clap_mangen::roff::roman;

use super::args::Options;
use super::failure::Failure;
use super::usage;

const PROGRAM: &str = "farewell";

/// Print the completions for a shell.
///
/// For bash, in ~/.bashrc: eval "$(farewell completions bash)". For zsh, as the file
/// _farewell in a folder of $fpath. For fish, as
/// ~/.config/fish/completions/farewell.fish.
#[derive(Debug, Args)]
pub(super) struct CompletionsOptions {
    /// The shell.
    shell: Shell,
}

/// Print the manual page, in the format of man.
///
/// To read it: farewell man | man -l -. To install it: farewell man >
/// /usr/local/share/man/man1/farewell.1
#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// A command, such as drill, for the page of that command.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// The completions as a script of the shell.
pub(super) fn completions(options: &CompletionsOptions) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Options::command(), PROGRAM, &mut script);
    script
}

/// The manual page.
pub(super) fn man(options: &ManOptions) -> Result<Vec<u8>, Failure> {
    let mut program = Options::command()
        .disable_help_subcommand(true)
        .subcommand_help_heading("Commands");
    program.build();
    let command = match &options.command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name);
            found.cloned().ok_or_else(|| unknown(name))?
        }
    };
    page(command).map_err(|error| Failure::error(format!("cannot make the page: {error}")))
}

fn unknown(name: &str) -> Failure {
    let name = name.escape_debug();
    let advice = match usage::closest_command(name.to_string().as_ref()) {
        Some(closest) => format!("did you mean {closest}?"),
        None => "see farewell --help".to_owned(),
    };
    Failure {
        program: "farewell man",
        ..Failure::usage(format!("unknown command '{name}'; {advice}"))
    }
}

fn page(mut command: clap::Command) -> std::io::Result<Vec<u8>> {
    // clap_mangen would list every option there.
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let command = command.override_usage(usage);
    // What follows the options in `--help` has parts with headings, which are sections here.
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let has_commands = command.has_subcommands();
    let mut page = Vec::new();
    let man = Man::new(command).manual("Farewell Manual");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    sections(&after).to_writer(&mut page)?;
    Ok(page)
}

/// The text as sections. A line that begins at its start and ends with a colon is a heading.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_open = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let heading = line.strip_suffix(':').filter(|line| !line.starts_with(' '));
        match heading {
            None if line.trim().is_empty() => {
                // A section has its own distance to the next one.
                if lines.peek().is_some_and(|next| !next.ends_with(':')) {
                    roff.control("sp", []);
                }
            }
            Some(heading) => {
                if is_open {
                    roff.control("fi", []);
                }
                roff.control("SH", [heading.to_uppercase().as_str()]);
                // The lines are not filled: most are rows of a table.
                roff.control("nf", []);
                is_open = true;
            }
            None => {
                roff.text(row(line));
            }
        }
    }
    if is_open {
        roff.control("fi", []);
    }
    roff
}

/// A line of a section. What stands before a gap is the name of what follows.
fn row(line: &str) -> Vec<Inline> {
    let line = line.strip_prefix("  ").unwrap_or(line);
    match line.split_once("  ") {
        Some((name, rest)) if !name.is_empty() => {
            vec![bold(name), roman(format!("  {rest}"))]
        }
        _ => vec![roman(line)],
    }
}
