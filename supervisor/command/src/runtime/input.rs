//! What a runtime is to have, as its operator wrote it down: a requirements.txt, a pyproject.toml, or a script with PEP 723
//! metadata.
//!
//! Each is a list of names and versions here. Options, such as an index or another file, are refused: where packages come from is
//! pip's configuration, and a lock is of one file.

use std::path::Path;
use std::{fs, io};

use sha2::{Digest, Sha256};

use super::error::Error;

/// The longest that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// What begins and ends the metadata of a script, and what stands in front of each line: PEP 723.
const SCRIPT: (&str, &str, &str) = ("# /// script", "# ///", "#");

/// An input that was looked at.
#[derive(Debug)]
pub struct Input {
    /// Its digest.
    pub digest: String,
}

/// Looks at an input.
pub fn read(path: &Path) -> Result<Input, Error> {
    let wrong = |why: String| Error::Input(path.to_owned(), why);
    let text = text(path).map_err(|error| wrong(format!("{error}: it is to say which packages the runtime has")))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let problem = if name == "pyproject.toml" {
        has_list(&text, &["project"]).then_some(()).ok_or("it has no dependencies in [project]".to_owned())
    } else if name.ends_with(".py") {
        let metadata = metadata(&text).ok_or_else(|| wrong("it has no metadata (# /// script): PEP 723".to_owned()))?;
        has_list(&metadata, &[]).then_some(()).ok_or("its metadata has no dependencies".to_owned())
    } else {
        options(&text).map_or(Ok(()), Err)
    };
    problem.map_err(wrong)?;
    Ok(Input { digest: Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect() })
}

fn text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    fs::read_to_string(path)
}

/// The first line of requirements that is an option.
fn options(text: &str) -> Option<String> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let (number, line) = lines.into_iter().find(|(_, line)| line.starts_with('-'))?;
    let what = line.split_whitespace().next().unwrap_or(line);
    Some(format!(
        "line {number} is the option {what}: write down names and versions alone; where packages come from is what pip is \
         configured for (pip config)"
    ))
}

/// Whether a text has a list of dependencies in the table of this path.
fn has_list(text: &str, path: &[&str]) -> bool {
    let Ok(mut table) = text.parse::<toml::Table>() else { return false };
    for name in path {
        let Some(toml::Value::Table(inner)) = table.remove(*name) else { return false };
        table = inner;
    }
    matches!(table.get("dependencies"), Some(toml::Value::Array(_)))
}

/// The metadata of a script, without the marks of comments.
fn metadata(text: &str) -> Option<String> {
    let (begin, end, mark) = SCRIPT;
    let inner = text.lines().skip_while(|line| line.trim_end() != begin).skip(1);
    let lines: Vec<&str> = inner.take_while(|line| line.starts_with(mark)).collect();
    let last = lines.iter().rposition(|line| line.trim_end() == end)?;
    let bare = |line: &&str| {
        let rest = line.strip_prefix(mark).unwrap_or(line);
        rest.strip_prefix(' ').unwrap_or(rest).to_owned()
    };
    Some(lines[..last].iter().map(bare).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{has_list, metadata, options};

    #[test]
    fn requirements_are_names_and_no_options() {
        assert_eq!(options("requests\n# --index-url in words\nscipy>=1.11 # -r\n"), None);
        for line in ["-r other.txt", "  --index-url https://index.example", "-e .", "--find-links=x"] {
            assert!(
                options(&format!("requests\n{line}\n")).is_some_and(|said| said.starts_with("line 2 is the option -")),
                "{line}"
            );
        }
    }

    #[test]
    fn metadata_and_projects_have_a_list_of_dependencies() {
        let script = "import x\n# /// script\n# dependencies = [\n#   \"requests\",\n# ]\n# ///\nx()\n";
        let read = metadata(script).expect("metadata");
        assert!(has_list(&read, &[]), "{read}");
        assert_eq!(metadata("# /// script\n# dependencies = []\nx()\n"), None);
        assert!(has_list("[project]\nname = \"a\"\ndependencies = []\n", &["project"]));
        assert!(!has_list("[project]\nname = \"a\"\n", &["project"]) && !has_list("x", &["project"]));
    }
}
