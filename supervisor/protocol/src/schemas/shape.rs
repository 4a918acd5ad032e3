//! The shapes of a body, each with a name of its own.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::{Answer, Given};
use crate::cell::CellGiven;

/// A list of schemas and their names, as documents collect them.
type Named = Vec<(String, RefOr<Schema>)>;

/// Of the shapes of an [`Answer`], the one that this is the name of, and how it is made one object.
macro_rules! shape {
    ($(#[$doc:meta])* $name:ident, $index:literal, $made:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                match Answer::schema() {
                    RefOr::T(Schema::OneOf(mut shapes)) => $made(shapes.items.swap_remove($index)).into(),
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
fn in_one(shape: RefOr<Schema>) -> Schema {
    let all = match shape {
        RefOr::T(Schema::AllOf(all)) => all,
        RefOr::T(whole) => return whole,
        RefOr::Ref(_) => unreachable!("a shape is written where it is"),
    };
    let mut whole = Object::with_type(Type::Object);
    whole.description = all.description;
    for part in all.items {
        let part = if let RefOr::Ref(_) = part { Given::schema() } else { part };
        let RefOr::T(Schema::Object(part)) = part else { unreachable!("an answer is made of objects") };
        whole.required.extend(part.required);
        whole.properties.extend(part.properties);
    }
    Schema::Object(whole)
}

/// The same of a cell, with what there is of one beside: it has no exit code, and its value need not have a form in JSON.
fn of_cell(shape: RefOr<Schema>) -> Schema {
    let (Schema::Object(mut whole), RefOr::T(Schema::Object(cell))) = (in_one(shape), CellGiven::schema()) else {
        unreachable!("an answer is an object, and so is what a cell has beside");
    };
    whole.properties.remove("exit_code");
    whole.required.retain(|name| name != "result");
    whole.required.extend(cell.required);
    whole.properties.extend(cell.properties);
    Schema::Object(whole)
}

shape!(
    /// 200: `main()` returned JSON.
    Returned,
    0,
    in_one
);
shape!(
    /// 422: the script's own failure.
    Failed,
    1,
    in_one
);
shape!(
    /// Everything else: there is no verdict on a job.
    Refused,
    2,
    in_one
);
shape!(
    /// 200 of a cell: it came to its end.
    CellReturned,
    0,
    of_cell
);
shape!(
    /// 422 of a cell: its own failure.
    CellFailed,
    1,
    of_cell
);
