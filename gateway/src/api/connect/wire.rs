//! The WebSocket itself: messages that are read within the tenant's share of memory, and written as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::body::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::admission::body_budget::TenantBody;

/// What is read of the connection at once.
const READ: usize = 16 * 1024;

/// What is written at once of a long message.
pub const PIECE: usize = 64 * 1024;

/// How long a peer may take for a piece.
const TAKEN: Duration = Duration::from_secs(60);

/// How much is dropped of what a peer sends that was told to go.
const LINGER: usize = 64 * 1024 * 1024;

/// A WebSocket.
#[derive(Debug)]
pub struct Wire {
    socket: WebSocketStream<Counted>,
    /// Bytes that were of messages which have come whole, and of those that are dealt with.
    whole: u64,
    dealt_with: u64,
}

/// What has come.
#[derive(Debug)]
pub enum Came {
    /// A message.
    Text(Utf8Bytes),
    /// Something else, by which it is known that the peer is there.
    Sign,
    /// It is over: the peer has left, or what it sent is none of this protocol.
    End,
    /// It is over, for this.
    Broken(CloseCode, &'static str),
}

/// A connection whose bytes count until the message that they are of is dealt with.
#[derive(Debug)]
struct Counted {
    stream: TokioIo<Upgraded>,
    memory: TenantBody,
    read: u64,
}

/// What is told of a message for which there is no memory.
const NO_MEMORY: &str = "too many large messages at once";

impl Wire {
    /// On a connection that was just handed over, whose messages are no longer than so much.
    pub async fn new(stream: Upgraded, memory: TenantBody, longest: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let counted = Counted { stream: TokioIo::new(stream), memory, read: 0 };
        Self {
            socket: WebSocketStream::from_raw_socket(counted, Role::Server, Some(config)).await,
            whole: 0,
            dealt_with: 0,
        }
    }

    /// What comes next. Can be dropped and called again without loss.
    pub async fn next(&mut self) -> Came {
        let next = self.socket.next().await;
        if let Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) = &next {
            // No more is read beyond the frame that is being put together; and by what was, however it was cut into frames.
            let read = self.socket.get_ref().read;
            self.whole = (self.whole + framed(message.len())).max(read.saturating_sub(READ as u64)).min(read);
        }
        match next {
            Some(Ok(Message::Text(text))) => Came::Text(text),
            Some(Ok(Message::Binary(_))) => Came::Broken(CloseCode::Unsupported, "messages are text: JSON"),
            Some(Ok(Message::Close(_))) | None => Came::End,
            Some(Ok(_)) => Came::Sign,
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                Came::Broken(CloseCode::Size, "the message is larger than this node reads")
            }
            Some(Err(Error::Io(error))) if error.kind() == io::ErrorKind::OutOfMemory => {
                Came::Broken(CloseCode::Again, NO_MEMORY)
            }
            Some(Err(Error::Utf8(_))) => Came::Broken(CloseCode::Invalid, "the message is not UTF-8"),
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => Came::End,
            Some(Err(Error::Protocol(_))) => Came::Broken(CloseCode::Protocol, "what came is no WebSocket's"),
            Some(Err(_)) => Came::End,
        }
    }

    /// What has come whole is another's to deal with, with what it takes of memory; what has come of the next message stays.
    pub fn hand_over(&mut self) -> TenantBody {
        let whole = usize::try_from(self.whole - self.dealt_with).unwrap_or(usize::MAX / 2);
        self.dealt_with = self.whole;
        self.socket.get_mut().memory.split(2 * whole)
    }

    /// What has come whole is dealt with.
    pub fn done(&mut self) {
        drop(self.hand_over());
    }

    /// The memory that what was read takes.
    pub fn memory(&self) -> &TenantBody {
        &self.socket.get_ref().memory
    }

    /// Sends a message, in pieces if it is long; `false` when the peer has left, or takes none of it.
    pub async fn send(&mut self, text: impl Into<Bytes>) -> bool {
        let (mut text, mut first): (Bytes, _) = (text.into(), true);
        loop {
            let piece = text.split_to(text.len().min(PIECE));
            let last = text.is_empty();
            if !self.send_piece(piece, first, last).await || last {
                return last;
            }
            first = false;
        }
    }

    /// Sends a piece of a message: the first, one between, or the last.
    pub async fn send_piece(&mut self, piece: Bytes, first: bool, last: bool) -> bool {
        let code = if first { Data::Text } else { Data::Continue };
        self.send_frame(Message::Frame(Frame::message(piece, OpCode::Data(code), last))).await
    }

    /// Asks for a sign of life.
    pub async fn ping(&mut self) -> bool {
        self.send_frame(Message::Ping(Bytes::new())).await
    }

    async fn send_frame(&mut self, frame: Message) -> bool {
        tokio::time::timeout(TAKEN, self.socket.send(frame)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Answers a peer that has left by the protocol's way.
    pub async fn part(mut self) {
        // The answer to its close is queued by then: RFC 6455, 5.5.1.
        if self.socket.flush().await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }

    /// Says why it ends, and ends it once the peer has said so too: RFC 6455, 7.1.1.
    pub async fn close(mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        if self.socket.close(Some(frame)).await.is_err() {
            return;
        }
        if matches!(code, CloseCode::Normal | CloseCode::Away | CloseCode::Error) {
            while let Some(Ok(_)) = self.socket.next().await {}
            return;
        }
        // The rest of what was not taken may be on its way, and a connection that is closed upon it is reset: the peer would
        // lose what it is told.
        let mut stream = self.socket.into_inner().stream;
        let (mut scratch, mut dropped) = (vec![0; READ], 0);
        if stream.shutdown().await.is_ok() {
            while let Ok(read @ 1..) = stream.read(&mut scratch).await {
                dropped += read;
                if dropped > LINGER {
                    return;
                }
            }
        }
    }
}

/// What a message of this length takes on the wire, as one frame of a client's: RFC 6455, 5.2. Of one in several frames it is less
/// than was read.
fn framed(length: usize) -> u64 {
    let extended = match length {
        0..=125 => 0,
        126..=0xFFFF => 2,
        _ => 8,
    };
    length as u64 + extended + 6
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // As it comes and as it is put together, at once.
        let come = buffer.filled().len() - before;
        self.read += come as u64;
        if !self.memory.take(2 * come) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, NO_MEMORY)));
        }
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
