//! What a script seems to import, by a look at its lines: a guess, which may cost or save time.

use std::fmt;

/// How much of a script is looked at. Imports stand at its head.
const LOOKED_AT: usize = 64 << 10;

/// What a script does to its own surroundings before it imports would be too late for what was imported ahead of it.
const SURROUNDINGS: [&str; 17] = [
    "environ",
    "putenv",
    "sys.path",
    "sys.modules[",
    "sys.meta_path",
    "sys.argv",
    "sys.setdlopenflags",
    "from sys import",
    "import sys as",
    "chdir",
    "setlocale",
    "builtins",
    "catch_warnings",
    "simplefilter(\"error",
    "simplefilter('error",
    "filterwarnings(\"error",
    "filterwarnings('error",
];

/// How files of a request end that are data, which an import reads only where its script has it do so.
const DATA: [&str; 24] = [
    "csv", "db", "docx", "feather", "gif", "gz", "html", "jpeg", "jpg", "json", "jsonl", "md", "npy", "npz", "parquet",
    "pdf", "png", "sqlite", "tsv", "txt", "xls", "xlsx", "xml", "zip",
];

/// No more names than these, and none that is longer, are kept of a script; nor more than so many bytes of all together.
const MOST: usize = 32;
const LONGEST: usize = 100;
const TOGETHER: usize = 512;

/// Names of modules such as `scipy.stats`: sorted, each once, and none that the import of another brings with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ImportSet(Vec<String>);

impl ImportSet {
    /// With these names.
    #[must_use]
    pub fn new(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        let all = names.clone();
        names.retain(|name| !all.iter().any(|other| is_below(other, name)));
        Self(names)
    }

    /// What a script seems to import of packages whose top-level modules are `known`, in order, beside what is `there` already.
    #[must_use]
    pub fn of_script(script: &str, known: &[String], there: &[String]) -> Self {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for line in head(script) {
            // Most lines are told by their first letters.
            let code = line.trim_start();
            if !code.starts_with("import ") && !code.starts_with("from ") {
                continue;
            }
            each_name(code, &mut |top, name, sure| {
                let new = known.binary_search_by(|module| module.as_str().cmp(top)).is_ok()
                    && !there.iter().any(|module| module == &*name || is_below(module, &name))
                    && (sure || !there.iter().any(|module| module == top || is_below(module, top)));
                if new && names.len() < MOST && bytes + name.len() <= TOGETHER && !names.contains(&name) {
                    bytes += name.len();
                    names.push(name);
                }
            });
        }
        if !names.is_empty() && head(script).any(changes_surroundings) {
            names.clear();
        }
        Self::new(names)
    }

    /// These, and those of another.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self::new([&self.0[..], &other.0].concat())
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether who imports `other` imports all of this.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|name| other.0.iter().any(|of| of == name || is_below(of, name)))
    }
}

impl fmt::Display for ImportSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(" "))
    }
}

/// Whether a file that a request brings is data by its name: no module, and nothing that is read at an import by itself, such as
/// `matplotlibrc` or `.keras/keras.json`.
#[must_use]
pub fn is_data(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    !hidden && path.rsplit_once('.').is_some_and(|(_, end)| DATA.contains(&end.to_ascii_lowercase().as_str()))
}

fn changes_surroundings(line: &str) -> bool {
    SURROUNDINGS.iter().any(|word| line.contains(word))
}

/// The lines of a script that are looked at.
fn head(script: &str) -> impl Iterator<Item = &str> {
    let mut looked_at = 0;
    script.lines().take_while(move |line| {
        looked_at += line.len() + 1;
        looked_at <= LOOKED_AT
    })
}

/// Whether a module lies in a package: `scipy.stats` in `scipy`.
fn is_below(module: &str, package: &str) -> bool {
    module.strip_prefix(package).is_some_and(|rest| rest.starts_with('.'))
}

/// Calls with each name that a line imports: its first part, all of it, and whether it has to be a module's.
fn each_name(code: &str, found: &mut impl FnMut(&str, String, bool)) {
    let code = code.split(['#', ';']).next().unwrap_or_default();
    let first =
        |part: &str| part.trim_start_matches([' ', '(']).split([' ', '\t', ')', '\\']).next().map(str::to_owned);
    if let Some(names) = code.strip_prefix("import ") {
        names.split(',').take(MOST).filter_map(first).filter(|name| is_name(name)).for_each(|name| {
            found(top(&name), name.clone(), true);
        });
    } else if let Some((from, names)) = code.strip_prefix("from ").and_then(|rest| rest.split_once(" import ")) {
        let from = from.trim();
        if !is_name(from) {
            return;
        }
        found(top(from), from.to_owned(), true);
        // `from scipy import stats` names a module, `from flask import Flask` does not, and only an import can tell.
        if !from.contains('.') {
            let inner = names.split(',').take(MOST).filter_map(first).map(|name| format!("{from}.{name}"));
            inner.filter(|name| is_name(name)).for_each(|name| found(from, name, false));
        }
    }
}

fn top(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// A module's name as people write it; none that a package keeps to itself, such as `__main__`.
fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
    };
    text.len() <= LONGEST && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::{ImportSet, MOST, TOGETHER, is_data};

    fn of(script: &str, there: &[&str]) -> String {
        let known = ["flask", "matplotlib", "numpy", "scipy", "sklearn"].map(str::to_owned);
        let there: Vec<_> = there.iter().map(|name| (*name).to_owned()).collect();
        ImportSet::of_script(script, &known, &there).to_string()
    }

    #[test]
    fn names_are_found_where_people_write_them() {
        for (script, found) in [
            ("import scipy.stats as st, numpy, json\n", "numpy scipy.stats"),
            ("def main():\n    import sklearn  # for later\n", "sklearn"),
            ("from matplotlib import pyplot as plt\nimport matplotlib", "matplotlib.pyplot"),
            ("from sklearn.linear_model import LinearRegression\r\n", "sklearn.linear_model"),
            ("from scipy import (stats, optimize)", "scipy.optimize scipy.stats"),
            ("from scipy import (\n    stats,\n)", "scipy"),
            ("from scipy import *", "scipy"),
            ("import numpy; import scipy", "numpy"),
            ("important scipy\nfrom scipy\nimport\nfrom . import numpy\nfrom .numpy import a\nimport numpy-x", ""),
            ("import scipy.__main__\nimport scipy._private\nimport scipy..stats\nimport sci\u{440}y", ""),
            ("import os, requests", ""),
        ] {
            assert_eq!(of(script, &[]), found, "{script}");
        }
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        let script = "import numpy\nfrom numpy import array\nimport numpy.f2py\nimport scipy\nfrom scipy import stats";
        assert_eq!(of(script, &["numpy", "scipy.stats"]), "numpy.f2py");
    }

    #[test]
    fn a_script_that_changes_what_an_import_may_read_imports_by_itself() {
        for line in [
            "os.environ['MPLBACKEND'] = 'svg'",
            "os.putenv('A', 'b')",
            "sys.path.insert(0, 'mine')",
            "from sys import path",
            "sys.modules['numpy'] = None",
            "warnings.simplefilter('error')",
            "with warnings.catch_warnings(record=True):",
            "os.chdir('data')",
        ] {
            assert_eq!(of(&format!("import os, sys\n{line}\nimport scipy\n"), &[]), "", "{line}");
        }
        assert_eq!(of("import warnings\nwarnings.filterwarnings('ignore')\nimport scipy\n", &[]), "scipy");
    }

    #[test]
    fn files_that_an_import_may_read_are_no_data() {
        for data in ["a.csv", "in/b.JSON", "c.d.parquet"] {
            assert!(is_data(data), "{data}");
        }
        for other in ["settings.py", "matplotlibrc", ".keras/keras.json", "a/.b.csv", "a.", "csv", "x.pth", "a.so"] {
            assert!(!is_data(other), "{other}");
        }
    }

    #[test]
    fn what_a_script_says_is_bounded() {
        let many: String = (0..1000).map(|number| format!("import scipy.m{number}\n")).collect();
        assert_eq!(of(&many, &[]).split(' ').count(), MOST);
        let long: String = (0..1000).map(|number| format!("import scipy.{}{number}\n", "m".repeat(80))).collect();
        assert!(of(&long, &[]).len() <= TOGETHER + MOST);
        assert_eq!(of(&format!("import scipy.{}\n", "m".repeat(100)), &[]), "");
        assert_eq!(of(&format!("{}\nimport scipy", "#".repeat(1 << 17)), &[]), "");
    }

    #[test]
    fn a_set_is_within_another_where_that_imports_all_of_it() {
        let set = |names: &[&str]| ImportSet::new(names.iter().map(|name| (*name).to_owned()).collect());
        let asked = set(&["scipy.stats", "numpy"]);
        for (other, within) in [
            (&["scipy"][..], true),
            (&["scipy.stats"], true),
            (&["numpy", "scipy"], true),
            (&[], true),
            (&["scipy.optimize"], false),
            (&["numpy.f2py"], false),
            (&["sci"], false),
        ] {
            assert_eq!(set(other).is_within(&asked), within, "{other:?}");
        }
    }
}
