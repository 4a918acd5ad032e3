//! A client that says exactly what it is told to.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::http::read_chunk;
use super::{LONG, Message};

/// A connection to the gateway.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        stream.set_write_timeout(Some(LONG))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a whole `POST /execute` with these further header lines.
    pub fn post(&mut self, headers: &str, body: &str) -> io::Result<()> {
        self.send(format!(
            "POST /execute HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        ))
    }

    /// Reads one response.
    pub fn response(&mut self) -> io::Result<Message> {
        Message::read(&mut self.0)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Reads one response that has a head alone.
    pub fn head(&mut self) -> io::Result<Message> {
        Message::read_head(&mut self.0)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Reads one chunk of a response's body; the last is empty.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        read_chunk(&mut self.0)
    }

    /// A whole `POST /execute` and its response.
    pub fn execute(&mut self, body: &str) -> io::Result<Message> {
        self.post("", body)?;
        self.response()
    }

    /// A whole `POST /execute` with a key, and its response.
    pub fn execute_with(&mut self, key: &str, body: &str) -> io::Result<Message> {
        self.post(&format!("authorization: Bearer {key}\r\n"), body)?;
        self.response()
    }

    /// Reads some of what comes, at most so much; how much it was.
    pub fn take(&mut self, bytes: usize) -> io::Result<usize> {
        match self.0.get_mut().read(&mut vec![0; bytes]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(0),
            read => read,
        }
    }

    /// Reads what is left until the gateway closes, which it must.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(rest),
            result => result.map(|_| rest),
        }
    }

    /// Closes the sending side alone.
    pub fn half_close(&self) -> io::Result<()> {
        self.0.get_ref().shutdown(Shutdown::Write)
    }
}
