//! A page for people: an editor, and what becomes of the script in it; and a notebook, whose cells share a session.
//!
//! It is plain files, part of the program, that anyone may load: only what they ask for needs a key.
//! They may load nothing from elsewhere, be framed by nobody, and run no script but their own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use data_encoding::HEXLOWER;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use sha2::{Digest, Sha256};

use crate::api::app::App;
use crate::api::methods::only;
use crate::api::schemas;

/// The path of the page itself; what it loads lies beneath `/page/`, and the notebook at `/notebook`.
pub const PATH: &str = "/";

/// The page shows images that scripts made, as `data:`, and connects to this node alone.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
    form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What every file is sent with. A browser asks each time whether its copy is still the node's.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-cache"),
];

/// A file of the page.
struct File {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const fn file(path: &'static str, media_type: &'static str, content: &'static str) -> File {
    File { path, media_type, content }
}

const FILES: [File; 18] = [
    file(PATH, HTML, include_str!("../../page/index.html")),
    file("/page/page.css", CSS, include_str!("../../page/page.css")),
    file("/page/app.js", JAVASCRIPT, include_str!("../../page/app.js")),
    file("/page/editor.js", JAVASCRIPT, include_str!("../../page/editor.js")),
    file("/page/python.js", JAVASCRIPT, include_str!("../../page/python.js")),
    file("/page/ask.js", JAVASCRIPT, include_str!("../../page/ask.js")),
    file("/page/json.js", JAVASCRIPT, include_str!("../../page/json.js")),
    file("/page/show.js", JAVASCRIPT, include_str!("../../page/show.js")),
    file("/page/examples.js", JAVASCRIPT, include_str!("../../page/examples.js")),
    file("/page/kept.js", JAVASCRIPT, include_str!("../../page/kept.js")),
    file("/notebook", HTML, include_str!("../../page/notebook.html")),
    file("/page/notebook.css", CSS, include_str!("../../page/notebook.css")),
    file("/page/notebook.js", JAVASCRIPT, include_str!("../../page/notebook.js")),
    file("/page/cell.js", JAVASCRIPT, include_str!("../../page/cell.js")),
    file("/page/output.js", JAVASCRIPT, include_str!("../../page/output.js")),
    file("/page/table.js", JAVASCRIPT, include_str!("../../page/table.js")),
    file("/page/session.js", JAVASCRIPT, include_str!("../../page/session.js")),
    file("/page/ipynb.js", JAVASCRIPT, include_str!("../../page/ipynb.js")),
];

/// The page, and what it loads from beneath `/page/`: for people, with a browser.
#[utoipa::path(
    get, tag = "node", path = PATH, operation_id = "page", summary = "A page to try scripts in", security(()),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html; charset=utf-8"),
        (status = 403, description = "It was asked for by a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 304, description = "The client has it, by its If-None-Match."),
        (status = 404, description = "This gateway was started without it: not_found.", body = schemas::Refused)
    )
)]
pub fn routes() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, file| {
        let headers = file.headers();
        let serve = async move |asked: HeaderMap| file.answer(&headers, &asked);
        router.route(file.path, only("GET, HEAD", get(serve)))
    })
}

impl File {
    fn headers(&self) -> HeaderMap {
        let tag = format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(self.content)[..16]));
        let own = [(CONTENT_TYPE, HeaderValue::from_static(self.media_type))];
        let tag = HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes");
        let common = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
        own.into_iter().chain([(ETAG, tag)]).chain(common).collect()
    }

    /// The file, or word that the client has it.
    fn answer(&self, headers: &HeaderMap, asked: &HeaderMap) -> Response {
        let known = headers.get(ETAG).is_some_and(|tag| knows(asked, tag));
        let mut response = Response::new(if known { Body::empty() } else { Body::from(self.content) });
        *response.headers_mut() = headers.clone();
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }
}

/// Whether a client that asks has what bears this tag (RFC 9110, 13.1.2). None of ours has a comma in it.
fn knows(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).into_iter().filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}
