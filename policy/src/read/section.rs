//! One table of the file, and one value of it with its place.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::suggest::{as_code, did_you_mean};
use crate::units::NoQuantity;

/// Where problems are collected while several tables are read.
pub(crate) type Problems<'a> = &'a RefCell<Diagnostics>;

/// A table that is being read; an empty one where the file has none.
#[derive(Clone)]
pub(crate) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    name: String,
    span: Range<usize>,
    problems: Problems<'a>,
}

/// A value with its place.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) value: &'a Spanned<DeValue<'a>>,
    problems: Problems<'a>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(table: &'a Spanned<DeTable<'a>>, problems: Problems<'a>) -> Self {
        Self { table: Some(table.get_ref()), name: String::new(), span: table.span(), problems }
    }

    /// Where the table is.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn problems(&self) -> Problems<'a> {
        self.problems
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&self, key: &str) -> Option<Entry<'a>> {
        let value = self.table?.get(key)?;
        Some(Entry { value, problems: self.problems })
    }

    /// A table inside this one.
    pub(crate) fn section(&self, key: &str) -> Section<'a> {
        let name = self.path_of(key);
        match self.get(key) {
            None => self.without(name),
            Some(entry) => entry.as_section(name),
        }
    }

    /// A table inside this one that is not there.
    pub(crate) fn without(&self, name: String) -> Section<'a> {
        Self { table: None, name, span: self.span(), problems: self.problems }
    }

    /// The tables in this one: their names, and themselves with their names as their places.
    pub(crate) fn sections(&self) -> Vec<(&'a str, Section<'a>)> {
        let tables = self.table.into_iter().flat_map(|table| table.iter());
        tables
            .map(|(name, value)| {
                let entry = Entry { value, problems: self.problems };
                let section = entry.as_section(self.path_of(name.get_ref()));
                (name.get_ref().as_ref(), Section { span: name.span(), ..section })
            })
            .collect()
    }

    /// The keys of this table and their values, whatever they are called.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        let problems = self.problems;
        let table = self.table.into_iter().flat_map(|table| table.iter());
        table.map(move |(name, value)| (name.get_ref().as_ref(), Entry { value, problems }))
    }

    /// Reports a key that has to be there. Of what is no table at all that was reported.
    pub(crate) fn missing(&self, key: &str, what: &str) {
        if self.table.is_none() {
            return;
        }
        let message = format!("{} has no `{key}`", self.called());
        let problem = Diagnostic::error(self.span(), message, "expected in here").help(format!("add {what}"));
        self.problems.borrow_mut().push_of_whole(problem);
    }

    /// Reports every key that is not among the known; `elsewhere` says where a stray one belongs.
    pub(crate) fn finish(&self, known: &[&str], elsewhere: impl Fn(&str) -> Option<String>) {
        for (name, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let key = name.get_ref().as_ref();
            if known.contains(&key) {
                continue;
            }
            let otherwise = || format!("keys here are: {}", known.join(", "));
            let help = elsewhere(key).unwrap_or_else(|| did_you_mean(key, known.iter().copied(), as_code, otherwise));
            let label = format!("not a key of {}", self.called());
            let problem = Diagnostic::error(name.span(), format!("unknown key `{key}`"), label);
            self.problems.borrow_mut().push(problem.help(help));
        }
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn called(&self) -> String {
        if self.name.is_empty() { "the file".to_owned() } else { format!("[{}]", self.name) }
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Reports an error at this value.
    pub(crate) fn refuse<T>(&self, message: impl Into<String>, label: impl Into<String>) -> Option<T> {
        self.problems.borrow_mut().push(Diagnostic::error(self.span(), message, label));
        None
    }

    /// Reports an error with advice at this value.
    pub(crate) fn refuse_with<T>(&self, message: impl Into<String>, label: &str, help: impl Into<String>) -> Option<T> {
        self.problems.borrow_mut().push(Diagnostic::error(self.span(), message, label).help(help));
        None
    }

    /// Reports something that is probably not meant.
    pub(crate) fn warn(&self, message: impl Into<String>, label: &str, help: impl Into<String>) {
        self.problems.borrow_mut().push(Diagnostic::warning(self.span(), message, label).help(help));
    }

    pub(crate) fn as_section(&self, name: String) -> Section<'a> {
        let table = match self.value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => self.refuse(format!("`{name}` is {}", kind(other)), "expected a table"),
        };
        Section { table, name, span: self.span(), problems: self.problems }
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            other => self.refuse(format!("expected text, found {}", kind(other)), "put it in quotes"),
        }
    }

    pub(crate) fn array(self) -> Option<Vec<Entry<'a>>> {
        match self.value.get_ref() {
            DeValue::Array(array) => Some(array.iter().map(|value| Entry { value, problems: self.problems }).collect()),
            other => self.refuse(format!("expected a list, found {}", kind(other)), "put it in [ ]"),
        }
    }

    pub(crate) fn texts(self) -> Option<Vec<(&'a str, Entry<'a>)>> {
        Some(self.array()?.into_iter().filter_map(|entry| Some((entry.text()?, entry))).collect())
    }

    /// The text, if it is some.
    pub(crate) fn word(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(self, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(number) = self.value.get_ref() else {
            return self.refuse(
                format!("expected a whole number, found {}", kind(self.value.get_ref())),
                "a number without quotes",
            );
        };
        let expected = if least == most { format!("expected {least}") } else { format!("expected {least} to {most}") };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => self.refuse(format!("{number} is out of range"), expected),
        }
    }

    /// A number that may have a fraction, within bounds.
    pub(crate) fn number(self, least: f64, most: f64) -> Option<f64> {
        let parsed = match self.value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            other => {
                return self.refuse(format!("expected a number, found {}", kind(other)), "a number without quotes");
            }
        };
        match parsed {
            Some(number) if (least..=most).contains(&number) => Some(number),
            _ => self.refuse("the number is out of range", format!("expected {least} to {most}")),
        }
    }

    /// Text that a function understands; a bare number is told to take its unit and quotes.
    pub(crate) fn quantity<T>(self, parse: impl FnOnce(&str) -> Result<T, NoQuantity>, example: &str) -> Option<T> {
        if let DeValue::Integer(number) = self.value.get_ref() {
            return self.refuse(
                "a quantity without a unit",
                format!("write it as text with its unit, such as {example}, not {number}"),
            );
        }
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(why) => self.refuse(why.to_string(), format!("expected something like {example}")),
        }
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
