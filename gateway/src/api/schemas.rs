//! What the contract says of the bodies that clients get, for programs: schemas, which are all that these types are for.
//!
//! Those of a job's answer are made where it is written.

pub use cloister_protocol::schemas::{Failed, Refused, Returned};
use utoipa::ToSchema;

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
