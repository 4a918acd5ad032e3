//! The files of a session: where one may be, and what a session says that it has. That is a stranger's word, as all that a session says.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::claim::at_most;
use crate::field::InvalidRequest;
use crate::files::check_path;
use crate::json::check;

/// How many files are told of at once.
pub const MOST_FILES: usize = 1000;

/// The longest of their paths, in bytes: the kernel takes none above, `PATH_MAX`.
const LONGEST_PATH: usize = 4096;

/// The longest time, in bytes: `2030-01-31T08:00:00.000000000+00:00`.
const LONGEST_TIME: usize = 35;

/// Files of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionFiles {
    /// Those of its working directory, and of the directories in it.
    pub files: Vec<SessionFile>,
    /// How many more there are than are told of.
    pub more: u64,
}

/// A file of a session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionFile {
    /// Where it is, relative to the working directory.
    #[cfg_attr(feature = "openapi", schema(example = "plots/a.png"))]
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, such as `2030-01-31T08:00:00Z` (RFC 3339).
    pub modified: String,
}

impl SessionFiles {
    /// Reads what a session has written as its list: any bytes. `None` for what the runner would not write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow, deserialize_with = "at_most::<_, _, MOST_FILES>")]
            files: Vec<&'a RawValue>,
            #[serde(default)]
            more: u64,
        }
        let json: &RawValue = serde_json::from_slice(bytes).ok()?;
        if !json.get().starts_with('{') {
            return None;
        }
        check(json).ok()?;
        let Raw { files, more } = serde_json::from_str(json.get()).ok()?;
        let files = files
            .into_iter()
            .map(|file| file.get().starts_with('{').then(|| serde_json::from_str(file.get()).ok())?.filter(is_file));
        Some(Self { files: files.collect::<Option<_>>()?, more })
    }
}

fn is_file(file: &SessionFile) -> bool {
    let SessionFile { path, modified, .. } = file;
    let is_time =
        !modified.is_empty() && modified.bytes().all(|byte| byte.is_ascii_digit() || b"-+:.TZ".contains(&byte));
    !path.is_empty() && path.len() <= LONGEST_PATH && is_time && modified.len() <= LONGEST_TIME
}

/// Checks where a file of a session is: relative to its working directory, and nowhere above it.
///
/// # Errors
/// [`InvalidRequest`], which says what was expected.
pub fn check_file_path(path: &str) -> Result<(), InvalidRequest> {
    check_path(path).map_err(|why| InvalidRequest::new(format!("the path {why}")))
}

#[cfg(test)]
mod tests {
    use super::{MOST_FILES, SessionFile, SessionFiles, check_file_path};
    use crate::json::tests::{bomb, on_a_small_stack};

    #[test]
    fn a_list_is_read_and_bounded() {
        let file = r#"{"path": "a/\u00e9", "size": 3, "modified": "2030-01-31T08:00:00.5Z"}"#;
        let read = SessionFiles::read(format!(r#"{{"files": [{file}], "more": 2}}"#).as_bytes()).expect("one");
        let told = SessionFile { path: "a/é".to_owned(), size: 3, modified: "2030-01-31T08:00:00.5Z".to_owned() };
        assert_eq!(read, SessionFiles { files: vec![told], more: 2 });
        let many = format!(r#"{{"files": [{file}{}]}}"#, format!(", {file}").repeat(2 * MOST_FILES));
        assert_eq!(SessionFiles::read(many.as_bytes()).map(|read| read.files.len()), Some(MOST_FILES));
    }

    #[test]
    fn what_the_runner_would_not_write_is_no_list() {
        for forged in [
            "",
            "{}",
            "[[]]",
            r#"{"files": {}}"#,
            r#"{"files": [1]}"#,
            r#"{"files": [["a", 1, "2030"]]}"#,
            r#"{"files": [{"path": "a", "size": 1}]}"#,
            r#"{"files": [{"path": "a", "size": -1, "modified": "2030"}]}"#,
            r#"{"files": [{"path": "", "size": 1, "modified": "2030"}]}"#,
            r#"{"files": [{"path": "a", "size": 1, "modified": "yesterday"}]}"#,
            r#"{"files": [{"path": "a", "size": 1, "modified": ""}]}"#,
            r#"{"files": [{"path": "\ud800", "size": 1, "modified": "2030"}]}"#,
            r#"{"files": [], "files": []}"#,
            r#"{"files": [], "more": -1}"#,
        ] {
            assert_eq!(SessionFiles::read(forged.as_bytes()), None, "{forged}");
        }
        let bombs = format!(r#"{{"files": [{}]}}"#, bomb(100_000));
        assert_eq!(on_a_small_stack(|| SessionFiles::read(bombs.as_bytes())), None);
    }

    #[test]
    fn a_path_leads_nowhere_but_down() {
        for bad in ["", "/", "/a", "..", "a/..", "./a", "a//b", "a/", "a\0b", &"n".repeat(256), &"n/".repeat(600)] {
            let wrong = check_file_path(bad).expect_err(bad).to_string();
            assert!(wrong.starts_with("the path "), "{bad}: {wrong}");
        }
        for good in ["a", "a/b", "out/plot.png", "...", "a b", "é", ".hidden"] {
            assert_eq!(check_file_path(good), Ok(()), "{good}");
        }
    }
}
