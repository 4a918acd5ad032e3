//! What a session's interpreter says: untrusted bytes, read to limits.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use cloister_protocol::report::LARGEST_ERROR;
use cloister_protocol::{Checkpoint, MimeBundle, event};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::job::calls::Calls;
use crate::job::report::{CALL, Hearing, Said, payload, read_call};
use crate::link::event_loop::LARGE;

/// How many things a cell may show.
const MOST_SHOWN: usize = 1000;

/// The longest that a session says of itself at rest, in bytes.
pub(super) const LONGEST_REST: u64 = 64 * 1024;

/// The longest that it says of an order that it has carried out, in bytes: a thousand paths of 4,096.
const LONGEST_SAID: u64 = 8 * 1024 * 1024;

/// What a cell shows, as it comes.
#[derive(Debug)]
pub struct Shown {
    most: u64,
    /// Who is told of it as it comes, if somebody is.
    told: Option<Arc<Calls>>,
    so_far: Mutex<SoFar>,
}

/// What it has shown by now.
#[derive(Debug, Default)]
pub struct SoFar {
    /// What was displayed.
    pub display: Vec<MimeBundle>,
    /// The value of the last expression.
    pub value: Option<MimeBundle>,
    /// Whether more was than is kept.
    pub more: bool,
    bytes: u64,
}

impl Shown {
    /// Nothing yet, and so many bytes at most.
    #[must_use]
    pub fn new(most: u64, told: Option<Arc<Calls>>) -> Self {
        Self { most, told, so_far: Mutex::default() }
    }

    /// All of it.
    #[must_use]
    pub fn into_all(self) -> SoFar {
        self.so_far.into_inner().expect("nothing panics while it holds this lock")
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().expect("nothing panics while it holds this lock")
    }

    /// Takes what was displayed, or the value; `false` for what the runner would not write.
    async fn take(&self, tag: u8, bytes: Vec<u8>) -> bool {
        let (length, is_large) = (bytes.len() as u64, bytes.len() >= LARGE);
        let read = move || MimeBundle::read(&bytes);
        let bundle =
            if is_large { tokio::task::spawn_blocking(read).await.expect("reading does not panic") } else { read() };
        let Some(bundle) = bundle else { return false };
        let event = self.told.as_ref().filter(|_| tag == DISPLAY).map(|told| (told, event::display(&bundle)));
        if self.keep(tag, bundle, length)
            && let Some((told, event)) = event
        {
            told.tell(event).await;
        }
        true
    }

    /// Keeps it, if there is room for it.
    fn keep(&self, tag: u8, bundle: MimeBundle, length: u64) -> bool {
        let mut so_far = self.lock();
        if tag == VALUE {
            so_far.value = Some(bundle);
        } else if so_far.bytes + length > self.most || so_far.display.len() >= MOST_SHOWN {
            so_far.more = true;
            return false;
        } else {
            so_far.bytes += length;
            so_far.display.push(bundle);
        }
        true
    }
}

/// The tags of what is shown: while a cell runs, and its value.
const DISPLAY: u8 = b'M';
const VALUE: u8 = b'T';

/// Reads what a cell says, to its verdict.
pub async fn read_cell(pipe: &mut (impl AsyncRead + Unpin), most: u64, shown: &Shown, hearing: Hearing<'_>) -> Said {
    read_frames(pipe, most, shown, hearing).await.unwrap_or(Said::Nothing)
}

async fn read_frames(
    pipe: &mut (impl AsyncRead + Unpin),
    most: u64,
    shown: &Shown,
    hearing: Hearing<'_>,
) -> io::Result<Said> {
    let mut shows = 0;
    loop {
        let tag = pipe.read_u8().await?;
        if tag == CALL {
            if !read_call(pipe, hearing).await? {
                return Ok(Said::Garbled);
            }
            continue;
        }
        let length = pipe.read_u64().await?;
        match tag {
            // The runner shows no more than it may, one thing by which that is known, and a value.
            DISPLAY | VALUE if length <= most && shows < MOST_SHOWN + 2 => {
                shows += 1;
                let bytes = payload(pipe, length).await?;
                (hearing.before)();
                if !shown.take(tag, bytes).await {
                    return Ok(Said::Garbled);
                }
            }
            b'R' if length <= most => return Ok(Said::Result(payload(pipe, length).await?)),
            b'N' if length == 0 => return Ok(Said::NoForm),
            b'E' if length <= LARGEST_ERROR => return Ok(Said::CellError(payload(pipe, length).await?)),
            _ => return Ok(Said::Garbled),
        }
    }
}

/// How a session begins.
#[derive(Debug)]
pub(super) enum Opening {
    /// At rest.
    Rest(Checkpoint),
    /// With why it does not.
    Refused(Vec<u8>),
    /// With something that the runner would not write, or the end of it.
    Nothing,
}

/// Reads how a session begins.
pub(super) async fn read_opening(pipe: &mut (impl AsyncRead + Unpin)) -> Opening {
    let said = async {
        let (tag, length) = (pipe.read_u8().await.ok()?, pipe.read_u64().await.ok()?);
        match tag {
            b'K' if length <= LONGEST_REST => Checkpoint::read(&payload(pipe, length).await.ok()?).map(Opening::Rest),
            b'E' if length <= LARGEST_ERROR => payload(pipe, length).await.ok().map(Opening::Refused),
            _ => None,
        }
    };
    said.await.unwrap_or(Opening::Nothing)
}

/// Reads until the interpreter says that it is at rest; `None` if it says something that the runner would not.
///
/// What its threads call and show meanwhile is nobody's: the cell is over.
pub async fn read_rest(pipe: &mut (impl AsyncRead + Unpin), most: u64) -> Option<Checkpoint> {
    loop {
        let (tag, length) = (pipe.read_u8().await.ok()?, pipe.read_u64().await.ok()?);
        match tag {
            b'K' if length <= LONGEST_REST => return Checkpoint::read(&payload(pipe, length).await.ok()?),
            CALL | DISPLAY if length <= most => drop(payload(pipe, length).await.ok()?),
            _ => return None,
        }
    }
}

/// What came back, before it is looked at.
#[derive(Debug)]
pub(super) enum Reply {
    /// It is done, and this is said of it.
    Done(Vec<u8>),
    /// What is in a file.
    Content(Vec<u8>),
    /// Why it is not done.
    Failed(Vec<u8>),
}

/// Reads what an order came to; `None` for what the runner would not write.
pub(super) async fn read_reply(pipe: &mut (impl AsyncRead + Unpin), most: u64) -> Option<Reply> {
    loop {
        let (tag, length) = (pipe.read_u8().await.ok()?, pipe.read_u64().await.ok()?);
        let longest = if tag == b'R' { LONGEST_SAID } else { most.max(LARGEST_ERROR) };
        if length > longest {
            return None;
        }
        let bytes = payload(pipe, length).await.ok()?;
        return match tag {
            b'R' => Some(Reply::Done(bytes)),
            b'F' => Some(Reply::Content(bytes)),
            b'E' => Some(Reply::Failed(bytes)),
            CALL | DISPLAY => continue,
            _ => None,
        };
    }
}
