//! Manual pages and shell completions, both made from the definition of the command line.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::CommandLine;
use super::terminal::{print, print_path};
use crate::error::{Error, Result};
use crate::{files, version};

/// Print what the shell needs to complete commands and flags
///
/// For bash: mlpgrid completions bash > ~/.local/share/bash-completion/completions/mlpgrid
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// Stdout cannot be written.
pub fn completions(arguments: &Completions) -> Result<u8> {
    let mut text = vec![];
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "mlpgrid", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}

/// Write the manual pages: mlpgrid.1, and one for each command
///
/// With --out ~/.local/share/man/man1 they are where man finds them. Prints the folder.
#[derive(Debug, clap::Args)]
pub struct Pages {
    /// Folder for the pages
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages, and prints their folder.
///
/// # Errors
/// They cannot be written.
pub fn pages(arguments: &Pages) -> Result<u8> {
    let folder = &arguments.out;
    fs::create_dir_all(folder).map_err(Error::io("create the directory", folder))?;
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    write(folder, "mlpgrid", &command)?;
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("mlpgrid-{}", command.get_name());
        // After `build`, a command's usage and heading begin with the program's name.
        write(folder, &name, command)?;
    }
    print_path(folder)?;
    Ok(0)
}

fn write(folder: &Path, name: &str, command: &clap::Command) -> Result<()> {
    files::replace(&folder.join(format!("{name}.1")), |file| {
        Man::new(command.clone()).source(format!("mlpgrid {}", version::VERSION)).render(file)
    })
}
