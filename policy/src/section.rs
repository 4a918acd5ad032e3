//! One table of the file, read key by key. What was not asked for by the end is an unknown key.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};

/// Where problems are collected while several tables are read.
pub(crate) type Problems<'a> = &'a RefCell<Diagnostics>;

/// A table that is being read.
pub(crate) struct Section<'a> {
    table: Option<&'a DeTable<'a>>,
    name: String,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
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
        Self::of(Some(table.get_ref()), String::new(), table.span(), problems)
    }

    fn of(table: Option<&'a DeTable<'a>>, name: String, span: Range<usize>, problems: Problems<'a>) -> Self {
        Self { table, name, span, asked: RefCell::default(), problems }
    }

    /// Where the table is.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(crate) fn problems(&self) -> Problems<'a> {
        self.problems
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.borrow_mut().push(key);
        let value = self.table?.iter().find(|(name, _)| name.get_ref() == key)?.1;
        Some(Entry { value, problems: self.problems })
    }

    /// A table inside this one; empty when it is not there.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let name = self.path_of(key);
        match self.get(key) {
            None => Self::of(None, name, self.span(), self.problems),
            Some(entry) => entry.as_section(name),
        }
    }

    /// The tables in this one, by their names.
    pub(crate) fn sections(&self) -> Vec<(&'a str, Range<usize>, Section<'a>)> {
        let tables = self.table.into_iter().flat_map(|table| table.iter());
        tables
            .map(|(name, value)| {
                let entry = Entry { value, problems: self.problems };
                let section = entry.as_section(self.path_of(name.get_ref()));
                (name.get_ref().as_ref(), name.span(), Section { span: name.span(), ..section })
            })
            .collect()
    }

    /// The keys of this table and their values, whatever they are called.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'a str, Entry<'a>)> {
        let problems = self.problems;
        let table = self.table.into_iter().flat_map(|table| table.iter());
        table.map(move |(name, value)| (name.get_ref().as_ref(), Entry { value, problems }))
    }

    /// Reports a key that has to be there.
    pub(crate) fn missing(&self, key: &str, what: &str) {
        let place = if self.name.is_empty() { "the file".to_owned() } else { format!("[{}]", self.name) };
        let problem = Diagnostic::error(self.span(), format!("{place} has no `{key}`"), "expected in here");
        self.problems.borrow_mut().push(problem.help(format!("add {what}")));
    }

    /// Reads a key with a function that reports what is wrong with it.
    pub(crate) fn read<T>(&self, key: &'static str, read: impl FnOnce(Entry<'a>) -> Option<T>) -> Option<T> {
        self.get(key).and_then(read)
    }

    /// Reports every key that was never asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for (name, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let key = name.get_ref().as_ref();
            if asked.contains(&key) {
                continue;
            }
            let place = if self.name.is_empty() { "the file".to_owned() } else { format!("[{}]", self.name) };
            let problem =
                Diagnostic::error(name.span(), format!("unknown key `{key}`"), format!("not a key of {place}"));
            let help = match did_you_mean(key, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys here are: {}", asked.join(", ")),
            };
            self.problems.borrow_mut().push(problem.help(help));
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
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

    pub(crate) fn as_section(&self, name: String) -> Section<'a> {
        let table = match self.value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => self.refuse(format!("`{name}` is {}", kind(other)), "expected a table"),
        };
        Section::of(table, name, self.span(), self.problems)
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

    /// A whole number within bounds.
    pub(crate) fn integer(self, least: u64, most: u64) -> Option<u64> {
        let DeValue::Integer(number) = self.value.get_ref() else {
            return self.refuse(
                format!("expected a whole number, found {}", kind(self.value.get_ref())),
                "a number without quotes",
            );
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => self.refuse(format!("{} is out of range", number.as_str()), format!("expected {least} to {most}")),
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
    pub(crate) fn quantity<T>(self, parse: impl FnOnce(&str) -> Result<T, String>, example: &str) -> Option<T> {
        if let DeValue::Integer(number) = self.value.get_ref() {
            return self.refuse(
                "a quantity without a unit",
                format!("write it as text with its unit, such as {example}, not {}", number.as_str()),
            );
        }
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(message) => self.refuse(message, format!("expected something like {example}")),
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
