//! The operator's pip: it fetches uv, and says where packages come from. Its configuration, files and variables, is handed
//! to uv in uv's own words; nothing here knows an index.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::error::Error;

/// How it may be started.
const WAYS: [&[&str]; 2] = [&["python3", "-m", "pip"], &["pip3"]];

/// A pip that runs.
#[derive(Debug)]
pub struct Pip(&'static [&'static str]);

/// Where packages come from: variables and options for uv.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Variables. Addresses may have a password in them, which an option would show to all.
    pub variables: Vec<(&'static str, String)>,
    /// Options.
    pub options: Vec<String>,
}

impl Pip {
    /// The first that runs.
    pub fn find() -> Result<Self, Error> {
        let runs = |pip: &Self| pip.run(&["--version"]).is_some_and(|output| output.status.success());
        WAYS.into_iter().map(Self).find(runs).ok_or(Error::NoPip)
    }

    /// Installs what a file of requirements with digests says into a directory; what pip said, if it could not.
    pub fn install(&self, requirements: &Path, target: &Path, sources: &Sources) -> Result<(), Error> {
        let (requirements, target) = (requirements.to_string_lossy(), target.to_string_lossy());
        let options = ["install", "--quiet", "--no-deps", "--no-compile", "--require-hashes", "--only-binary", ":all:"];
        let places: Vec<_> = sources.options.iter().map(String::as_str).collect();
        let all = [&options[..], &places, &["--target", &target, "-r", &requirements]].concat();
        match self.run(&all) {
            Some(output) if output.status.success() => Ok(()),
            Some(output) => Err(Error::NoUv(last_words(&String::from_utf8_lossy(&output.stderr)))),
            None => Err(Error::NoPip),
        }
    }

    /// What is configured.
    pub fn sources(&self) -> Sources {
        let listed = self.run(&["config", "list"]).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Sources::of(&listed.unwrap_or_default())
    }

    fn run(&self, arguments: &[&str]) -> Option<Output> {
        let [program, first @ ..] = self.0 else { return None };
        let mut command = Command::new(program);
        // A module of its name where this was started is not it.
        command.args(first).args(arguments).stdin(Stdio::null()).current_dir("/");
        // What would keep it from installing into a directory is not meant for this.
        command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_ROOT_USER_ACTION", "ignore");
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").output().ok()
    }
}

/// The last line that says something.
fn last_words(said: &str) -> String {
    said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

/// pip's sections in the order in which they count: variables, the command's own, everybody's.
const SECTIONS: [&str; 3] = [":env:", "install", "global"];

impl Sources {
    /// From what `pip config list` prints: a line `section.key='value'` each.
    fn of(listed: &str) -> Self {
        let get = |key: &str| {
            let line = |section: &&str| listed.lines().find_map(|line| line.strip_prefix(&format!("{section}.{key}=")));
            let value = SECTIONS.iter().find_map(line).map(plain)?;
            (!value.trim().is_empty()).then_some(value)
        };
        let words = |value: String| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut sources = Self::default();
        for (key, variable) in [
            ("index-url", "UV_DEFAULT_INDEX"),
            ("cert", "SSL_CERT_FILE"),
            ("client-cert", "SSL_CLIENT_CERT"),
            ("timeout", "UV_HTTP_TIMEOUT"),
        ] {
            sources.variables.extend(get(key).map(|value| (variable, value)));
        }
        for (key, variable) in [("extra-index-url", "UV_EXTRA_INDEX_URL"), ("trusted-host", "UV_INSECURE_HOST")] {
            sources.variables.extend(get(key).map(|value| (variable, words(value).join(" "))));
        }
        for variable in ["HTTP_PROXY", "HTTPS_PROXY"] {
            sources.variables.extend(get("proxy").map(|value| (variable, value)));
        }
        for place in get("find-links").map(words).unwrap_or_default() {
            sources.options.extend(["--find-links".to_owned(), absolute(place)]);
        }
        if get("no-index").is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())) {
            sources.options.push("--no-index".to_owned());
        }
        sources
    }
}

/// A place that is named from where this was started, by its whole path. An address has a colon in front of its first slash.
fn absolute(place: String) -> String {
    let is_address = place.split('/').next().is_some_and(|first| first.contains(':'));
    let whole = if is_address { None } else { std::path::absolute(&place).ok() };
    whole.map_or(place, |whole| whole.display().to_string())
}

/// A value without Python's quotes around it.
fn plain(value: &str) -> String {
    let inner = value.trim().trim_matches(['\'', '"']);
    inner.replace("\\n", "\n").replace("\\'", "'").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::Sources;

    #[test]
    fn what_pip_is_configured_for_is_said_in_uvs_words() {
        let listed = ":env:.index-url='https://a.example/simple'\nglobal.index-url='https://b.example/simple'\n\
                      global.extra-index-url='\\nhttps://c.example\\nhttps://d.example'\ninstall.find-links='/wheels /more'\n\
                      global.cert='/etc/ca.crt'\nglobal.no-index='false'\nglobal.proxy='http://p.example:3128'\n";
        let Sources { variables, options } = Sources::of(listed);
        let expected = [
            ("UV_DEFAULT_INDEX", "https://a.example/simple"),
            ("SSL_CERT_FILE", "/etc/ca.crt"),
            ("UV_EXTRA_INDEX_URL", "https://c.example https://d.example"),
            ("HTTP_PROXY", "http://p.example:3128"),
            ("HTTPS_PROXY", "http://p.example:3128"),
        ];
        assert_eq!(variables, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(options, ["--find-links", "/wheels", "--find-links", "/more"]);
        let named = Sources::of("global.find-links='wheels file:///w https://w.example/x'\n").options;
        let here = std::env::current_dir().expect("there").join("wheels").display().to_string();
        assert_eq!([&named[1], &named[3], &named[5]], [&here, "file:///w", "https://w.example/x"]);
        assert_eq!(Sources::of(""), Sources::default());
        assert_eq!(Sources::of("global.no-index='1'\n").options, ["--no-index"]);
    }
}
