//! A refusal that a job tells of. Every byte is a stranger's, and so is bounded before it is kept.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How many arguments of a call a refusal may tell: a system call has no more, `syscall(2)`.
const MOST_ARGUMENTS: usize = 6;

/// What of a path in a refusal is kept, in bytes. The kernel takes none above 4096, of which each may be written as `\xff`.
pub(crate) const LONGEST_PATH: usize = 4 * 4096;

/// What of its other words is kept, in bytes.
const LONGEST_WORD: usize = 256;

/// A refusal that a job tells of. Nothing in it is believed: it says where to look in the policy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Claim {
    /// The error's name, such as `EPERM`.
    pub errno: String,
    /// The call, such as `socket`.
    pub call: Option<String>,
    /// Its first arguments, as far as they are known.
    #[serde(default, deserialize_with = "at_most::<_, _, MOST_ARGUMENTS>")]
    pub arguments: Vec<Option<u64>>,
    /// The absolute path that was to be used.
    pub path: Option<String>,
    /// What seems to be used up, such as `tmp_bytes`.
    pub full: Option<String>,
}

impl Claim {
    /// One that has the form of a claim, with what is too long cut off; any other is as good as not made.
    pub(crate) fn read(claim: &RawValue) -> Option<Self> {
        let mut claim: Self = serde_json::from_str(claim.get()).ok()?;
        for word in [Some(&mut claim.errno), claim.call.as_mut(), claim.full.as_mut()].into_iter().flatten() {
            cut(word, LONGEST_WORD);
        }
        if let Some(path) = &mut claim.path {
            cut(path, LONGEST_PATH);
        }
        Some(claim)
    }
}

pub(crate) fn cut(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rfind(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text.shrink_to_fit();
}

/// The first `MOST` items of an array; the others are passed over.
pub(crate) fn at_most<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(AtMost::<T, MOST>(PhantomData))
}

struct AtMost<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for AtMost<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut first = Vec::new();
        while first.len() < MOST {
            let Some(item) = items.next_element()? else { return Ok(first) };
            first.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}
