//! One requirement (PEP 508): a package, what is asked of its version, and where that is asked.
//!
//! Read by hand. pep508_rs keeps all markers that it ever saw, 4 KiB each, and takes a second and 450 MiB for one of 2 KiB that is
//! made for it; and it brings 35 crates, a second version of one among them.

use cloister_protocol::Package;
use pep440_rs::VersionSpecifiers;

use crate::needs::marker::{self, Environment, Marker};
use crate::needs::version;

/// The longest, in bytes.
pub const LONGEST: usize = 1024;

/// What is told again of one that cannot be read, in characters.
const SHOWN: usize = 80;

/// A package that is needed.
#[derive(Debug)]
pub struct Requirement {
    /// Its name, normalized.
    pub name: String,
    /// The requirement as it was written, without the marker.
    pub text: String,
    /// What is asked of its version.
    pub specifiers: VersionSpecifiers,
    marker: Option<Marker>,
}

impl Requirement {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is {} bytes long, expected at most {LONGEST}", text.len()));
        }
        Self::read(text.trim_matches([' ', '\t']))
            .map_err(|why| format!("{:?} is no requirement that can be met: {why}", shown(text)))
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.contains(|letter: char| letter.is_control() && letter != '\t') {
            return Err("it is one line, without control characters".to_owned());
        }
        let (name, rest) =
            identifier(text).ok_or("expected the name of a package, of letters, digits, '.', '-' and '_'")?;
        let rest = extras(rest.trim_start_matches(BLANK))?.trim_start_matches(BLANK);
        if rest.starts_with('@') {
            return Err(
                "nothing is fetched from an address; expected a name, with the version that is needed".to_owned()
            );
        }
        let (asked, marker) = match rest.split_once(';') {
            Some((asked, marker)) => (asked, Some(marker)),
            None => (rest, None),
        };
        let end = text.len() - rest.len() + asked.len();
        let asked = asked.trim_matches(BLANK);
        let inside = asked.strip_prefix('(').map(|asked| asked.strip_suffix(')').ok_or("a '(' is not closed"));
        let specifiers = version::specifiers(inside.transpose()?.unwrap_or(asked))?;
        let marker = marker.map(marker::parse).transpose()?;
        Ok(Self {
            name: Package::normalized(name),
            text: text[..end].trim_end_matches(BLANK).to_owned(),
            specifiers,
            marker,
        })
    }

    /// Whether it is one under this Python.
    pub fn is_for(&self, environment: &Environment) -> bool {
        self.marker.as_ref().is_none_or(|marker| marker.holds(environment))
    }
}

/// What may stand between the parts.
const BLANK: [char; 2] = [' ', '\t'];

/// The name that a text begins with, and what follows it.
fn identifier(text: &str) -> Option<(&str, &str)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let (name, rest) = text.split_at(text.find(|letter| !is_part(letter)).unwrap_or(text.len()));
    let is_end = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    (is_end(name.chars().next()) && is_end(name.chars().last())).then_some((name, rest))
}

/// What follows the names in brackets, if there are any. What they stand for is not known here: the package is looked at.
fn extras(text: &str) -> Result<&str, String> {
    let Some(inside) = text.strip_prefix('[') else { return Ok(text) };
    let (names, rest) = inside.split_once(']').ok_or("a '[' is not closed")?;
    let names = names.trim_matches(BLANK);
    let is_name = |name: &str| identifier(name.trim_matches(BLANK)).is_some_and(|(_, rest)| rest.is_empty());
    if !names.is_empty() && !names.split(',').all(is_name) {
        return Err("expected names between '[' and ']'".to_owned());
    }
    Ok(rest)
}

/// The beginning of a text that is told again.
pub fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}
