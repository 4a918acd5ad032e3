//! Who asks, whether they may, and when it is their turn.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use cloister_protocol::ErrorCode;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::keys::{AtOnce, Key, Keyring, Standing, Stranger, Token};
use crate::queue::{NoPlace, Place, Queue, Tenant};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The profile of a request that names none.
const DEFAULT_PROFILE: &str = "default";

/// The gateway's own order of things.
#[derive(Debug)]
pub struct Admission {
    keyring: Option<Arc<Keyring>>,
    queue: Arc<Queue>,
}

/// One who may ask.
#[derive(Debug)]
pub struct Guest {
    tenant: Tenant,
    key: Option<Arc<Key>>,
    standing: Option<Standing>,
}

/// A request's leave to run, for as long as it is kept.
#[derive(Debug)]
pub struct Leave(#[expect(dead_code, reason = "held for their ends")] (Option<AtOnce>, Place));

/// Why a request goes no further.
#[derive(Debug)]
pub struct Refused {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Header fields that say more.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The key that a request came with, for the log.
#[derive(Clone, Debug)]
pub struct Holder(pub Arc<Key>);

impl Admission {
    /// Asks for one of these keys, or for none; runs requests by way of this queue.
    pub fn new(keyring: Option<Arc<Keyring>>, queue: Arc<Queue>) -> Self {
        Self { keyring, queue }
    }

    /// Looks at who asks and counts the request.
    ///
    /// # Errors
    /// 401 for a stranger, 429 for who sends too fast.
    pub fn greet(&self, headers: &HeaderMap, client: IpAddr) -> Result<Guest, Refused> {
        let Some(keyring) = &self.keyring else {
            return Ok(Guest { tenant: Tenant::at(client), key: None, standing: None });
        };
        let key = keyring.find(&bearer(headers)?).map_err(|stranger| unauthorized(&stranger, true))?;
        match key.take() {
            Ok(standing) => Ok(Guest { tenant: Tenant::Key(key.id()), key: Some(key), standing }),
            Err(standing) => Err(too_fast(standing)),
        }
    }

    /// Waits for this guest's turn.
    ///
    /// # Errors
    /// 403 for a profile that the key may not use, 429 for too many requests at once.
    pub async fn admit(&self, guest: &Guest, profile: Option<&str>) -> Result<Leave, Refused> {
        let key = guest.key.as_deref();
        if let Some(profiles) = key.and_then(Key::profiles) {
            let profile = profile.unwrap_or(DEFAULT_PROFILE);
            if !profiles.iter().any(|known| known == profile) {
                let profiles = profiles.join(", ");
                let message = format!("profile: this key may not use {profile:?}, expected one of: {profiles}");
                return Err(Refused::new(ErrorCode::Forbidden, message));
            }
        }
        let at_once = key.map(Key::enter).transpose().map_err(|most| {
            let message = format!("this key may have {most} requests at once, and that many run or wait");
            Refused::new(ErrorCode::RateLimited, message)
        })?;
        let place = self.queue.enter(guest.tenant).await;
        Ok(Leave((at_once, place.map_err(|reason: NoPlace| Refused::new(ErrorCode::Overloaded, reason.to_string()))?)))
    }
}

impl Guest {
    /// For whom the supervisor counts its request.
    pub fn tenant(&self) -> cloister_protocol::Tenant {
        self.tenant.number()
    }

    /// Tells the client where it stands, and the log who it is.
    pub fn sign(&self, response: &mut Response) {
        if let Some(standing) = self.standing {
            response.headers_mut().extend(fields(standing));
        }
        if let Some(key) = &self.key {
            response.extensions_mut().insert(Holder(Arc::clone(key)));
        }
    }
}

impl Refused {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), headers: Vec::new() }
    }
}

/// The key in `Authorization: Bearer` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Result<Token, Refused> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(unauthorized(&"send a key: Authorization: Bearer KEY", false));
    };
    let token = line.to_str().ok().and_then(|line| {
        let (scheme, token) = line.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(token) = token else {
        return Err(unauthorized(&"send the key as Authorization: Bearer KEY", false));
    };
    Token::parse(token).ok_or_else(|| unauthorized(&Stranger::Unknown, true))
}

fn unauthorized(reason: &impl std::fmt::Display, had_one: bool) -> Refused {
    let challenge =
        if had_one { "Bearer realm=\"cloister\", error=\"invalid_token\"" } else { "Bearer realm=\"cloister\"" };
    let mut refused = Refused::new(ErrorCode::Unauthorized, reason.to_string());
    refused.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
    refused
}

fn too_fast(standing: Standing) -> Refused {
    let seconds = standing.reset;
    let mut refused = Refused::new(ErrorCode::RateLimited, format!("this key sends too fast: wait {seconds} s"));
    refused.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
    refused.headers.extend(fields(standing));
    refused
}

/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10, 3 and 4).
fn fields(standing: Standing) -> [(HeaderName, HeaderValue); 2] {
    let Standing { burst, window, remaining, reset } = standing;
    let value = |text: String| HeaderValue::from_str(&text).expect("digits and punctuation");
    [
        (RATE_LIMIT_POLICY, value(format!("\"key\";q={burst};w={window}"))),
        (RATE_LIMIT, value(format!("\"key\";r={remaining};t={reset}"))),
    ]
}
