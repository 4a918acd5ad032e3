//! Who asks, and whether they may. When it is their turn is the supervisor's to say.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::response::Response;
use cloister_protocol::{DEFAULT_PROFILE, ErrorCode, SpentQuota, Tenant};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::admission::tenant;
use crate::keys::{AtOnce, Key, Keyring, Standing, Stranger, Token};
use crate::usage::accounts::Accounts;
use crate::usage::ledger::CountedJob;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The gateway's own order of things.
#[derive(Debug)]
pub struct Admission {
    keyring: Option<Arc<Keyring>>,
}

/// One who may ask.
#[derive(Debug)]
pub struct Caller {
    tenant: Tenant,
    key: Option<Arc<Key>>,
    standing: Option<Standing>,
    permit: OnceLock<Permit>,
}

/// A key's leave to have one more request at once, until the last byte of its answer has left.
#[derive(Clone, Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its end")] Arc<AtOnce>);

/// Why a request goes no further.
#[derive(Debug)]
pub struct Refused {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// Header fields that say more.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The quota that is used up, if it is that.
    pub quota: Option<Box<SpentQuota>>,
}

/// The key that a request came with, for the log.
#[derive(Clone, Debug)]
pub struct Holder(pub Arc<Key>);

impl Admission {
    /// Asks for one of these keys, or for none.
    pub fn new(keyring: Option<Arc<Keyring>>) -> Self {
        Self { keyring }
    }

    /// Looks at who asks and counts the request.
    ///
    /// # Errors
    /// 401 for a stranger, 429 for who sends too fast.
    pub fn identify(&self, headers: &HeaderMap, client: IpAddr) -> Result<Caller, Refused> {
        let mut caller = self.recognise(headers, client)?;
        if let Some(key) = &caller.key {
            caller.standing = key.take().map_err(too_fast)?;
        }
        Ok(caller)
    }

    /// Looks at who asks for the rest of what was counted already.
    ///
    /// # Errors
    /// 401 for a stranger.
    pub fn recognise(&self, headers: &HeaderMap, client: IpAddr) -> Result<Caller, Refused> {
        let (standing, permit) = (None, OnceLock::new());
        let Some(keyring) = &self.keyring else {
            return Ok(Caller { tenant: tenant::at(client), key: None, standing, permit });
        };
        let key = keyring.find(&bearer(headers)?).map_err(|stranger| unauthorized(&stranger, true))?;
        Ok(Caller { tenant: tenant::with(key.id()), key: Some(key), standing, permit })
    }
}

impl Caller {
    /// The same for more that it has asked for by the same request, which is let in by itself, as soon as its key may send one more.
    pub async fn again(&self) -> Self {
        while let Some(Err(standing)) = self.key.as_deref().map(Key::take) {
            tokio::time::sleep(Duration::from_secs(standing.reset)).await;
        }
        Self { tenant: self.tenant, key: self.key.clone(), standing: None, permit: OnceLock::new() }
    }

    /// Whether it has used up what it may today; before its request is read.
    ///
    /// # Errors
    /// 429 for a quota that is used up.
    pub fn check(&self, accounts: &Accounts) -> Result<(), Refused> {
        self.key.as_deref().map_or(Ok(()), |key| accounts.check(key)).map_err(Refused::from)
    }

    /// Whether it may run a job now, which is then counted. It keeps its leave until the answer that it signs has left.
    ///
    /// # Errors
    /// 403 for a profile that the key may not use, 429 for a quota that is used up, or too many requests at once.
    pub fn admit(&self, profile: Option<&str>, accounts: &Accounts) -> Result<Option<CountedJob>, Refused> {
        self.enter_under(profile)?;
        Ok(self.key.as_deref().map_or(Ok(None), |key| accounts.take(key))?)
    }

    /// Whether it may have one more request at once, of this profile.
    ///
    /// # Errors
    /// 403 for a profile that the key may not use, 429 for too many requests at once.
    pub fn enter_under(&self, profile: Option<&str>) -> Result<(), Refused> {
        self.allow(profile)?;
        self.enter()
    }

    /// Whether its key may use this profile.
    ///
    /// # Errors
    /// 403 if not.
    pub fn allow(&self, profile: Option<&str>) -> Result<(), Refused> {
        let profile = profile.unwrap_or(DEFAULT_PROFILE);
        if !self.may_use(profile) {
            let profiles = self.profiles().unwrap_or_default().join(", ");
            let message = format!("profile: this key may not use {profile:?}, expected one of: {profiles}");
            return Err(Refused::new(ErrorCode::Forbidden, message));
        }
        Ok(())
    }

    /// Whether it may have one more request at once.
    ///
    /// # Errors
    /// 429 for too many.
    pub fn enter(&self) -> Result<(), Refused> {
        let at_once = self.key.as_deref().map(Key::enter).transpose().map_err(|most| {
            let message = format!(
                "this key may have {most} requests at once, and that many run, wait, or have answers that are not read yet"
            );
            Refused::new(ErrorCode::RateLimited, message)
        })?;
        if let Some(at_once) = at_once {
            let _ = self.permit.set(Permit(Arc::new(at_once)));
        }
        Ok(())
    }

    /// The name of its key.
    pub fn key_name(&self) -> Option<&str> {
        self.key.as_deref().map(Key::name)
    }

    /// Whether what its jobs use is counted against a quota.
    pub fn has_cpu_quota(&self) -> bool {
        self.key.as_deref().is_some_and(|key| key.quotas().0.is_some())
    }

    /// The profiles that it may use; `None` for all.
    pub fn profiles(&self) -> Option<&[String]> {
        self.key.as_deref().and_then(Key::profiles)
    }

    /// Whether it may use this profile.
    pub fn may_use(&self, profile: &str) -> bool {
        self.profiles().is_none_or(|profiles| profiles.iter().any(|known| known == profile))
    }

    /// Its leave to have one more request at once, and its key, for an answer that outlasts the request.
    pub fn leave(&self) -> (Option<Permit>, Option<Holder>) {
        (self.permit.get().cloned(), self.key.clone().map(Holder))
    }

    /// For whom the supervisor counts its request.
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// Tells the client where it stands, and the log who it is.
    pub fn sign(&self, response: &mut Response) {
        if let Some(standing) = self.standing {
            response.headers_mut().extend(fields(standing));
        }
        if let Some(permit) = self.permit.get() {
            response.extensions_mut().insert(permit.clone());
        }
        if let Some(key) = &self.key {
            response.extensions_mut().insert(Holder(Arc::clone(key)));
        }
    }
}

impl Refused {
    /// Without more to say.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), headers: Vec::new(), quota: None }
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
