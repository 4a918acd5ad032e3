//! The `error` object of an answer.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::code::ErrorCode;
use crate::failure::{Details, Failure};
use crate::packages::MissingPackages;
use crate::quota::SpentQuota;
use crate::session::SessionEnd;

/// The `error` object of a job: a [`Failure`] with its [`Details`], and what is missing where it is that.
#[derive(Clone, Copy, Debug)]
pub struct JobError;

impl PartialSchema for JobError {
    fn schema() -> RefOr<Schema> {
        let (mut failure, details) = (object::<Failure>(), object::<Details>());
        failure.properties.extend(details.properties);
        failure.properties.extend(object::<MissingPackages>().properties);
        Schema::Object(failure).into()
    }
}

impl ToSchema for JobError {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("JobError")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Failure::schemas(schemas);
        Details::schemas(schemas);
        MissingPackages::schemas(schemas);
    }
}

/// The `error` object where there is no verdict.
#[derive(Clone, Debug, ToSchema)]
#[allow(dead_code, reason = "a schema alone: an answer writes it from a failure")]
pub struct Refusal {
    /// For programs.
    code: ErrorCode,
    /// For people.
    message: String,
    /// The quota that is used up; of `quota_exceeded` alone.
    #[schema(required = false, nullable = false)]
    quota: Option<SpentQuota>,
    /// What ended the session; of `session_ended` alone.
    #[schema(required = false, nullable = false)]
    reason: Option<SessionEnd>,
    /// Whether any line of the script ran; `null` if nobody can know.
    #[schema(required = true)]
    ran: Option<bool>,
}

/// The schema of a type that is an object.
fn object<T: PartialSchema>() -> Object {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => unreachable!("a struct is an object"),
    }
}
