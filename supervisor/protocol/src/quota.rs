//! A quota of a key that is used up, as a refusal tells it.

use serde::Serialize;

/// A quota that is used up: of which kind, how large it is, how much was used, and when it begins anew.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SpentQuota {
    /// What it is of.
    pub of: QuotaKind,
    /// How much of it a day has.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub limit: Amount,
    /// How much of it was used today: more than the limit, if jobs ran that used more than was left.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub used: Amount,
    /// When it begins anew: the next midnight of UTC, such as `2030-02-01T00:00:00Z`.
    pub resets_at: String,
}

/// What a quota is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum QuotaKind {
    /// Processor time, in seconds.
    CpuSeconds,
    /// Jobs.
    Jobs,
}

/// So much of what a quota is of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// Jobs.
    Count(u64),
    /// Processor time.
    Seconds(f64),
}
