//! What a request has in it that is said more plainly than its types are made.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::entry::Entry;
use crate::file::InputFile;

/// Those of its values that a client may name.
impl PartialSchema for Entry {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["main", "program"]));
        names.default(Some("main".into())).into()
    }
}

impl ToSchema for Entry {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Entry")
    }
}

/// One object with two fields of three, for of several shapes generators make classes with numbers for names.
impl PartialSchema for InputFile {
    fn schema() -> RefOr<Schema> {
        let path = text("Where it is put: relative to the working directory, not in `out`.");
        let path = path.min_length(Some(1)).max_length(Some(1024)).examples(["data/input.csv"]);
        let bytes = text("Or any bytes, in base64 with padding (RFC 4648, section 4).").content_encoding("base64");
        ObjectBuilder::new()
            .description(Some("A file that a request brings: its path, and either `content` or `content_base64`."))
            .property("path", path)
            .required("path")
            .property("content", text("What is in it, as text, which is written as UTF-8."))
            .property("content_base64", bytes)
            .min_properties(Some(2))
            .max_properties(Some(2))
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .into()
    }
}

impl ToSchema for InputFile {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("InputFile")
    }
}

fn text(what: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(what))
}
