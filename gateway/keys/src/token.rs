//! A key as its holder has it, and the digest that is kept of it.
//!
//! `cloister_` + 16 digits that find the entry + `_` + 64 digits of secret, all from the kernel's
//! generator. With 256 random bits there is nothing to guess, so one SHA-256 is enough: what makes
//! password hashes slow is there for secrets that people think up. Digests are compared in constant time.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::as_text::as_text;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "cloister_";

/// Finds a key's entry; not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

/// A key in the clear. It is shown once, when it is made, and then is its holder's alone.
pub struct Token {
    /// Which entry it claims to be.
    pub id: KeyId,
    text: String,
}

/// What is kept of a key.
#[derive(Clone, Copy, Debug)]
pub struct Digest([u8; 32]);

impl Token {
    /// A new key.
    ///
    /// # Errors
    /// The kernel has no random bytes, `getrandom(2)`.
    pub fn random() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        let text = format!("{PREFIX}{}_{}", HEXLOWER.encode(&id), HEXLOWER.encode(&secret));
        Ok(Self { id: KeyId(id), text })
    }

    /// Reads a key as it was shown; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        bytes::<32>(secret)?;
        Some(Self { id: KeyId(bytes(id)?), text: text.to_owned() })
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.as_bytes()).into())
    }

    /// The key as its holder has it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl Digest {
    /// One that no key has.
    pub const NOBODYS: Self = Self([0; 32]);

    /// Whether both are of one key; takes as long whatever the answer.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Bytes in lower-case hexadecimal digits, exactly as many as asked for.
fn bytes<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

impl KeyId {
    /// Its eight bytes as a number.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from_be_bytes(self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        bytes(text).map(Self).ok_or("expected 16 hexadecimal digits")
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        bytes(text).map(Self).ok_or("expected 64 hexadecimal digits")
    }
}

as_text!(KeyId);

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Token};

    #[test]
    fn a_key_is_read_back_and_no_other_has_its_digest() {
        let token = Token::random().expect("random bytes");
        let read = Token::parse(token.reveal()).expect("a key");
        assert_eq!(read.id, token.id);
        assert!(read.digest().is(&token.digest()));
        let other = Token::random().expect("random bytes");
        assert!(!other.digest().is(&token.digest()) && !Digest::NOBODYS.is(&token.digest()));
    }

    #[test]
    fn only_the_exact_form_is_a_key() {
        let key = Token::random().expect("random bytes");
        let key = key.reveal();
        for wrong in ["", "cloister_", &key[1..], &key[..key.len() - 1], &format!("{key}0"), &key.to_uppercase()] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
        assert!(Token::parse(&key.replacen('_', "-", 1)).is_none());
    }
}
