//! Markers (PEP 508): under which Python a requirement is one. Read into a small tree, and asked of a runtime's Python on Linux.

use pep440_rs::VersionSpecifier;

use crate::needs::version::{self, There};

/// How deep parentheses may be nested.
const DEEPEST: usize = 16;

/// A condition.
#[derive(Debug)]
pub enum Marker {
    /// All of these.
    And(Vec<Self>),
    /// Any of these.
    Or(Vec<Self>),
    /// One comparison.
    Compare(Comparison),
}

/// A variable and a text.
#[derive(Debug)]
pub struct Comparison {
    variable: Variable,
    operator: &'static str,
    text: String,
    /// Whether the text stands in front.
    is_reversed: bool,
    /// What the comparison asks of the variable, where both are versions.
    asked: Option<VersionSpecifier>,
}

/// What is known of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    PythonVersion,
    PythonFullVersion,
    ImplementationVersion,
    ImplementationName,
    Implementation,
    OsName,
    SysPlatform,
    System,
    Machine,
    Extra,
}

/// Variables by their names, the older ones too.
const VARIABLES: [(&str, Variable); 14] = [
    ("python_version", Variable::PythonVersion),
    ("python_full_version", Variable::PythonFullVersion),
    ("implementation_version", Variable::ImplementationVersion),
    ("implementation_name", Variable::ImplementationName),
    ("platform_python_implementation", Variable::Implementation),
    ("platform.python_implementation", Variable::Implementation),
    ("python_implementation", Variable::Implementation),
    ("os_name", Variable::OsName),
    ("os.name", Variable::OsName),
    ("sys_platform", Variable::SysPlatform),
    ("sys.platform", Variable::SysPlatform),
    ("platform_system", Variable::System),
    ("platform_machine", Variable::Machine),
    ("extra", Variable::Extra),
];

/// What compares them, so that none is the beginning of one behind it.
const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];

/// A runtime's Python, on Linux on x86-64.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Such as `3.11`, and `3.11.7`; each as it is written and as a version.
    short: (String, Option<There>),
    full: (String, Option<There>),
}

impl Environment {
    /// Of a Python of this version, such as `3.11.7`.
    pub fn of(python: &str) -> Self {
        // A build between two releases; as the packaging library does.
        let full = if python.ends_with('+') { format!("{python}local") } else { python.to_owned() };
        let short = python.split('.').take(2).collect::<Vec<_>>().join(".");
        let with_version = |text: String| (There::parse(&text), text);
        let ((short_version, short), (full_version, full)) = (with_version(short), with_version(full));
        Self { short: (short, short_version), full: (full, full_version) }
    }

    /// Its version, if it is one.
    pub fn python(&self) -> Option<&There> {
        self.full.1.as_ref()
    }

    fn get(&self, variable: Variable) -> (&str, Option<&There>) {
        let plain = |text| (text, None);
        match variable {
            Variable::PythonVersion => (&self.short.0, self.short.1.as_ref()),
            Variable::PythonFullVersion | Variable::ImplementationVersion => (&self.full.0, self.full.1.as_ref()),
            Variable::ImplementationName => plain("cpython"),
            Variable::Implementation => plain("CPython"),
            Variable::OsName => plain("posix"),
            Variable::SysPlatform => plain("linux"),
            Variable::System => plain("Linux"),
            Variable::Machine => plain("x86_64"),
            Variable::Extra => plain(""),
        }
    }
}

impl Marker {
    /// Whether it holds there.
    pub fn holds(&self, environment: &Environment) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.holds(environment)),
            Self::Or(any) => any.iter().any(|one| one.holds(environment)),
            Self::Compare(comparison) => comparison.holds(environment),
        }
    }
}

impl Comparison {
    fn new(variable: Variable, operator: &'static str, text: &str, is_reversed: bool) -> Result<Self, String> {
        let is_version =
            matches!(variable, Variable::PythonVersion | Variable::PythonFullVersion | Variable::ImplementationVersion);
        let asked = match is_version && !is_reversed && !operator.ends_with("in") {
            true => version::specifier(&format!("{operator}{text}")).ok(),
            false => None,
        };
        if matches!(operator, "===" | "~=") && asked.is_none() && !is_reversed {
            return Err(format!("a marker compares by {operator} what is no version"));
        }
        Ok(Self { variable, operator, text: text.to_owned(), is_reversed, asked })
    }

    fn holds(&self, environment: &Environment) -> bool {
        let (value, version) = environment.get(self.variable);
        if let (Some(asked), Some(version)) = (&self.asked, version) {
            return version.fits(asked);
        }
        if self.is_reversed
            && let (Some(_), Some(text)) = (version, There::parse(&self.text))
            && let Ok(asked) = version::specifier(&format!("{}{value}", self.operator))
        {
            return text.fits(&asked);
        }
        let (left, right) = if self.is_reversed { (self.text.as_str(), value) } else { (value, self.text.as_str()) };
        match self.operator {
            "in" => right.contains(left),
            "not in" => !right.contains(left),
            "!=" => left != right,
            // What is no version has no order.
            "==" | "<=" | ">=" => left == right,
            _ => false,
        }
    }
}

/// Reads a marker.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Marker, String> {
    let mut reader = Reader { rest: text };
    let marker = reader.any(0)?;
    match reader.next_is_blank_to_the_end() {
        true => Ok(marker),
        false => Err("its marker has something behind its end".to_owned()),
    }
}

/// One side of a comparison.
enum Side<'a> {
    Variable(Variable),
    Text(&'a str),
}

/// What is left to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn next_is_blank_to_the_end(&mut self) -> bool {
        self.skip().is_empty()
    }

    fn skip(&mut self) -> &'a str {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        self.rest
    }

    /// Takes a word or a sign, if it comes next.
    fn take(&mut self, expected: &str) -> bool {
        let Some(rest) = self.skip().strip_prefix(expected) else { return false };
        let is_word = |text: &str| text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        if is_word(expected) && is_word(rest) {
            return false;
        }
        self.rest = rest;
        true
    }

    fn any(&mut self, depth: usize) -> Result<Marker, String> {
        let mut any = vec![self.all(depth)?];
        while self.take("or") {
            any.push(self.all(depth)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Marker::Or(any) })
    }

    fn all(&mut self, depth: usize) -> Result<Marker, String> {
        let mut all = vec![self.one(depth)?];
        while self.take("and") {
            all.push(self.one(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Marker::And(all) })
    }

    fn one(&mut self, depth: usize) -> Result<Marker, String> {
        if self.take("(") {
            if depth == DEEPEST {
                return Err(format!("its marker is nested too deeply, at most {DEEPEST} levels are read"));
            }
            let inside = self.any(depth + 1)?;
            return if self.take(")") { Ok(inside) } else { Err("its marker has a '(' that is not closed".to_owned()) };
        }
        let left = self.side()?;
        let operator = self.operator()?;
        let compared = match (left, self.side()?) {
            (Side::Variable(variable), Side::Text(text)) => Comparison::new(variable, operator, text, false),
            (Side::Text(text), Side::Variable(variable)) => Comparison::new(variable, operator, text, true),
            _ => Err("its marker compares what is not a variable with a text".to_owned()),
        };
        compared.map(Marker::Compare)
    }

    fn operator(&mut self) -> Result<&'static str, String> {
        if self.take("in") {
            return Ok("in");
        }
        if self.take("not") {
            return if self.take("in") { Ok("not in") } else { Err("its marker has a 'not' without 'in'".to_owned()) };
        }
        let found = OPERATORS.into_iter().find(|operator| self.take(operator));
        found.ok_or_else(|| "its marker lacks a comparison such as >= or in".to_owned())
    }

    fn side(&mut self) -> Result<Side<'a>, String> {
        let rest = self.skip();
        if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '\'' | '"')) {
            let (text, rest) = rest[1..].split_once(quote).ok_or("its marker has a text without its closing quote")?;
            self.rest = rest;
            return Ok(Side::Text(text));
        }
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        let (name, rest) = rest.split_at(rest.find(|letter| !is_part(letter)).unwrap_or(rest.len()));
        let known = VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable);
        self.rest = rest;
        known.map(Side::Variable).ok_or_else(|| match name {
            "platform_release" | "platform_version" | "platform.version" => {
                format!("its marker asks for {name}, which is the host's and not told")
            }
            _ => {
                "its marker has neither a variable that is known nor a text in quotes where one is expected".to_owned()
            }
        })
    }
}
