//! What `/readyz` tells.

use serde::Serialize;

/// What `/readyz` tells of a reload that did not go through, or not wholly.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadState {
    /// The file was refused; the policy before it is in force.
    Refused(&'static str),
    /// It is in force but for these settings.
    NeedsRestart(Vec<&'static str>),
}

/// The body of `/readyz`, which anyone may read: no name, no path and no line of the policy.
#[derive(Serialize)]
pub struct Readiness<'a> {
    /// That it is ready.
    pub status: &'a str,
    /// The first digits of the digest of the policy in force.
    pub policy: &'a str,
    /// What there is to tell of the last reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadState>,
}
