//! HTTP/2 frame by frame (RFC 9113, 4.1), for what no well-behaved client would send.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use super::SecureClient;

/// Frame types.
pub const DATA: u8 = 0;
/// Opens a stream.
pub const HEADERS: u8 = 1;
/// Closes a stream with an error.
pub const RST_STREAM: u8 = 3;
/// Says what its sender bears.
pub const SETTINGS: u8 = 4;
/// Asks for an answer.
pub const PING: u8 = 6;
/// Closes the connection, for an error or without.
pub const GOAWAY: u8 = 7;
/// More of a header.
pub const CONTINUATION: u8 = 9;

/// On DATA and HEADERS: nothing follows on this stream. On SETTINGS: they have been applied.
pub const END_STREAM: u8 = 1;
/// On PING: it is the answer.
pub const ACK: u8 = 1;
/// On HEADERS and CONTINUATION: the header ends here.
pub const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// The stream that it is of; 0: the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// An HTTP/2 connection in the raw.
#[derive(Debug)]
pub struct Frames(SecureClient);

impl Frames {
    /// Connects and says the first words, with these settings.
    pub fn open(address: SocketAddr, config: &Arc<ClientConfig>, settings: &[(u16, u32)]) -> io::Result<Self> {
        let mut frames = Self(SecureClient::connect(address, config)?);
        frames.0.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let setting = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frames.send(SETTINGS, 0, 0, &settings.iter().flat_map(setting).collect::<Vec<_>>())?;
        Ok(frames)
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.0.send(frame(kind, flags, stream, payload))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes)
    }

    /// The next frame, or the connection's end.
    pub fn next(&mut self) -> io::Result<Frame> {
        let head = self.0.read(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.0.read(usize::try_from(length).map_err(io::Error::other)?)?;
        Ok(Frame { kind: head[3], stream, payload })
    }

    /// The next frame for which this holds.
    pub fn find(&mut self, holds: impl Fn(&Frame) -> bool) -> io::Result<Frame> {
        loop {
            let frame = self.next()?;
            if holds(&frame) {
                return Ok(frame);
            }
        }
    }

    /// Reads until the gateway ends the connection; the error that it gives as the reason, if any.
    pub fn end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Ok(frame) = self.next() {
            if frame.kind == GOAWAY {
                reason = frame.payload.get(4..8).map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
            }
        }
        reason
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request's header in HPACK without compression (RFC 7541, 6.2.2: literals, never indexed).
pub fn header(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap_or(u8::MAX)], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0x10], text(name), text(value)].concat()).collect()
}

/// The header of a request that runs a job.
pub fn execute() -> Vec<u8> {
    let json = ("content-type", "application/json");
    header(&[(":method", "POST"), (":scheme", "https"), (":path", "/execute"), (":authority", "localhost"), json])
}
