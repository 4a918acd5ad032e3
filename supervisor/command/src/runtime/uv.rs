//! uv, which resolves and installs: one version, by the digest of its wheel, and held so that it writes nowhere but where it
//! is told to.
//!
//! It never builds anything, so that nothing of a package runs, and takes settings from nobody but the operator's pip.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use cloister_policy::packages::at_fault;

use super::args::HOLD;
use super::error::{Doing, Error};
use super::parent;
use super::pinned::{VERSION, WHEEL};
use super::pip::{Pip, Sources};
use super::progress::tell;
use super::store::Store;

/// This program, which holds it.
const OWN: &str = "/proc/self/exe";

/// How often it is looked at what is on disk meanwhile.
const GLANCE: Duration = Duration::from_millis(500);

/// How many of its last lines are told when it fails.
const LAST: usize = 30;

/// What every command of it is told.
const ALWAYS: [&str; 4] = ["--no-build", "--no-config", "--no-sources", "--color=never"];

/// A uv that is there, and where packages come from.
#[derive(Debug)]
pub struct Uv {
    program: PathBuf,
    sources: Sources,
    cache: PathBuf,
}

impl Uv {
    /// The one of the store, or of the version on the PATH; fetched, if there is none.
    pub fn find(store: &Store) -> Result<Self, Error> {
        let pip = Pip::find();
        let sources = pip.as_ref().map(Pip::sources).unwrap_or_default();
        let directory = store.tools().join(format!("uv-{VERSION}"));
        let kept = directory.join("bin/uv");
        let program = if kept.is_file() {
            if let Some(why) = at_fault(&directory, nix::unistd::geteuid().as_raw()) {
                return Err(Error::Tool(directory, why));
            }
            kept
        } else if let Some(found) = on_path() {
            found
        } else {
            fetch((&pip?, &sources), store, &directory)?;
            kept
        };
        let cache = store.cache();
        fs::create_dir_all(&cache).doing(|| format!("make {}", cache.display()))?;
        Ok(Self { program, sources, cache })
    }

    /// Runs `uv pip` with these arguments, held to a directory of its own; `look` is asked now and then whether that may go on.
    pub fn pip<I: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
        within: &Path,
        look: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let scratch = within.join("scratch");
        fs::create_dir_all(&scratch).doing(|| format!("make {}", scratch.display()))?;
        let mut command = Command::new(OWN);
        command
            .args(["runtime", HOLD, parent::OPTION, &parent::own(), "--write"])
            .arg(within)
            .arg("--write")
            .arg(&self.cache)
            .arg("--")
            .arg(&self.program);
        command.arg("pip").args(arguments).args(ALWAYS).args(&self.sources.options);
        // Nothing of where it was started from, or of an environment that is active there, is asked.
        command.current_dir(within);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_settings(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.envs(self.sources.variables.iter().map(|(name, value)| (name, value)));
        command.env("UV_CACHE_DIR", &self.cache).env("UV_PYTHON_DOWNLOADS", "never").env("TMPDIR", &scratch);
        let done = watched(command, look);
        fs::remove_dir_all(&scratch).doing(|| format!("remove {}", scratch.display()))?;
        done
    }
}

/// Whether a variable says something to it.
fn is_settings(variable: &str) -> bool {
    variable.starts_with("UV_") || matches!(variable, "VIRTUAL_ENV" | "CONDA_PREFIX")
}

/// Runs a program to its end, and passes on what it says meanwhile.
fn watched(mut command: Command, look: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Uv(format!("could not be started: {error}"));
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (send, said) = channel();
    let words = child.stderr.take();
    let listener = std::thread::spawn(move || {
        for line in words.into_iter().flat_map(|words| BufReader::new(words).lines().map_while(Result::ok)) {
            let _ = send.send(line);
        }
    });
    let mut last = Vec::new();
    let watched = loop {
        match said.recv_timeout(GLANCE) {
            Ok(line) => {
                eprintln!("  {line}");
                last.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break look(),
            Err(RecvTimeoutError::Timeout) => match look() {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
        }
    };
    if watched.is_err() {
        let _ = child.kill();
    }
    let ended = child.wait().map_err(failed)?;
    let _ = listener.join();
    watched?;
    if ended.success() {
        return Ok(());
    }
    let last = last.split_off(last.len().saturating_sub(LAST)).join("\n  ");
    Err(Error::Uv(format!("could not do it ({ended}):\n  {last}")))
}

/// One of this version that the operator has installed.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|directory| directory.join("uv")).find(|program| program.is_file())?;
    let said = Command::new(&found).arg("--version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    (said.split_whitespace().nth(1) == Some(VERSION)).then_some(found)
}

fn fetch((pip, sources): (&Pip, &Sources), store: &Store, directory: &Path) -> Result<(), Error> {
    tell(format_args!("fetching uv {VERSION}"));
    let new = store.make()?;
    let requirements = new.path().join("requirements.txt");
    let text = format!("uv=={VERSION} --hash=sha256:{WHEEL}\n");
    fs::write(&requirements, text).doing(|| format!("write {}", requirements.display()))?;
    pip.install(&requirements, new.path(), sources)?;
    if !new.path().join("bin/uv").is_file() {
        return Err(Error::NoUv("its wheel has no program".to_owned()));
    }
    fs::create_dir_all(store.tools()).doing(|| format!("make {}", store.tools().display()))?;
    let _ = fs::remove_dir_all(directory);
    new.finish(directory)
}
