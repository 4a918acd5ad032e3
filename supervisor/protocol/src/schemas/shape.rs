//! The shapes of a body, each with a name of its own.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::{Answer, Given};

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
                    RefOr::T(Schema::OneOf(mut shapes)) => in_one(shapes.items.swap_remove($index)),
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
                // What shapes have in common is in each of them.
                schemas.retain(|(name, _)| *name != Given::name());
            }
        }
    };
}

/// An object with all its fields beside one another, as they are in JSON, whatever types have them in common.
fn in_one(shape: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::AllOf(all)) = shape else { return shape };
    let mut whole = Object::with_type(Type::Object);
    whole.description = all.description;
    for part in all.items {
        let part = if let RefOr::Ref(_) = part { Given::schema() } else { part };
        let RefOr::T(Schema::Object(part)) = part else { unreachable!("an answer is made of objects") };
        whole.required.extend(part.required);
        whole.properties.extend(part.properties);
    }
    RefOr::T(Schema::Object(whole))
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
