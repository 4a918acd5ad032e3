//! The body of a message, read whole within its bounds or given up.

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};

/// Why a body was not read whole.
#[derive(Debug)]
pub enum ReadError<E> {
    /// It broke off.
    Broken(E),
    /// It is larger than it may be.
    TooLarge,
    /// There is no memory left for it.
    NoMemory,
}

/// Reads a body of at most `most` bytes, as long as `take` finds memory for what has come of it.
///
/// # Errors
/// [`ReadError`]; nothing more is read then.
pub async fn read_whole<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    most: usize,
    mut take: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, ReadError<B::Error>> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() else { continue };
        if data.len() > most - bytes.len() {
            return Err(ReadError::TooLarge);
        }
        if !take(data.len()) {
            return Err(ReadError::NoMemory);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
