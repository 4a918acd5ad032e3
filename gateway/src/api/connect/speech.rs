//! What is heard and said in a conversation: messages, signs of life, and that a message was not taken.

use std::time::Duration;

use cloister_protocol::{JobId, Message};
use hyper::body::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::api::connect::messages::refused;
use crate::api::connect::wire::{Came, PIECE, Wire};
use crate::upstream::events::{EventReader, Piece};

/// From this size on a message's parsing would keep other connections waiting.
pub const LARGE: usize = 128 * 1024;

/// How long a peer may give no sign of life before it is asked for one, and then before it is taken to be gone.
const QUIET: Duration = Duration::from_secs(30);

/// How long a peer may take to part.
const PARTING: Duration = Duration::from_secs(5);

/// How many messages are refused with nothing else between them. They count against no key.
const MOST_REFUSED: u32 = 100;

/// How a conversation ends.
#[derive(Clone, Copy, Debug)]
pub enum Over {
    /// Its client has left.
    Left,
    /// For this.
    Because(CloseCode, &'static str),
}

/// Both directions of a conversation.
#[derive(Debug)]
pub struct Speech {
    /// The frames.
    pub wire: Wire,
    /// Until when the peer is to give a sign of life, and whether it was asked for one.
    quiet: (Instant, bool),
    /// How many messages were refused since one was taken.
    refused: u32,
}

impl Speech {
    /// Of a WebSocket that was just opened.
    pub fn new(wire: Wire) -> Self {
        Self { wire, quiet: (Instant::now() + QUIET, false), refused: 0 }
    }

    /// What comes next; `None` when nothing has for a while. Can be dropped and called again without loss, which what is done with
    /// it cannot.
    pub async fn came(&mut self) -> Option<Came> {
        tokio::select! {
            biased;
            came = self.wire.next() => Some(came),
            () = sleep_until(self.quiet.0) => None,
        }
    }

    /// The text that has come; `None` if it is a sign of life alone, or nothing has come and one was asked for.
    pub async fn text(&mut self, came: Option<Came>) -> Result<Option<Utf8Bytes>, Over> {
        let Some(came) = came else { return self.ask_for_a_sign().await.map(|()| None) };
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

    /// Reads a message.
    pub async fn parse(&mut self, text: &Utf8Bytes) -> Result<Message, String> {
        let text = text.clone();
        let parsed = self.wire.memory().work_on(text.len() >= LARGE, move || Message::parse(&text)).await;
        parsed.map_err(|wrong| wrong.to_string())
    }

    /// A message was taken.
    pub fn taken(&mut self) {
        self.refused = 0;
    }

    /// Tells of a message that was not taken. It ends nothing, unless nothing else comes.
    pub async fn refuse(&mut self, id: Option<JobId>, call: Option<u32>, why: &str) -> Result<(), Over> {
        self.refuse_as(refused(id, call, why, false)).await
    }

    /// Tells so in these words.
    pub async fn refuse_as(&mut self, told: Vec<u8>) -> Result<(), Over> {
        self.disregard()?;
        self.send(told).await
    }

    /// Notes that a message was not taken, and says nothing.
    pub fn disregard(&mut self) -> Result<(), Over> {
        self.refused += 1;
        if self.refused > MOST_REFUSED {
            return Err(Over::Because(CloseCode::Policy, "too many messages that are none"));
        }
        Ok(())
    }

    /// Tells the last of a job: as one message, in pieces if it is long.
    pub async fn tell_last(&mut self, kind: &str, mut reader: EventReader) -> Result<(), Over> {
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

    /// Sends a message.
    pub async fn send(&mut self, text: impl Into<Bytes>) -> Result<(), Over> {
        if self.wire.send(text).await { Ok(()) } else { Err(Over::Left) }
    }

    async fn sent(&mut self, piece: Bytes, first: bool, last: bool) -> Result<(), Over> {
        if self.wire.send_piece(piece, first, last).await { Ok(()) } else { Err(Over::Left) }
    }

    /// Parts from the peer.
    pub async fn end(self, over: Over) {
        let parted = async move {
            match over {
                Over::Left => self.wire.part().await,
                Over::Because(code, reason) => self.wire.close(code, reason).await,
            }
        };
        let _ = tokio::time::timeout(PARTING, parted).await;
    }
}
