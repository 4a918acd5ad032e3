//! Which profile serves a script that says what it needs: the one that was asked for, or else the default one, or the one with
//! the smallest runtime that has it all.

use std::collections::HashMap;
use std::sync::Arc;

use cloister_protocol::{DEFAULT_PROFILE, ErrorCode, Failure, MissingPackage, MissingPackages};

use crate::needs::catalog::{Catalog, Runtime};
use crate::needs::requirement::shown;
use crate::needs::wanted::Needs;

/// How many of what is missing a sentence names.
const NAMED: usize = 8;

/// The way out, for a person.
const WAY_OUT: &str = "nothing is installed while a script runs: whoever runs this node adds packages to a runtime with \
    `cloister runtime`, and reloads the policy";

/// A profile that has what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub profile: String,
    /// Its runtime, in the supervisor's word.
    pub runtime: String,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The profile that the request names.
    pub profile: Option<String>,
    /// The profiles that may be used; all, if nobody says.
    pub allowed: Option<Vec<String>>,
}

/// A profile among others: what its runtime lacks, and how it is preferred.
struct Candidate<'a> {
    profile: &'a str,
    runtime: &'a Runtime,
    missing: Arc<Vec<MissingPackage>>,
}

impl Candidate<'_> {
    fn rank(&self) -> (usize, bool, usize) {
        // What is there in another version is nearer than what is not.
        let far = self.missing.iter().map(|one| 1 + usize::from(one.there.is_none())).sum();
        (far, self.profile != DEFAULT_PROFILE, self.runtime.size())
    }
}

/// Chooses.
///
/// # Errors
/// `missing_packages`, or that there is no such profile.
pub fn choose(needs: &Needs, catalog: &Catalog, asking: &Asking) -> Result<Choice, Failure> {
    let mut lacking: HashMap<*const Runtime, Arc<Vec<MissingPackage>>> = HashMap::new();
    let candidates: Vec<_> = catalog
        .allowed(asking.allowed.as_deref())
        .map(|(profile, runtime)| {
            let missing = lacking.entry(Arc::as_ptr(runtime)).or_insert_with(|| Arc::new(needs.missing(runtime)));
            Candidate { profile, runtime, missing: Arc::clone(missing) }
        })
        .collect();
    // Of equal ones the first by name.
    let nearest = candidates.iter().min_by_key(|candidate| candidate.rank());
    let asked = match &asking.profile {
        None => nearest,
        Some(name) => Some(candidates.iter().find(|candidate| candidate.profile == name).ok_or_else(|| {
            let known = candidates.iter().map(|candidate| candidate.profile).collect::<Vec<_>>().join(", ");
            let message = format!("profile: there is no profile {name:?}, expected one of: {known}");
            Failure::new(ErrorCode::InvalidRequest, message)
        })?),
    };
    match asked {
        Some(Candidate { profile, runtime, missing }) if missing.is_empty() => {
            Ok(Choice { profile: (*profile).to_owned(), runtime: runtime.word().to_owned() })
        }
        _ => Err(unmet(needs, asked, nearest, asking.profile.is_some())),
    }
}

fn unmet(needs: &Needs, asked: Option<&Candidate<'_>>, nearest: Option<&Candidate<'_>>, is_named: bool) -> Failure {
    let missing = asked.map_or_else(|| needs.missing(&Runtime::default()), |asked| asked.missing.to_vec());
    let name = |candidate: Option<&Candidate<'_>>| candidate.map(|candidate| candidate.profile.to_owned());
    let lacks = sentence(&missing);
    let message = match (asked, nearest) {
        (Some(asked), Some(nearest)) if is_named && nearest.missing.is_empty() => {
            let (asked, nearest) = (asked.profile, nearest.profile);
            format!(
                "profile {asked:?} lacks what the script needs: {lacks}; profile {nearest:?} has all of it: name that, or none"
            )
        }
        (Some(asked), _) if is_named => {
            format!("profile {:?} lacks what the script needs: {lacks}; {WAY_OUT}", asked.profile)
        }
        (Some(asked), _) => {
            format!(
                "no profile has all that the script needs, and the nearest, {:?}, lacks: {lacks}; {WAY_OUT}",
                asked.profile
            )
        }
        (None, _) => format!("there is no profile that may be used, and the script needs: {lacks}"),
    };
    let mut failure = Failure::new(ErrorCode::MissingPackages, message);
    failure.missing = Some(Box::new(MissingPackages { missing, nearest: name(nearest), ran: false }));
    failure
}

/// What is missing, in words.
fn sentence(missing: &[MissingPackage]) -> String {
    let one = |one: &MissingPackage| {
        let wanted = if one.wanted.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            shown(&one.wanted).to_owned()
        } else {
            format!("{} {}", one.name, shown(&one.wanted))
        };
        match &one.there {
            Some(there) => format!("{wanted} ({there} is there)"),
            None => format!("{wanted} (not there)"),
        }
    };
    let mut told = missing.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
    if missing.len() > NAMED {
        told += &format!(" and {} more", missing.len() - NAMED);
    }
    told
}
