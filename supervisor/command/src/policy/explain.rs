//! `explain`: what holds, and where it was said.

use super::args;
use super::file::load;
use crate::said::{Said, WELL};

/// Shows what holds.
pub fn explain(arguments: &args::Explain) -> Said {
    let json = arguments.output.json;
    let checked = match load(&arguments.policy, json) {
        Ok(checked) => checked.look(),
        Err(said) => return said,
    };
    match checked.explain(arguments.profile.as_deref()) {
        Err(why) => Said::problem(format!("error: {why}")),
        Ok(explanation) if json => Said::json(&explanation.to_json(), WELL),
        Ok(explanation) => Said::well(explanation.to_text()),
    }
}
