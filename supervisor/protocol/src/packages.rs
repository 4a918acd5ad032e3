//! What a request says that its script needs, and what it is told where that is not.
//!
//! Requirements are texts here: what they mean is the gateway's to read, and the supervisor never gets any.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, string, wrong_type};

/// How many requirements a request or its script may have.
pub const MOST_REQUIREMENTS: usize = 256;

/// What is in them together at most, in bytes.
pub const LONGEST_REQUIREMENTS: usize = 16 * 1024;

/// What a script needs and does not get: of `missing_packages` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingPackages {
    /// What is not there: in the profile that was asked for, or else in the one that comes nearest.
    pub missing: Vec<MissingPackage>,
    /// The profile that has most of it, of those that may be used; `null` if there is none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub nearest: Option<String>,
    /// Whether any line of the script ran: `false`.
    pub ran: bool,
}

/// A package that a script needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingPackage {
    /// Its name, in lower case with single hyphens; `python` for the interpreter itself.
    pub name: String,
    /// What is asked of it, such as `scipy>=1.11`; of the interpreter, such as `>=3.12`.
    pub wanted: String,
    /// The version that is there instead; `null` if none is.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub there: Option<String>,
}

/// Parses the field `packages`.
pub(crate) fn parse(value: &RawValue) -> Result<Vec<String>, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("packages", "an array of requirements such as \"scipy>=1.11\"", value));
    }
    let mut bytes = 0;
    items("packages", value, MOST_REQUIREMENTS, |field, item| {
        let requirement = string(field, item)?;
        bytes += requirement.len();
        if bytes > LONGEST_REQUIREMENTS {
            let message = format!(
                "packages is longer than {LONGEST_REQUIREMENTS} bytes, which all requirements may have together"
            );
            return Err(InvalidRequest::new(message));
        }
        Ok(requirement)
    })
}

#[cfg(test)]
mod tests {
    use crate::json::tests::{bomb, on_a_small_stack};
    use crate::request::ExecuteRequest;
    use crate::writer::Writer;

    fn read(packages: &str) -> Result<Vec<String>, String> {
        let body = format!(r#"{{"script": "x", "packages": {packages}}}"#);
        ExecuteRequest::parse(body.as_bytes()).map(|request| request.packages).map_err(|error| error.to_string())
    }

    #[test]
    fn requirements_are_texts_and_bounded() {
        assert_eq!(read(r#"["scipy>=1.11", "numpy"]"#), Ok(vec!["scipy>=1.11".to_owned(), "numpy".to_owned()]));
        assert_eq!(read("[]"), Ok(Vec::new()));
        let many = format!("[{}]", vec![r#""a""#; 257].join(","));
        let long = format!(r#"["{}"]"#, "a".repeat(16_385));
        let numerous = format!("[{}]", vec![r#""numpy>=1""#; 10_000].join(","));
        for (packages, expected) in [
            ("null", "packages is null, expected an array of requirements"),
            (r#""scipy""#, "packages is a string, expected an array"),
            (r#"{"$serde_json::private::RawValue": "[]"}"#, "packages is an object, expected an array"),
            (r#"["a", 1]"#, "packages[1] is the number 1, expected a string"),
            (r#"[{"$serde_json::private::RawValue": "\"a\""}]"#, "packages[0] is an object, expected a string"),
            (r#"["\ud800"]"#, "packages[0] is not valid Unicode text"),
            (&many, "packages has more than the 256 items that it may have"),
            (&numerous, "packages has more than the 256 items that it may have"),
            (&long, "packages is longer than 16384 bytes"),
        ] {
            let message = read(packages).expect_err("refused");
            assert!(message.contains(expected), "{packages:.80}: {message}");
        }
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(on_a_small_stack(|| read(&deep)).is_err());
        assert!(on_a_small_stack(|| read(&format!("[{}]", bomb(200_000)))).is_err());
    }

    #[test]
    fn no_gateway_passes_them_on() {
        let refused = ExecuteRequest::parse_from(Writer::Gateway, br#"{"script": "x", "packages": ["a"]}"#);
        assert!(refused.expect_err("refused").to_string().contains("packages is for the gateway"));
    }
}
