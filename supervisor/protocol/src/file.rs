//! A file that a request brings for its script, and one that the script left.

use data_encoding::BASE64;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A file that a request brings.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum InputFile {
    /// Text.
    Text {
        /// Where it is put: relative to the working directory, not in `out`.
        path: String,
        /// What is in it, as UTF-8.
        content: String,
    },
    /// Any bytes.
    Bytes {
        /// Where it is put: relative to the working directory, not in `out`.
        path: String,
        /// What is in it, in base64 with padding (RFC 4648, section 4).
        content_base64: Decoded,
    },
}

/// Bytes that are base64 in JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded(pub Vec<u8>);

impl Serialize for Decoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl InputFile {
    /// Where it is put, relative to the working directory.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Text { path, .. } | Self::Bytes { path, .. } => path,
        }
    }

    /// What is in it, in base64 (RFC 4648, section 4).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text { content, .. } => content.as_bytes(),
            Self::Bytes { content_base64, .. } => &content_base64.0,
        }
    }
}

/// A file that a script left: with its content, or with the reason why that is left out.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReturnedFile))]
pub struct OutputFile {
    /// Its name below `out`, with slashes; of a file that `files_out` named, its path.
    #[cfg_attr(feature = "openapi", schema(example = "plot.png"))]
    pub name: String,
    /// Where it is, relative to the working directory, of one that `files_out` named. Those of `out` have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "plots/a.png"))]
    pub path: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// What it is, by its name.
    #[cfg_attr(feature = "openapi", schema(example = "image/png"))]
    pub media_type: &'static str,
    /// What is in it, in base64 (RFC 4648, section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false, content_encoding = "base64"))]
    pub content_base64: Option<Encoded>,
    /// Why its content is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub omitted: Option<String>,
}

/// A file that a script left in its working directory, and nobody asked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LeftFile {
    /// Where it is, relative to the working directory.
    #[cfg_attr(feature = "openapi", schema(example = "report.csv"))]
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Bytes as base64, ready to be part of an answer: there may be megabytes of it, which are then only copied.
#[derive(Debug, Serialize)]
pub struct Encoded(Box<RawValue>);

impl Encoded {
    /// Encodes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut quoted = String::with_capacity(BASE64.encode_len(bytes.len()) + 2);
        quoted.push('"');
        BASE64.encode_append(bytes, &mut quoted);
        quoted.push('"');
        Self(RawValue::from_string(quoted).expect("base64 needs no escapes"))
    }

    /// The string in JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// The string in JSON, to be kept.
    #[must_use]
    pub fn into_json(self) -> Box<RawValue> {
        self.0
    }
}

/// The directories that a path leads through, the outermost first.
pub fn directories(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}
