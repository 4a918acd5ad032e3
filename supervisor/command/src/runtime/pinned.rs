//! The one version of uv that is used, by the digest of its wheel.

/// The version.
pub const VERSION: &str = "0.13.9";

/// The digest of its wheel for Linux on x86-64.
pub const WHEEL: &str = "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19";
