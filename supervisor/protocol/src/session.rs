//! A session: what a client asks for to open one, what is told of it, and what ended it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cell::source;
use crate::field::{InvalidRequest, items, object, present, wrong_type};
use crate::file::InputFile;
use crate::files;
use crate::id::JobId;
use crate::request::profile;

/// The body of `POST /sessions`.
#[derive(Debug, Default, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionRequest {
    /// The name of a profile of the node's policy, which sets limits and packages; absent: `default`.
    #[cfg_attr(feature = "openapi", schema(nullable = false, min_length = 1, max_length = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Files that are put into the working directory before the first cell.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputFile>,
    /// How long it stays without a cell, in seconds: less than the profile lets it, never more.
    #[cfg_attr(feature = "openapi", schema(nullable = false, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_s: Option<u64>,
    /// Cells that are run in it, one after another, before it is told to be open: those of a session that was exported.
    #[cfg_attr(feature = "openapi", schema(required = false, max_items = 10000))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<SessionCell>,
}

/// A cell that was run in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionCell {
    /// Its source; never empty.
    #[cfg_attr(feature = "openapi", schema(pattern = r"\S", examples("x = 20")))]
    pub code: String,
}

/// How many cells a request may bring.
const MOST_CELLS: usize = 10_000;

/// A session, as whoever opened it is told of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionInfo {
    /// Its id, which is that of the request that opened it; a branch has one of its own.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{32}$"))]
    pub session: JobId,
    /// Its profile.
    pub profile: String,
    /// The session that it is a branch of, if it came to be by a fork.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{32}$", required = false, nullable = false))]
    pub branch_of: Option<JobId>,
    /// What it does.
    pub state: SessionState,
    /// How many cells have begun in it.
    pub cells: u64,
    /// When it was opened, such as `2030-01-31T08:00:00Z` (RFC 3339).
    pub opened: String,
    /// How long it stays without a cell, in seconds.
    pub idle_s: u64,
    /// How long it stays from now on if no cell comes, in seconds.
    pub idle_left_s: u64,
    /// How long it stays from now on whatever comes, in seconds.
    pub lifetime_left_s: u64,
    /// Memory that it holds, in bytes.
    pub memory_bytes: u64,
    /// What its cells have used together.
    pub usage: SessionUsage,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It is being opened.
    Opening,
    /// It waits for a cell.
    Idle,
    /// A cell runs.
    Running,
}

/// What a session has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionUsage {
    /// CPU time of everything in it, user and system, in milliseconds.
    pub cpu_ms: f64,
    /// The time that its cells took, in milliseconds.
    pub wall_ms: f64,
    /// How many of its cells have ended.
    pub cells: u64,
}

/// All sessions of a key.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Sessions {
    /// Each of them.
    pub sessions: Vec<SessionInfo>,
}

/// What became of an interrupt.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Interrupted {
    /// Whether a cell ran that could be interrupted.
    pub interrupted: bool,
}

/// What ended a session, in a word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// It was closed.
    Closed,
    /// No cell came for as long as it stays without one.
    Idle,
    /// It was there for as long as any may be.
    Lifetime,
    /// All sessions together held more memory than they may.
    Memory,
    /// A cell cost it its process, and there was no checkpoint.
    Crashed,
    /// It was a branch, and the session that it came from is over.
    RootEnded,
    /// A reload took its profile away.
    Reload,
    /// Its node goes.
    NodeGoing,
    /// Its node began anew, and all sessions went with what was before.
    NodeRestarted,
}

impl SessionEnd {
    /// Every one there is.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::Idle,
        Self::Lifetime,
        Self::Memory,
        Self::Crashed,
        Self::RootEnded,
        Self::Reload,
        Self::NodeGoing,
        Self::NodeRestarted,
    ];

    /// Its name, as answers and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Memory => "memory",
            Self::Crashed => "crashed",
            Self::RootEnded => "root_ended",
            Self::Reload => "reload",
            Self::NodeGoing => "node_going",
            Self::NodeRestarted => "node_restarted",
        }
    }
}

/// The fields before their types are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    profile: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    files: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    idle_s: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    cells: Option<&'a RawValue>,
}

/// Those of a cell.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCell<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    code: Option<&'a RawValue>,
}

impl SessionRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// [`InvalidRequest`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        let raw: Raw<'_> = object(body, r#"{"profile": "default"}"#)?;
        Ok(Self {
            profile: raw.profile.map(profile).transpose()?,
            files: raw.files.map(files::parse_of_session).transpose()?.unwrap_or_default(),
            idle_s: raw.idle_s.map(seconds).transpose()?,
            cells: raw.cells.map(cells).transpose()?.unwrap_or_default(),
        })
    }
}

fn cells(value: &RawValue) -> Result<Vec<SessionCell>, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("cells", "an array", value));
    }
    items("cells", value, MOST_CELLS, |field, item| {
        if !item.get().starts_with('{') {
            return Err(wrong_type(field, "an object with code", item));
        }
        let RawCell { code } =
            serde_json::from_str(item.get()).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
        Ok(SessionCell { code: source(&format_args!("{field}.code"), code)? })
    })
}

fn seconds(value: &RawValue) -> Result<u64, InvalidRequest> {
    match value.get().parse::<u64>() {
        Ok(seconds) if seconds > 0 => Ok(seconds),
        _ => Err(wrong_type("idle_s", "a whole number of seconds, at least 1", value)),
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionEnd, SessionRequest};
    use crate::code::ErrorCode;
    use crate::failure::Failure;

    #[test]
    fn every_mistake_names_the_field_and_what_was_expected() {
        for (body, expected) in [
            ("", "the body is empty, expected a JSON object such as {\"profile\": \"default\"}"),
            ("[]", "the body is an array, expected a JSON object"),
            ("{", "the body is not a valid request"),
            (r#"{"profile": 1}"#, "profile is the number 1, expected a string"),
            (r#"{"profile": null}"#, "profile is null, expected a string"),
            (r#"{"idle_s": 0}"#, "idle_s is the number 0, expected a whole number of seconds, at least 1"),
            (r#"{"idle_s": 1.5}"#, "idle_s is the number 1.5"),
            (r#"{"idle_s": "60"}"#, "idle_s is a string"),
            (r#"{"idle_s": 1, "idle_s": 1}"#, "duplicate field `idle_s`"),
            (r#"{"files": {}}"#, "files is an object, expected an array"),
            (r#"{"files": [{"path": "../a", "content": ""}]}"#, "files[0].path is \"../a\""),
            (r#"{"script": "x"}"#, "unknown field `script`"),
            (r#"{"cells": {}}"#, "cells is an object, expected an array"),
            (r#"{"cells": ["x"]}"#, "cells[0] is a string, expected an object with code"),
            (r#"{"cells": [{"code": "x"}, {}]}"#, "cells[1].code is missing"),
            (r#"{"cells": [{"code": " "}]}"#, "cells[0].code is empty"),
            (r#"{"cells": [{"code": "x", "tools": []}]}"#, "cells[0]: unknown field `tools`"),
        ] {
            let message = SessionRequest::parse(body.as_bytes()).expect_err(body).to_string();
            assert!(message.contains(expected), "{body}: {message}");
        }
        let long = format!(r#"{{"profile": "{}"}}"#, "x".repeat(300));
        assert!(SessionRequest::parse(long.as_bytes()).expect_err("long").to_string().contains("at most 256"));
    }

    #[test]
    fn what_is_written_anew_is_the_same_request() {
        for body in [
            "{}",
            r#"{"profile":"big","files":[{"path":"out/a","content":"x"}],"idle_s":60,"cells":[{"code":"x = 1"}]}"#,
        ] {
            let request = SessionRequest::parse(body.as_bytes()).expect("valid");
            assert_eq!(serde_json::to_string(&request).expect("JSON"), body);
        }
    }

    #[test]
    fn what_ended_a_session_is_told_with_the_refusal() {
        for end in SessionEnd::ALL {
            assert_eq!(serde_json::to_string(&end).expect("JSON"), format!("{:?}", end.name()));
        }
        let failure = Failure::session_ended(SessionEnd::Idle, "m");
        assert_eq!((failure.code, failure.code.status()), (ErrorCode::SessionEnded, 410));
        let told = serde_json::to_string(&failure).expect("JSON");
        assert_eq!(told, r#"{"code":"session_ended","message":"m","reason":"idle"}"#);
    }
}
