//! The policy, as a process without privileges has read it.
//!
//! A file that people write is read by a parser of thousands of lines, and this process has root's power. So it opens the
//! file, for only root may be able to, and hands it to the operator's program, started as an id that nobody has; that
//! checks it, looks at the host with the eyes of a job, and answers with what it comes to. The answer is bounded, read into
//! the policy's own types and looked at again. It must never be put in force when that process ends, hangs or babbles.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cloister_program::Untrusted;
use cloister_terms::{Policy, READERS, Uid, Unsound};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::daemon::id_map::IdMap;
use crate::daemon::program::{NoProgram, Program};

/// The program, beside this one.
const PROGRAM: &str = "cloister";

/// The hidden subcommand of its `policy` that reads for this process.
pub const RESOLVE: &str = "resolve";

/// How long it may take: it looks through what the policy shows, which may be on a slow disk.
const TIME: Duration = Duration::from_secs(60);

/// The most that is taken of what it answers, in bytes: thousands of profiles, each with all its calls.
const LONGEST_ANSWER: u64 = 16 << 20;

/// The most that is taken of what it says is wrong.
const LONGEST_WORDS: u64 = 256 * 1024;

/// Whom it is started as: an id that nobody has.
pub fn reader() -> Uid {
    let map = IdMap::own();
    READERS.into_iter().find(|reader| map.has_one(*reader)).unwrap_or(READERS[0])
}

/// Why there is no policy. Each is a sentence for a person, or more of them.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The file is not gone by.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It has mistakes, in the words of the one who read it.
    #[error("{0}")]
    Mistakes(String),
    /// The program that reads it is not there.
    #[error("read the policy: {0}")]
    NoProgram(#[from] NoProgram),
    /// It cannot be started.
    #[error("read the policy: start {PROGRAM} as {1}: {0}")]
    Unstarted(io::Error, Uid),
    /// It has not ended in time.
    #[error("read the policy: {PROGRAM} has not read it within {} seconds: is there a file system that hangs?", TIME.as_secs())]
    TooSlow,
    /// It has said more than a policy can be.
    #[error("read the policy: it comes to more than {LONGEST_ANSWER} bytes: has it too many profiles?")]
    TooMuch,
    /// It has ended without an answer.
    #[error("read the policy: {PROGRAM} ended without an answer ({0})")]
    Ended(ExitStatus),
    /// It has answered something else.
    #[error("read the policy: what {PROGRAM} answered is none ({0}): are both programs of one version?")]
    Garbled(#[from] serde_json::Error),
    /// It has answered what must not be.
    #[error("read the policy: what {PROGRAM} answered must not be put in force: {0}")]
    Unsound(#[from] Unsound),
    /// What it says cannot be heard.
    #[error("read the policy: listen to {PROGRAM}: {0}")]
    Deaf(#[from] io::Error),
}

impl NoPolicy {
    /// Whether it is the file that is at fault.
    pub(crate) fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::Mistakes(_))
    }
}

/// The program that reads policies.
#[derive(Debug)]
pub struct Reader(Program);

impl Reader {
    /// The one beside this process's own program.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn find() -> Result<Self, NoPolicy> {
        Ok(Self(Program::beside(PROGRAM)?))
    }

    /// Has a policy read. Whoever gives up waiting ends what reads.
    ///
    /// # Errors
    /// [`NoPolicy`].
    pub async fn read(&self, file: File, name: &Path) -> Result<Answer, NoPolicy> {
        tokio::time::timeout(TIME, self.resolve(file, name)).await.map_err(|_| NoPolicy::TooSlow)?
    }

    async fn resolve(&self, file: File, name: &Path) -> Result<Answer, NoPolicy> {
        let reader = reader();
        let mut child = Command::new(self.0.path())
            .arg0(PROGRAM)
            .env_clear()
            .current_dir("/")
            .args(["policy", RESOLVE, "--name"])
            // Its own directory is another, and what lies beside the file is found by this.
            .arg(std::path::absolute(name)?)
            .stdin(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .uid(reader.0)
            .gid(reader.0)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| NoPolicy::Unstarted(error, reader))?;
        let (answer, words) = (child.stdout.take(), child.stderr.take());
        let (answer, words) = tokio::try_join!(all_of(answer, LONGEST_ANSWER), all_of(words, LONGEST_WORDS))?;
        let ended = child.wait().await?;
        if ended.success() {
            return Ok(Answer(answer));
        }
        match String::from_utf8_lossy(&words).trim_end() {
            "" => Err(NoPolicy::Ended(ended)),
            _ if ended.code().is_none() => Err(NoPolicy::Ended(ended)),
            words => Err(NoPolicy::Mistakes(words.to_owned())),
        }
    }
}

/// What the program has answered, as it came.
#[derive(Debug)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// The policy that it is. It may be long: not for an event loop that others need.
    ///
    /// # Errors
    /// When it is none, or one that must not be put in force.
    pub fn policy(&self) -> Result<Policy, NoPolicy> {
        let policy: Policy = serde_json::from_slice(&self.0)?;
        policy.check()?;
        Ok(policy)
    }
}

/// All that comes out of a pipe.
async fn all_of(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> Result<Vec<u8>, NoPolicy> {
    let mut all = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most + 1).read_to_end(&mut all).await?;
    }
    if all.len() as u64 > most { Err(NoPolicy::TooMuch) } else { Ok(all) }
}
