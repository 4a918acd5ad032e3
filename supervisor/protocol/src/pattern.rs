//! The files that a request wants back from its working directory: paths with wildcards, read once, and matched a name
//! at a time without ever trying the same thing twice over.

use std::fmt::Display;
use std::str::Chars;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, string, wrong_type};
use crate::files::check_path;

/// How many patterns a request may have.
pub const MOST_PATTERNS: usize = 32;

/// The longest part of a pattern that has wildcards in it, in bytes: what is matched takes as many steps as the name
/// and this have letters, multiplied.
const LONGEST_WILD: usize = 64;

/// The directory that the interpreter keeps what it compiled in: no wildcard means it.
const CACHE: &str = "__pycache__";

/// A path relative to the working directory, with wildcards: `*`, `?` and `[...]` within a name, and `**` for any
/// directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

/// What a pattern says of one name of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This one.
    Name(String),
    /// One that these match.
    Wild(Vec<Wildcard>),
    /// Any number of directories, none too.
    Directories,
}

/// What a wildcard stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wildcard {
    /// Any letters, none too.
    Any,
    /// One letter: any.
    One,
    /// One letter of these ranges, or if `not`, one of no such.
    Of {
        /// The first and the last of each.
        ranges: Vec<(char, char)>,
        /// Whether all others are meant.
        not: bool,
    },
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Parses the field `files_out`.
pub(crate) fn parse(value: &RawValue) -> Result<Vec<Pattern>, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("files_out", "an array of paths", value));
    }
    items("files_out", value, MOST_PATTERNS, pattern)
}

fn pattern(field: &dyn Display, item: &RawValue) -> Result<Pattern, InvalidRequest> {
    let text = string(field, item)?;
    let wrong = |why: String| InvalidRequest::new(format!("{field} {why}"));
    // As people write a directory.
    let path = text.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(&text);
    check_path(path).map_err(|misplaced| wrong(misplaced.to_string()))?;
    let parts: Vec<_> = path.split('/').map(part).collect();
    let wild = path.split('/').zip(&parts).filter(|(_, part)| matches!(part, Part::Wild(_)));
    if let Some(long) = wild.map(|(name, _)| name.len()).find(|len| *len > LONGEST_WILD) {
        return Err(wrong(format!("has a name with wildcards of {long} bytes in it, expected at most {LONGEST_WILD}")));
    }
    Ok(Pattern { text, parts })
}

fn part(name: &str) -> Part {
    if name == "**" {
        return Part::Directories;
    }
    if !name.contains(['*', '?', '[']) {
        return Part::Name(name.to_owned());
    }
    let (mut wildcards, mut letters) = (Vec::new(), name.chars());
    while let Some(letter) = letters.next() {
        wildcards.push(match letter {
            '*' if wildcards.last() == Some(&Wildcard::Any) => continue,
            '*' => Wildcard::Any,
            '?' => Wildcard::One,
            '[' => set(&mut letters).unwrap_or(just('[')),
            letter => just(letter),
        });
    }
    Part::Wild(wildcards)
}

fn just(letter: char) -> Wildcard {
    Wildcard::Of { ranges: vec![(letter, letter)], not: false }
}

/// What stands behind a bracket, if that is closed: fnmatch(3). The first letter is one of the set whatever it is.
fn set(letters: &mut Chars<'_>) -> Option<Wildcard> {
    let mut rest = letters.clone();
    let not = rest.as_str().starts_with(['!', '^']);
    if not {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        match rest.next()? {
            ']' if !ranges.is_empty() => break,
            first => {
                let mut ahead = rest.clone();
                match (ahead.next(), ahead.next()) {
                    (Some('-'), Some(last)) if last != ']' => {
                        rest = ahead;
                        ranges.push((first, last));
                    }
                    _ => ranges.push((first, first)),
                }
            }
        }
    }
    *letters = rest;
    Some(Wildcard::Of { ranges, not })
}

impl Pattern {
    /// As the request has it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says of each name.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The path, if it is one without wildcards.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let plain = self.parts.iter().all(|part| matches!(part, Part::Name(_)));
        plain.then(|| self.text.strip_suffix('/').unwrap_or(&self.text))
    }
}

impl Part {
    /// How many steps it takes at most to say whether it says this name; few are not counted.
    #[must_use]
    pub fn steps(&self, name: &str) -> usize {
        let Self::Wild(wildcards) = self else { return 0 };
        wildcards.iter().map(Wildcard::steps).sum::<usize>() * name.len()
    }

    /// Whether it says this name. A wildcard means no hidden one, as in a shell.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Directories => !is_hidden(name),
            Self::Wild(wildcards) => {
                let asked = wildcards.first() == Some(&just('.'));
                (asked || !is_hidden(name)) && matches(wildcards, name)
            }
        }
    }
}

/// Whether a name is of what nobody looks at who does not say so: `.cache`, `__pycache__`.
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == CACHE
}

/// Whether all of a name is what the wildcards stand for. Only the last `*` is ever tried again, for what an earlier one
/// could take instead the last can take too.
fn matches(wildcards: &[Wildcard], name: &str) -> bool {
    let (mut at, mut rest) = (0, name.chars());
    let mut again: Option<(usize, Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        let letter = ahead.next();
        match (wildcards.get(at), letter) {
            (Some(Wildcard::Any), _) => {
                at += 1;
                again = Some((at, rest.clone()));
                continue;
            }
            (Some(wildcard), Some(letter)) if wildcard.is(letter) => {
                (at, rest) = (at + 1, ahead);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        // Let the last `*` have a letter more.
        let Some((behind, from)) = &mut again else { return false };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*behind, from.clone());
    }
}

impl Wildcard {
    fn steps(&self) -> usize {
        if let Self::Of { ranges, .. } = self { ranges.len() } else { 1 }
    }

    fn is(&self, letter: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Of { ranges, not } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter)) != *not,
        }
    }
}

#[cfg(test)]
mod tests;
