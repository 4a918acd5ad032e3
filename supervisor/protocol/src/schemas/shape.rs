//! The shapes of a body, each with a name of its own.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::answer::Answer;

/// A list of schemas and their names, as documents collect them.
type Named = Vec<(String, RefOr<Schema>)>;

/// Of the shapes of an [`Answer`], the one that this is the name of.
macro_rules! shape {
    ($(#[$doc:meta])* $name:ident, $index:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                match Answer::schema() {
                    RefOr::T(Schema::OneOf(mut shapes)) => shapes.items.swap_remove($index),
                    _ => unreachable!("an answer has one of its shapes"),
                }
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn schemas(schemas: &mut Named) {
                Answer::schemas(schemas);
            }
        }
    };
}

shape!(
    /// 200: `main()` returned JSON.
    Returned,
    0
);
shape!(
    /// 422: the script's own failure.
    Failed,
    1
);
shape!(
    /// Everything else: there is no verdict on a job.
    Refused,
    2
);
