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
use crate::api::connect::messages::{call_in, interrupted, not_begun, refused, returned, started, typed};
use crate::api::connect::speech::{LARGE, Over, Speech};
use crate::api::connect::wire::{Came, Wire};
use crate::api::job::Sent;
use crate::api::refusal::refuse_with;
use crate::api::sessions::one::interrupt_order;
use crate::upstream::away::{Away, HandedOn};
use crate::upstream::events::{Event, EventReader};
use crate::upstream::order::Wish;

/// How long a conversation may go without a job.
const IDLE: Duration = Duration::from_secs(600);

/// A conversation.
#[derive(Debug)]
pub struct Conversation {
    app: Arc<App>,
    /// Who speaks, as the request said that opened it.
    asked: (HeaderMap, IpAddr),
    arrival: Arrival,
    speech: Speech,
}

/// A message that asks for something to be run, and the session if it is a cell of one.
type Asks = (Utf8Bytes, Option<JobId>);

/// What has come for the job that runs.
enum Heard {
    /// What a call of its came to.
    Return(Return),
    /// It is to be interrupted.
    Interrupt,
}

impl Conversation {
    /// On a connection that was just handed over.
    pub async fn open(app: Arc<App>, asked: (HeaderMap, IpAddr), arrival: Arrival, stream: Upgraded) -> Self {
        let caller = app.admission.recognise(&asked.0, asked.1);
        let memory = app.bodies.begin(caller.map(|caller| caller.tenant()).unwrap_or_default());
        let speech = Speech::new(Wire::new(stream, memory, app.max_body).await);
        Self { app, asked, arrival, speech }
    }

    /// Goes on until it is over.
    pub async fn go_on(mut self) {
        let over = loop {
            let idle = Instant::now() + IDLE;
            let asks = loop {
                match self.heard_between_jobs(idle).await {
                    Ok(Some(asks)) => break Ok(asks),
                    Ok(None) => {}
                    Err(over) => break Err(over),
                }
            };
            let ran = match asks {
                Ok(asks) => self.run(asks).await,
                Err(over) => Err(over),
            };
            if let Err(over) = ran {
                break over;
            }
        };
        self.speech.end(over).await;
    }

    /// What comes while no job runs: one to run, perhaps.
    async fn heard_between_jobs(&mut self, idle: Instant) -> Result<Option<Asks>, Over> {
        let going = self.app.going.clone();
        let came = tokio::select! {
            came = self.speech.came() => came,
            () = sleep_until(idle) => return Err(Over::Because(CloseCode::Normal, "no job has run for ten minutes")),
            () = going.told() => return Err(Over::Because(CloseCode::Away, "this node is going away: connect again")),
        };
        let Some(text) = self.speech.text(came).await? else { return Ok(None) };
        let none = "no job runs in this conversation";
        match self.speech.parse(&text).await {
            Ok(Message::Execute) => return Ok(Some((text, None))),
            Ok(Message::Cell(session)) => return Ok(Some((text, Some(session)))),
            Ok(Message::Close) => return Err(Over::Because(CloseCode::Normal, "")),
            Ok(Message::Return(one)) => self.speech.refuse(None, Some(one.call), none).await?,
            Ok(Message::Interrupt) => self.speech.refuse(None, None, none).await?,
            Err(wrong) => self.speech.refuse(None, call_in(&text), &wrong).await?,
        }
        self.speech.wire.done();
        Ok(None)
    }

    /// Runs a job or a cell, and tells what it comes to.
    async fn run(&mut self, (text, session): Asks) -> Result<(), Over> {
        let Followed { id, answer } = (self.arrival.begin)();
        let (response, tenant) = self.answered(id, text, session).await?;
        let response = answer(response);
        if response.headers().get(CONTENT_TYPE).is_none_or(|form| form != EVENT_STREAM) {
            return self.speech.send(not_begun(id, response).await).await;
        }
        self.speech.taken();
        self.speech.send(started(id, session)).await?;
        let mut reader = EventReader::new(response.into_body());
        loop {
            tokio::select! {
                biased;
                event = reader.next() => match event {
                    Some(Event::Told(kind, data)) => self.speech.send(typed(kind, &data)).await?,
                    Some(Event::Call(data)) => self.speech.send(typed("call", &data)).await?,
                    Some(Event::Answer { .. }) => return self.speech.tell_last("result", reader).await,
                    Some(Event::Refusal) => return self.speech.tell_last("error", reader).await,
                    None => return Err(Over::Because(CloseCode::Error, "the answer broke off")),
                },
                came = self.speech.came() => {
                    match self.heard_meanwhile(came, id).await? {
                        Some(Heard::Return(one)) => self.hand_on(id, tenant, one).await?,
                        Some(Heard::Interrupt) => self.interrupt(id, tenant, session).await?,
                        None => continue,
                    }
                    self.speech.wire.done();
                },
            }
        }
    }

    /// Has a job begin; its answer, and whose it is.
    async fn answered(
        &mut self,
        id: JobId,
        text: Utf8Bytes,
        session: Option<JobId>,
    ) -> Result<(Response, Tenant), Over> {
        let (app, asked) = (Arc::clone(&self.app), self.asked.clone());
        let memory = self.speech.wire.hand_over();
        let sent = Sent { writer: Writer::Conversation, session, body: Bytes::from(text).to_vec() };
        let answered = async move {
            let _counted = memory;
            let caller = match app.admission.identify(&asked.0, asked.1) {
                Ok(caller) => caller,
                Err(refused) => return (refuse_with(id, refused), Tenant::default()),
            };
            let mut response = match caller.check(&app.accounts) {
                Ok(()) => execute(&app, id, &caller, sent).await,
                Err(refused) => refuse_with(id, refused),
            };
            caller.sign(&mut response);
            (response, caller.tenant())
        };
        let mut answered = pin!(answered);
        loop {
            tokio::select! {
                biased;
                answered = &mut answered => return Ok(answered),
                came = self.speech.came() => {
                    let (call, why) = match self.heard_meanwhile(came, id).await? {
                        Some(Heard::Return(one)) => (Some(one.call), "its job has not begun"),
                        Some(Heard::Interrupt) => (None, "what is to be interrupted has not begun"),
                        None => continue,
                    };
                    self.speech.refuse(Some(id), call, why).await?;
                },
            }
        }
    }

    /// What has come while a job runs, or is about to.
    async fn heard_meanwhile(&mut self, came: Option<Came>, id: JobId) -> Result<Option<Heard>, Over> {
        let Some(text) = self.speech.text(came).await? else { return Ok(None) };
        match self.speech.parse(&text).await {
            Ok(Message::Return(one)) => return Ok(Some(Heard::Return(one))),
            Ok(Message::Interrupt) => return Ok(Some(Heard::Interrupt)),
            Ok(Message::Close) => return Err(Over::Because(CloseCode::Normal, "")),
            Ok(Message::Execute | Message::Cell(_)) => {
                let why = "a job runs in this conversation: wait for its result, or open another";
                self.speech.refuse(Some(id), None, why).await?;
            }
            Err(wrong) => self.speech.refuse(Some(id), call_in(&text), &wrong).await?,
        }
        self.speech.wire.done();
        Ok(None)
    }

    /// Hands on what a call came to.
    async fn hand_on(&mut self, id: JobId, tenant: Tenant, one: Return) -> Result<(), Over> {
        let (call, is_large) =
            (one.call, matches!(&one.returned, Returned::Value(value) if value.get().len() >= LARGE));
        let body = self.speech.wire.memory().work_on(is_large, move || returned(one)).await;
        let told = self.app.supervisor.returns(id, tenant, body.into()).await;
        let (why, again) = match told {
            Ok(HandedOn::To(told)) => match told.refused.into_iter().next() {
                Some(refused) => (refused.message, refused.again),
                None => {
                    self.speech.taken();
                    return Ok(());
                }
            },
            Ok(HandedOn::NoJob) => ("the job has ended".to_owned(), false),
            Ok(HandedOn::Refused(why)) => (why, true),
            Err(Away::Full) => ("too much is on its way at once: return to it again".to_owned(), true),
            // Its stream breaks off, and says what that means.
            Err(_) => return Ok(()),
        };
        self.speech.refuse_as(refused(Some(id), Some(call), &why, again)).await
    }

    /// Interrupts the cell that runs.
    async fn interrupt(&mut self, id: JobId, tenant: Tenant, session: Option<JobId>) -> Result<(), Over> {
        let Some(session) = session else {
            let why = "what runs is no cell of a session, and cannot be interrupted: close ends it";
            return self.speech.refuse(Some(id), None, why).await;
        };
        let told = self.app.supervisor.ask_of_sessions_once(id, tenant, &interrupt_order(session)).await;
        let (why, again) = match told {
            Ok(answer) => {
                if interrupted(answer).await {
                    self.speech.taken();
                    return Ok(());
                }
                ("no cell runs that could be interrupted", false)
            }
            Err(Away::Full) => ("too much is on its way at once: interrupt it again", true),
            Err(_) => return Ok(()),
        };
        self.speech.refuse_as(refused(Some(id), None, why, again)).await
    }
}

async fn execute(app: &App, id: JobId, caller: &Caller, sent: Sent) -> Response<Body> {
    let wish = Wish { explain: false, stream: true, whole: false };
    app.run(id, caller, wish, sent).await.unwrap_or_else(|refusal| *refusal)
}
