//! Just enough HTTP/1.1 to read one message, of either direction, byte by byte as it came.

use std::io::{self, BufRead, Error};

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line.
    pub start: String,
    headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads a head and its body; `None` when the peer closed before it.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(message) = Self::read_head(reader)? else { return Ok(None) };
        message.read_body(reader).map(Some)
    }

    /// Reads what comes after this head.
    pub fn read_body(mut self, reader: &mut impl BufRead) -> io::Result<Self> {
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        if self.header("transfer-encoding") == Some("chunked") {
            self.body = read_chunks(reader)?;
        } else if let Some(length) = length {
            self.body = vec![0; length];
            reader.read_exact(&mut self.body)?;
        }
        Ok(self)
    }

    /// Reads a head alone.
    pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(start) = read_line(reader)? else { return Ok(None) };
        let mut headers = Vec::new();
        while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| Error::other(format!("not a header: {line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Self { start, headers, body: Vec::new() }))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// A response's status.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Checks that this is a refusal in the contract's envelope, and returns its message.
    pub fn refusal(&self, status: u16, code: &str) -> String {
        let json = self.json();
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(json["error"]["code"], code);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let id = self.header("x-cloister-id").unwrap_or_default();
        assert_eq!(json["id"], id);
        assert_eq!(json["error"]["ran"], if code == "lost" { serde_json::Value::Null } else { false.into() });
        assert!(json["error"].as_object().is_some_and(|error| error.contains_key("ran")), "{json}");
        assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
        json["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let chunk = read_chunk(reader)?;
        if chunk.is_empty() {
            return Ok(body);
        }
        body.extend(chunk);
    }
}

/// Reads one chunk of a body; the last is empty.
pub fn read_chunk(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let line = read_line(reader)?.unwrap_or_default();
    let length = usize::from_str_radix(&line, 16).map_err(|_| Error::other(format!("not a chunk: {line:?}")))?;
    let mut chunk = vec![0; length];
    reader.read_exact(&mut chunk)?;
    read_line(reader)?;
    Ok(chunk)
}
