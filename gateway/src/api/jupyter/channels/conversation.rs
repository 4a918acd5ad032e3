//! A conversation on a kernel's channels, from its beginning to its end. Cells run one after another, and what is asked meanwhile
//! is answered meanwhile.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::JobId;
use hyper::upgrade::Upgraded;
use hyper::{HeaderMap, StatusCode};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::super::kernel::Session;
use super::super::one::Deed;
use super::requests::{Asked, Cell, Parent, Request};
use super::voice::{Channel, Voice, failed};
use crate::admission::body_budget::TenantBody;
use crate::api::app::App;
use crate::api::connect::arrival::{Arrival, Followed};
use crate::api::connect::speech::{LARGE, Over, Speech};
use crate::api::connect::wire::{Came, Wire};
use crate::api::refusal::refuse_with;

/// How many cells may wait.
const MOST: usize = 64;

/// How long a conversation lasts beyond its session, if no cell comes, and at most.
const BEYOND: Duration = Duration::from_secs(60);
const LONGEST_IDLE: u64 = 3600;

/// Of what a conversation is.
#[derive(Debug)]
pub struct Spoken {
    pub(super) kernel: JobId,
    idle: Duration,
    /// How many cells have begun in it.
    pub(super) cells: u64,
    voice: Voice,
}

/// A conversation.
#[derive(Debug)]
pub struct Conversation {
    pub(super) app: Arc<App>,
    /// Who speaks, as the request said that opened it.
    pub(super) asked: (HeaderMap, IpAddr),
    pub(super) arrival: Arrival,
    pub(super) speech: Speech,
    pub(super) spoken: Spoken,
    /// Cells that came while another ran.
    pub(super) waiting: VecDeque<Waiting>,
}

/// A cell that waits, and the memory that its message takes.
#[derive(Debug)]
pub struct Waiting {
    pub(super) cell: Cell,
    pub(super) parent: Parent,
    pub(super) memory: TenantBody,
}

impl Spoken {
    /// Of this kernel, as its session is, with this version of Python.
    pub fn of(kernel: JobId, session: &Session, python: Option<String>) -> Self {
        let idle = Duration::from_secs(session.idle_s.min(LONGEST_IDLE)) + BEYOND;
        Self { kernel, idle, cells: session.cells, voice: Voice::new(python) }
    }
}

impl Conversation {
    /// On a connection that was just handed over.
    pub async fn open(
        app: Arc<App>,
        asked: (HeaderMap, IpAddr),
        (arrival, spoken): (Arrival, Spoken),
        stream: Upgraded,
    ) -> Self {
        let caller = app.admission.recognise(&asked.0, asked.1);
        let memory = app.bodies.begin(caller.map(|caller| caller.tenant()).unwrap_or_default());
        let speech = Speech::new(Wire::new(stream, memory, app.max_body).await);
        Self { app, asked, arrival, speech, spoken, waiting: VecDeque::new() }
    }

    /// Goes on until it is over.
    pub async fn go_on(mut self) {
        let over = loop {
            let idle = Instant::now() + self.spoken.idle;
            let done = match self.waiting.pop_front() {
                Some(waiting) => self.run(waiting).await,
                None => self.hear_between_cells(idle).await,
            };
            if let Err(over) = done {
                break over;
            }
        };
        self.speech.end(over).await;
    }

    /// Hears what comes while no cell runs. Clients that read only what they wait for give no sign of life then, and none is asked for.
    async fn hear_between_cells(&mut self, idle: Instant) -> Result<(), Over> {
        let going = self.app.going.clone();
        while self.waiting.is_empty() {
            let came = tokio::select! {
                came = self.speech.wire.next() => came,
                () = sleep_until(idle) => return Err(Over::Because(CloseCode::Normal, "no cell has run for long")),
                () = going.told() => return Err(Over::Because(CloseCode::Away, "this node is going away")),
            };
            self.hear(Some(came)).await?;
        }
        Ok(())
    }

    /// Deals with what has come: cells are to wait, all else is answered.
    pub(super) async fn hear(&mut self, came: Option<Came>) -> Result<(), Over> {
        let Some(text) = self.speech.text(came).await? else { return Ok(()) };
        let is_large = text.len() >= LARGE;
        let request = self.speech.wire.memory().work_on(is_large, move || Request::read(&text)).await;
        match request {
            Some(Request { asked: Asked::Execute(cell), parent }) if self.waiting.len() < MOST => {
                let memory = self.speech.wire.hand_over();
                self.waiting.push_back(Waiting { cell, parent, memory });
                return Ok(());
            }
            Some(Request { asked: Asked::Execute(_), parent }) => {
                self.speech.disregard()?;
                self.reply(&parent, "execute_reply", &failed("session_busy", "too many cells wait")).await?;
            }
            Some(Request { asked: Asked::Interrupt, parent }) => self.do_to_kernel(&parent, Deed::Interrupt).await?,
            Some(Request { asked: Asked::Shutdown(false), parent }) => self.do_to_kernel(&parent, Deed::Close).await?,
            Some(Request { asked: Asked::Shutdown(true), parent }) => self.do_to_kernel(&parent, Deed::Restart).await?,
            Some(Request { asked, parent }) => match self.spoken.voice.reply(&asked) {
                Some((kind, content)) => self.reply(&parent, &kind, &content).await?,
                None => self.speech.disregard()?,
            },
            None => self.speech.disregard()?,
        }
        self.speech.wire.done();
        Ok(())
    }

    /// Has it done to the kernel, and says so.
    async fn do_to_kernel(&mut self, parent: &Parent, deed: Deed) -> Result<(), Over> {
        let Followed { id, answer } = (self.arrival.begin)();
        let (kernel, (headers, client)) = (self.spoken.kernel, &self.asked);
        let told = match self.app.admission.identify(headers, *client) {
            Ok(caller) => {
                let done = self.app.have(id, &caller, kernel, deed).await;
                let mut response = done.unwrap_or_else(|refusal| *refusal);
                caller.sign(&mut response);
                response
            }
            Err(refused) => refuse_with(id, refused),
        };
        let told = answer(told);
        let done = told.status() < StatusCode::BAD_REQUEST || told.status() == StatusCode::GONE;
        let (kind, content) = match deed {
            Deed::Close => ("shutdown_reply", r#"{"status":"ok","restart":false}"#),
            Deed::Restart => ("shutdown_reply", r#"{"status":"ok","restart":true}"#),
            _ => ("interrupt_reply", r#"{"status":"ok"}"#),
        };
        if done && matches!(deed, Deed::Restart) {
            self.spoken.cells = 0;
        }
        let content = if done { content.into() } else { Self::wrong(self.spoken.cells, told).await };
        self.reply(parent, kind, &content).await
    }

    /// Says what answers a request, between that the kernel is busy and that it is idle again.
    pub(super) async fn reply(&mut self, parent: &Parent, kind: &str, content: &[u8]) -> Result<(), Over> {
        self.tell_state(parent, true).await?;
        self.tell(Channel::Reply, kind, parent, content).await?;
        self.tell_state(parent, false).await
    }

    /// Says something about a request.
    pub(super) async fn tell(
        &mut self,
        channel: Channel,
        kind: &str,
        parent: &Parent,
        content: &[u8],
    ) -> Result<(), Over> {
        let text = self.spoken.voice.say(channel, kind, parent, content);
        self.speech.send(text).await
    }

    /// Says whether the kernel is busy with a request.
    pub(super) async fn tell_state(&mut self, parent: &Parent, busy: bool) -> Result<(), Over> {
        let text = self.spoken.voice.state(parent, busy);
        self.speech.send(text).await
    }
}
