//! Shell completions and man pages, from the command line's own definition.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::Said;
use crate::args::Arguments;

/// Prints a shell's completions.
pub fn completions(shell: Shell) -> Said {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Said::well(String::from_utf8_lossy(&text))
}

/// Writes every man page to a directory, or prints the first.
pub fn man(directory: Option<&Path>) -> Said {
    let command = Arguments::command();
    let written = match directory {
        Some(directory) => clap_mangen::generate_to(command, directory).map(|()| String::new()),
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map(|()| String::from_utf8_lossy(&page).into_owned())
        }
    };
    match written {
        Ok(text) => Said::well(text),
        Err(error) => Said::problem(format!("error: write man pages: {error}")),
    }
}
