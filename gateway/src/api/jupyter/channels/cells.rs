//! A cell of a conversation: a request as any other, whose events are told in Jupyter's words.

use std::pin::pin;
use std::sync::Arc;

use axum::response::Response;
use cloister_program::read_whole;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{Busy, CellRequest, Writer};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::conversation::{Conversation, Waiting};
use super::requests::{Cell, Parent};
use super::verdict::{Verdict, Wrong, shown};
use super::voice::Channel;
use crate::api::connect::arrival::Followed;
use crate::api::connect::speech::{LARGE, Over};
use crate::api::job::Sent;
use crate::api::refusal::refuse_with;
use crate::upstream::events::{Event, EventReader, Piece};
use crate::upstream::order::Wish;

/// The most of a refusal that is read.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// What is answered to a cell that was called off.
const ABORTED: &[u8] = br#"{"status":"aborted"}"#;

/// What is told of a cell that came to its end.
#[derive(Serialize)]
struct Done {
    status: &'static str,
    execution_count: u64,
    user_expressions: Nothing,
    payload: [(); 0],
}

/// What is told of one that failed.
#[derive(Serialize)]
struct Failed<'a> {
    status: &'static str,
    execution_count: u64,
    #[serde(flatten)]
    wrong: &'a Wrong,
}

#[derive(Serialize)]
struct Nothing {}

impl Conversation {
    /// Runs a cell, and tells what it comes to.
    pub(super) async fn run(&mut self, Waiting { cell, parent, memory }: Waiting) -> Result<(), Over> {
        let Cell { code, silent, stop_on_error } = cell;
        self.tell_state(&parent, true).await?;
        if !silent {
            let content = input(&code, self.spoken.cells + 1);
            self.tell(Channel::Iopub, "execute_input", &parent, &content).await?;
        }
        let verdict = if code.trim().is_empty() {
            Verdict::default()
        } else {
            let cell = CellRequest { code, timeout_ms: None, tools: Default::default(), busy: Busy::Wait };
            let body = serde_json::to_vec(&cell).expect("strings");
            drop(cell);
            let (answer, told) = self.answer(&parent, body).await?;
            drop(memory);
            self.speech.taken();
            let is_large = answer.len() >= LARGE;
            let mut verdict = self.speech.wire.memory().work_on(is_large, move || Verdict::read(&answer)).await;
            verdict.shown.drain(..told.min(verdict.shown.len()));
            verdict
        };
        let failed = verdict.error.is_some();
        self.tell_verdict(&parent, verdict, silent).await?;
        self.tell_state(&parent, false).await?;
        if failed && stop_on_error { self.call_off().await } else { Ok(()) }
    }

    /// What those that wait are told behind one that failed.
    async fn call_off(&mut self) -> Result<(), Over> {
        for Waiting { parent, .. } in std::mem::take(&mut self.waiting) {
            self.reply(&parent, "execute_reply", ABORTED).await?;
        }
        Ok(())
    }

    async fn tell_verdict(&mut self, parent: &Parent, verdict: Verdict, silent: bool) -> Result<(), Over> {
        if let Some(cell) = verdict.cell {
            self.spoken.cells = cell;
        }
        let count = self.spoken.cells;
        for content in verdict.shown {
            self.tell(Channel::Iopub, "display_data", parent, &content).await?;
        }
        if let Some(wrong) = &verdict.error {
            let content = serde_json::to_vec(wrong).expect("strings");
            self.tell(Channel::Iopub, "error", parent, &content).await?;
            let failed = Failed { status: "error", execution_count: count, wrong };
            let content = serde_json::to_vec(&failed).expect("strings");
            return self.tell(Channel::Reply, "execute_reply", parent, &content).await;
        }
        if let Some(value) = verdict.value.filter(|_| !silent) {
            let head = format!(r#"{{"execution_count":{count},"metadata":{{}},"data":"#);
            let content = [head.as_bytes(), &value, b"}"].concat();
            drop(value);
            self.tell(Channel::Iopub, "execute_result", parent, &content).await?;
        }
        let done = Done { status: "ok", execution_count: count, user_expressions: Nothing {}, payload: [] };
        let content = serde_json::to_vec(&done).expect("strings");
        self.tell(Channel::Reply, "execute_reply", parent, &content).await
    }

    /// Has a cell run, and tells what it prints and shows; its answer, or why there is none, and how much of what it shows is told.
    async fn answer(&mut self, parent: &Parent, body: Vec<u8>) -> Result<(Vec<u8>, usize), Over> {
        let Followed { id, answer } = (self.arrival.begin)();
        let (app, asked, kernel) = (Arc::clone(&self.app), self.asked.clone(), self.spoken.kernel);
        let begun = async move {
            let caller = match app.admission.identify(&asked.0, asked.1) {
                Ok(caller) => caller,
                Err(refused) => return refuse_with(id, refused),
            };
            let session = Some(app.restarts.session_of(kernel, caller.tenant()));
            let wish = Wish { explain: false, stream: true, whole: false };
            let mut response = match caller.check(&app.accounts) {
                Ok(()) => {
                    let sent = Sent { writer: Writer::Client, session, body };
                    app.run(id, &caller, wish, sent).await.unwrap_or_else(|refusal| *refusal)
                }
                Err(refused) => refuse_with(id, refused),
            };
            caller.sign(&mut response);
            response
        };
        let mut begun = pin!(begun);
        let response = loop {
            tokio::select! {
                biased;
                response = &mut begun => break answer(response),
                came = self.speech.came() => self.hear(came).await?,
            }
        };
        if response.headers().get(CONTENT_TYPE).is_none_or(|form| form != EVENT_STREAM) {
            return Ok((read_whole(response.into_body(), LARGEST_REFUSAL, |_| true).await.unwrap_or_default(), 0));
        }
        self.follow(parent, EventReader::new(response.into_body())).await
    }

    /// Tells of the events of a cell; its answer.
    async fn follow(&mut self, parent: &Parent, mut reader: EventReader) -> Result<(Vec<u8>, usize), Over> {
        let mut told = 0;
        loop {
            tokio::select! {
                biased;
                event = reader.next() => match event {
                    Some(Event::Told("display", data)) => {
                        told += 1;
                        let content = shown(&data).unwrap_or_else(|| b"{}".to_vec());
                        self.tell(Channel::Iopub, "display_data", parent, &content).await?;
                    }
                    Some(Event::Told(name, data)) => {
                        let content = printed(name, &data);
                        self.tell(Channel::Iopub, "stream", parent, &content).await?;
                    }
                    // It has no tools to call.
                    Some(Event::Call(_)) => {}
                    Some(Event::Answer { .. } | Event::Refusal) => return Ok((self.gather(reader).await?, told)),
                    None => return Ok((Vec::new(), told)),
                },
                came = self.speech.came() => self.hear(came).await?,
            }
        }
    }

    /// The last of a cell as a whole, in the memory that its key has.
    async fn gather(&mut self, mut reader: EventReader) -> Result<Vec<u8>, Over> {
        let (mut memory, mut whole) = (self.speech.wire.memory().another(), Vec::new());
        loop {
            match reader.piece().await {
                Piece::Some(piece) if memory.take(piece.len()) => whole.extend_from_slice(&piece),
                Piece::Some(_) => return Err(Over::Because(CloseCode::Again, "too many large answers at once")),
                Piece::End => return Ok(whole),
                Piece::Cut => return Ok(Vec::new()),
            }
        }
    }

    /// A refusal, as the content of an answer.
    pub(super) async fn wrong(cells: u64, refusal: Response) -> Vec<u8> {
        let told = read_whole(refusal.into_body(), LARGEST_REFUSAL, |_| true).await.unwrap_or_default();
        let wrong = Verdict::read(&told).error.unwrap_or_else(Wrong::lost);
        let failed = Failed { status: "error", execution_count: cells, wrong: &wrong };
        serde_json::to_vec(&failed).expect("strings")
    }
}

fn input(code: &str, count: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Input<'a> {
        code: &'a str,
        execution_count: u64,
    }
    serde_json::to_vec(&Input { code, execution_count: count }).expect("strings")
}

/// What was printed, of the event that tells it: `{"text": …}`.
fn printed(stream: &str, event: &Bytes) -> Vec<u8> {
    let rest = event.strip_prefix(b"{").unwrap_or(b"}");
    [br#"{"name":""#, stream.as_bytes(), br#"","#, rest].concat()
}
