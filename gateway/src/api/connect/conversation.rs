//! A conversation from its first message to its end.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{JobId, Message, Return, Returned, Tenant, Writer};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::upgrade::Upgraded;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::connect::arrival::{Arrival, Followed};
use crate::api::connect::messages::{call_in, not_begun, refused, returned, typed};
use crate::api::connect::wire::{Came, PIECE, Wire};
use crate::api::refusal::refuse_with;
use crate::upstream::away::{Away, HandedOn};
use crate::upstream::events::{Event, EventReader, Piece};
use crate::upstream::order::Wish;

/// From this size on a message's parsing would keep other connections waiting.
const LARGE: usize = 128 * 1024;

/// How long a peer may give no sign of life before it is asked for one, and then before it is taken to be gone.
const QUIET: Duration = Duration::from_secs(30);

/// How long a peer may take to part.
const PARTING: Duration = Duration::from_secs(5);

/// How long a conversation may go without a job.
const IDLE: Duration = Duration::from_secs(600);

/// How many messages are refused with nothing else between them. They count against no key.
const MOST_REFUSED: u32 = 100;

/// How a conversation ends.
#[derive(Clone, Copy, Debug)]
enum Over {
    /// Its client has left.
    Left,
    /// For this.
    Because(CloseCode, &'static str),
}

/// A conversation.
#[derive(Debug)]
pub struct Conversation {
    app: Arc<App>,
    /// Who speaks, as the request said that opened it.
    asked: (HeaderMap, IpAddr),
    arrival: Arrival,
    wire: Wire,
    /// Until when the peer is to give a sign of life, and whether it was asked for one.
    quiet: (Instant, bool),
    /// How many messages were refused since one was taken.
    refused: u32,
}

impl Conversation {
    /// On a connection that was just handed over.
    pub async fn open(app: Arc<App>, asked: (HeaderMap, IpAddr), arrival: Arrival, stream: Upgraded) -> Self {
        let caller = app.admission.recognise(&asked.0, asked.1);
        let memory = app.bodies.begin(caller.map(|caller| caller.tenant()).unwrap_or_default());
        let wire = Wire::new(stream, memory, app.max_body).await;
        Self { app, asked, arrival, wire, quiet: (Instant::now() + QUIET, false), refused: 0 }
    }

    /// Goes on until it is over.
    pub async fn go_on(mut self) {
        let over = loop {
            let idle = Instant::now() + IDLE;
            let text = loop {
                match self.heard_between_jobs(idle).await {
                    Ok(Some(text)) => break Ok(text),
                    Ok(None) => {}
                    Err(over) => break Err(over),
                }
            };
            let ran = match text {
                Ok(text) => self.run(text).await,
                Err(over) => Err(over),
            };
            if let Err(over) = ran {
                break over;
            }
        };
        let wire = self.wire;
        let parted = async move {
            match over {
                Over::Left => wire.part().await,
                Over::Because(code, reason) => wire.close(code, reason).await,
            }
        };
        let _ = tokio::time::timeout(PARTING, parted).await;
    }

    /// What comes while no job runs: one to run, perhaps.
    async fn heard_between_jobs(&mut self, idle: Instant) -> Result<Option<Utf8Bytes>, Over> {
        let going = self.app.going.clone();
        let came = tokio::select! {
            came = self.came() => came,
            () = sleep_until(idle) => return Err(Over::Because(CloseCode::Normal, "no job has run for ten minutes")),
            () = going.told() => return Err(Over::Because(CloseCode::Away, "this node is going away: connect again")),
        };
        let Some(came) = came else { return self.ask_for_a_sign().await.map(|()| None) };
        let Some(text) = self.text(came)? else { return Ok(None) };
        match self.parse(&text).await {
            Ok(Message::Execute) => return Ok(Some(text)),
            Ok(Message::Close) => return Err(Over::Because(CloseCode::Normal, "")),
            Ok(Message::Return(one)) => self.refuse(None, Some(one.call), "no job runs in this conversation").await?,
            Err(wrong) => self.refuse(None, call_in(&text), &wrong).await?,
        }
        self.wire.done();
        Ok(None)
    }

    /// Runs a job, and tells what it comes to.
    async fn run(&mut self, text: Utf8Bytes) -> Result<(), Over> {
        let Followed { id, answer } = (self.arrival.begin)();
        let (app, asked) = (Arc::clone(&self.app), self.asked.clone());
        let (body, memory) = (Bytes::from(text).to_vec(), self.wire.hand_over());
        let answered = async move {
            let _counted = memory;
            let caller = match app.admission.identify(&asked.0, asked.1) {
                Ok(caller) => caller,
                Err(refused) => return (refuse_with(id, refused), None),
            };
            let mut response = match caller.check(&app.accounts) {
                Ok(()) => execute(&app, id, &caller, body).await,
                Err(refused) => refuse_with(id, refused),
            };
            caller.sign(&mut response);
            (response, Some(caller.tenant()))
        };
        let mut answered = pin!(answered);
        let (response, tenant) = loop {
            tokio::select! {
                biased;
                answered = &mut answered => break answered,
                came = self.came() => if let Some(one) = self.heard_meanwhile(came, id).await? {
                    self.refuse(Some(id), Some(one.call), "its job has not begun").await?;
                },
            }
        };
        let response = answer(response);
        if response.headers().get(CONTENT_TYPE).is_none_or(|form| form != EVENT_STREAM) {
            return self.send(not_begun(id, response).await).await;
        }
        self.refused = 0;
        self.send(format!("{{\"type\":\"started\",\"id\":\"{id}\"}}")).await?;
        let mut reader = EventReader::new(response.into_body());
        loop {
            tokio::select! {
                biased;
                event = reader.next() => match event {
                    Some(Event::Printed(stream, data)) => self.send(typed(stream, &data)).await?,
                    Some(Event::Call(data)) => self.send(typed("call", &data)).await?,
                    Some(Event::Answer { .. }) => return self.tell_last("result", reader).await,
                    Some(Event::Refusal) => return self.tell_last("error", reader).await,
                    None => return Err(Over::Because(CloseCode::Error, "the answer broke off")),
                },
                came = self.came() => if let Some(one) = self.heard_meanwhile(came, id).await? {
                    self.hand_on(id, tenant.unwrap_or_default(), one).await?;
                    self.wire.done();
                },
            }
        }
    }

    /// What comes next; `None` when nothing has for a while. Can be dropped and called again without loss, which what is done with
    /// it cannot.
    async fn came(&mut self) -> Option<Came> {
        tokio::select! {
            biased;
            came = self.wire.next() => Some(came),
            () = sleep_until(self.quiet.0) => None,
        }
    }

    /// What has come while a job runs, or is about to: what a call of its came to, perhaps.
    async fn heard_meanwhile(&mut self, came: Option<Came>, id: JobId) -> Result<Option<Return>, Over> {
        let Some(came) = came else { return self.ask_for_a_sign().await.map(|()| None) };
        let Some(text) = self.text(came)? else { return Ok(None) };
        match self.parse(&text).await {
            Ok(Message::Return(one)) => return Ok(Some(one)),
            Ok(Message::Close) => return Err(Over::Because(CloseCode::Normal, "")),
            Ok(Message::Execute) => {
                let why = "a job runs in this conversation: wait for its result, or open another";
                self.refuse(Some(id), None, why).await?;
            }
            Err(wrong) => self.refuse(Some(id), call_in(&text), &wrong).await?,
        }
        self.wire.done();
        Ok(None)
    }

    fn text(&mut self, came: Came) -> Result<Option<Utf8Bytes>, Over> {
        self.quiet = (Instant::now() + QUIET, false);
        match came {
            Came::Text(text) => Ok(Some(text)),
            Came::Sign => Ok(None),
            Came::End => Err(Over::Left),
            Came::Broken(code, reason) => Err(Over::Because(code, reason)),
        }
    }

    async fn ask_for_a_sign(&mut self) -> Result<(), Over> {
        if self.quiet.1 || !self.wire.ping().await {
            return Err(Over::Left);
        }
        self.quiet = (Instant::now() + QUIET, true);
        Ok(())
    }

    async fn parse(&mut self, text: &Utf8Bytes) -> Result<Message, String> {
        let text = text.clone();
        let parsed = self.wire.memory().work_on(text.len() >= LARGE, move || Message::parse(&text)).await;
        parsed.map_err(|wrong| wrong.to_string())
    }

    /// Hands on what a call came to.
    async fn hand_on(&mut self, id: JobId, tenant: Tenant, one: Return) -> Result<(), Over> {
        let (call, is_large) =
            (one.call, matches!(&one.returned, Returned::Value(value) if value.get().len() >= LARGE));
        let body = self.wire.memory().work_on(is_large, move || returned(one)).await;
        let told = self.app.supervisor.returns(id, tenant, body.into()).await;
        let (why, again) = match told {
            Ok(HandedOn::To(told)) => match told.refused.into_iter().next() {
                Some(refused) => (refused.message, refused.again),
                None => {
                    self.refused = 0;
                    return Ok(());
                }
            },
            Ok(HandedOn::NoJob) => ("the job has ended".to_owned(), false),
            Ok(HandedOn::Refused(why)) => (why, true),
            Err(Away::Full) => ("too much is on its way at once: return to it again".to_owned(), true),
            // Its stream breaks off, and says what that means.
            Err(_) => return Ok(()),
        };
        self.refuse_as(refused(Some(id), Some(call), &why, again)).await
    }

    /// Tells of a message that was not taken. It ends nothing, unless nothing else comes.
    async fn refuse(&mut self, id: Option<JobId>, call: Option<u32>, why: &str) -> Result<(), Over> {
        self.refuse_as(refused(id, call, why, false)).await
    }

    async fn refuse_as(&mut self, told: Vec<u8>) -> Result<(), Over> {
        self.refused += 1;
        if self.refused > MOST_REFUSED {
            return Err(Over::Because(CloseCode::Policy, "too many messages that are none"));
        }
        self.send(told).await
    }

    /// Tells the last of a job: as one message, in pieces if it is long.
    async fn tell_last(&mut self, kind: &str, mut reader: EventReader) -> Result<(), Over> {
        let (mut first, mut gathered) = (true, format!("{{\"type\":\"{kind}\",").into_bytes());
        let mut brace = 1;
        loop {
            match reader.piece().await {
                Piece::Some(data) => {
                    gathered.extend_from_slice(&data[brace..]);
                    brace = 0;
                    if gathered.len() >= PIECE {
                        let piece = std::mem::take(&mut gathered);
                        self.sent(piece.into(), first, false).await?;
                        first = false;
                    }
                }
                Piece::End => return self.sent(gathered.into(), first, true).await,
                Piece::Cut => return Err(Over::Because(CloseCode::Error, "the answer broke off")),
            }
        }
    }

    async fn send(&mut self, text: impl Into<Bytes>) -> Result<(), Over> {
        if self.wire.send(text).await { Ok(()) } else { Err(Over::Left) }
    }

    async fn sent(&mut self, piece: Bytes, first: bool, last: bool) -> Result<(), Over> {
        if self.wire.send_piece(piece, first, last).await { Ok(()) } else { Err(Over::Left) }
    }
}

async fn execute(app: &App, id: JobId, caller: &Caller, body: Vec<u8>) -> Response<Body> {
    let wish = Wish { explain: false, stream: true, whole: false };
    app.run(id, caller, wish, (Writer::Conversation, body)).await.unwrap_or_else(|refusal| *refusal)
}
