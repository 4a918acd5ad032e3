//! Shell completions and man pages, from the command line's own definition.

use std::path::PathBuf;

use clap::{Args, Command};
pub use clap_complete::Shell;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The directory to write them to.
    pub directory: Option<PathBuf>,
}

impl Completions {
    /// The text that the shell reads.
    #[must_use]
    pub fn generate(&self, command: Command) -> String {
        completions(self.shell, command)
    }
}

/// Completions of a program's command line, as a shell reads them.
#[must_use]
pub fn completions(shell: Shell, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

impl Man {
    /// Writes a page for the program and one for each subcommand to the directory; without one, the text of the first.
    ///
    /// # Errors
    /// What could not be written, for a person.
    pub fn generate(&self, command: Command) -> Result<String, String> {
        // There is `--help`, and no page for a subcommand of that name.
        let command = command.disable_help_subcommand(true);
        let written = match &self.directory {
            Some(directory) => clap_mangen::generate_to(command, directory).map(|()| String::new()),
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page).map(|()| String::from_utf8_lossy(&page).into_owned())
            }
        };
        written.map_err(|error| format!("write man pages: {error}"))
    }
}
