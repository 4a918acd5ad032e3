//! Reading the command line, with a word on what has its place in another program.

use clap::Parser;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Reads the command line, or ends the program with what is wrong with it. `elsewhere` has subcommands that are none
/// here, each with where it is.
pub fn parse<P: Parser>(elsewhere: &[(&str, &'static str)]) -> P {
    P::try_parse().unwrap_or_else(|error| directed(error, elsewhere).exit())
}

/// With a tip, if it is a subcommand that is elsewhere.
fn directed(mut error: clap::Error, elsewhere: &[(&str, &'static str)]) -> clap::Error {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let found = elsewhere.iter().find(|(name, _)| name == given);
    if let (ErrorKind::InvalidSubcommand, Some((_, place))) = (error.kind(), found) {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*place)]));
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::{Parser, Subcommand};

    use super::directed;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(subcommand)]
        _command: Command,
    }

    #[derive(Debug, Subcommand)]
    enum Command {
        Serve,
    }

    #[test]
    fn what_is_elsewhere_is_named_and_other_mistakes_are_as_they_were() {
        let said = |word: &str| {
            let error = Arguments::try_parse_from(["program", word, "--option"]).expect_err("no subcommand");
            directed(error, &[("doctor", "it is `cloister doctor`")]).to_string()
        };
        assert!(said("doctor").contains("tip: it is `cloister doctor`\n"), "{}", said("doctor"));
        assert!(said("docter").contains("unrecognized") && !said("docter").contains("cloister"));
        assert!(said("serv").contains("'serve'"), "{}", said("serv"));
    }
}
