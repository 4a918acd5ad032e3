//! What the contract says of the bodies that clients get, for programs: schemas, which are all that these types are for.
//!
//! Those of a job's answer are made where it is written.

use cloister_protocol::{Call, RefusedReturn};

pub use cloister_protocol::schemas::{CellFailed, CellReturned, Failed, Refused, Returned};
use utoipa::openapi::schema::{AnyOfBuilder, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// An answer that stopped at calls of tools.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Waits {
    /// The job.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// The calls that wait.
    #[schema(min_items = 1)]
    calls: Vec<Call>,
    /// How long they do: then the job is ended.
    returns_within_ms: u64,
    /// What was returned and not taken, of the request that this answers; not there if all was.
    #[schema(required = false)]
    refused: Vec<RefusedReturn>,
}

/// What calls of tools came to.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Returns {
    /// One for each call, in any order.
    #[schema(max_items = 1024)]
    returns: Vec<Return>,
}

/// What a call came to: its number, and either `value` or `error`.
#[derive(ToSchema)]
#[schema(min_properties = 2, max_properties = 2)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Return {
    /// The call.
    #[schema(minimum = 1)]
    call: u32,
    /// What the tool returned: any JSON.
    #[schema(required = false, value_type = serde_json::Value)]
    value: (),
    /// What it failed with.
    #[schema(required = false, nullable = false)]
    error: Option<ToolFailure>,
}

/// What a tool failed with.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct ToolFailure {
    /// What the script's exception says.
    #[schema(max_length = 65536)]
    message: String,
}

/// The answer of the job or the cell, or, where that is a stream, which calls were returned to.
pub struct ReturnedOrTaken;

impl PartialSchema for ReturnedOrTaken {
    fn schema() -> RefOr<Schema> {
        any_of(&["Returned", "CellReturned", "Taken"])
    }
}

impl ToSchema for ReturnedOrTaken {}

/// The failure of the job or the cell.
pub struct EitherFailed;

impl PartialSchema for EitherFailed {
    fn schema() -> RefOr<Schema> {
        any_of(&["Failed", "CellFailed"])
    }
}

impl ToSchema for EitherFailed {}

/// One of these, or more than one: what a cell is answered with has all that a job is.
fn any_of(names: &[&str]) -> RefOr<Schema> {
    names.iter().fold(AnyOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(*name))).into()
}

/// What is in a file: any bytes.
pub struct FileContent;

impl PartialSchema for FileContent {
    fn schema() -> RefOr<Schema> {
        let bytes = ObjectBuilder::new().schema_type(Type::String).description(Some("What is in a file: any bytes."));
        bytes.format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).into()
    }
}

impl ToSchema for FileContent {}

/// `/healthz`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Status {
    /// `ok`.
    status: String,
}

/// `/readyz`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Readiness {
    /// `ok`.
    status: String,
    /// The first digits of the digest of the policy in force.
    #[schema(pattern = "^[0-9a-f]{12}$")]
    policy: String,
    /// What became of the last change of the policy, unless it is in force as a whole.
    #[schema(nullable = false)]
    reload: Option<Reload>,
}

/// A change of the policy that did not go through, or not wholly: one of these.
#[derive(ToSchema)]
#[schema(min_properties = 1, max_properties = 1)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Reload {
    /// The file was refused, and why; the policy before it is in force.
    #[schema(nullable = false)]
    refused: Option<String>,
    /// It is in force but for these settings.
    #[schema(nullable = false)]
    needs_restart: Option<Vec<String>>,
}
