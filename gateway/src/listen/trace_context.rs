//! A caller's own trace, by which its records and the log's can be put together: W3C Trace Context, `traceparent`.

use std::fmt;

use data_encoding::HEXLOWER;
use hyper::HeaderMap;

const TRACEPARENT: &str = "traceparent";

/// A trace and the span in it that sent the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    span: [u8; 8],
}

impl Trace {
    /// What a request says of it; nothing if it says that badly, as the standard asks.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        Self::parse(line.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = bytes::<1>(parts.next()?)?;
        let trace = Self { id: bytes(parts.next()?)?, span: bytes(parts.next()?)? };
        bytes::<1>(parts.next()?)?;
        // Version 0 ends here; later ones may say more; 255 is none.
        let ends = version == [255] || version == [0] && parts.next().is_some();
        (!ends && trace.id != [0; 16] && trace.span != [0; 8]).then_some(trace)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", HEXLOWER.encode(&self.id), HEXLOWER.encode(&self.span))
    }
}

fn bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    (text.len() == 2 * LENGTH && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::Trace;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn only_what_the_standard_calls_valid_is_taken() {
        let read = |text: String| Trace::parse(&text).map(|trace| trace.to_string());
        let expected = Some(format!("{ID}-{SPAN}"));
        assert_eq!(read(format!("00-{ID}-{SPAN}-01")), expected);
        assert_eq!(read(format!("cc-{ID}-{SPAN}-01-what-the-future-holds")), expected);
        for wrong in [
            String::new(),
            format!("00-{ID}-{SPAN}"),
            format!("00-{ID}-{SPAN}-01-more"),
            format!("ff-{ID}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{ID}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", ID.to_uppercase()),
            format!("00-{ID}0-{SPAN}-01"),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
