//! `cloister keys set`: what a key may do from now on.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use cloister_keys::{ChangeError, Changes, CpuTime, Rate};

use super::time::duration;

/// What stands for no bound.
const NONE: &str = "none";

/// Arguments of `keys set`. Each takes `none`, too: then there is no such bound any more.
#[derive(Debug, Args)]
pub struct Set {
    /// Which key.
    pub name: String,
    /// What it may do.
    #[command(flatten)]
    pub bounds: Bounds,
}

/// What is changed, which is something.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Bounds {
    /// The profiles that it may use, separated by commas; all, if none are named: none.
    #[arg(long, value_name = "NAMES", value_parser = profiles)]
    pub profiles: Option<Bound<Names>>,
    /// How fast it may send, such as 10/s, 600/min or 1000/h; or none.
    #[arg(long, value_name = "RATE", value_parser = bound::<Rate>)]
    pub rate: Option<Bound<Rate>>,
    /// How many requests at once after a while of none; or none, for a second's worth.
    #[arg(long, value_name = "COUNT", value_parser = bound::<NonZeroU32>)]
    pub burst: Option<Bound<NonZeroU32>>,
    /// How many of its requests may run or wait at once; or none.
    #[arg(long, value_name = "COUNT", value_parser = bound::<NonZeroUsize>)]
    pub concurrency: Option<Bound<NonZeroUsize>>,
    /// The processor time that its jobs may use in a day (UTC), such as 1h; or none.
    #[arg(long, value_name = "TIME", value_parser = bound::<CpuTime>)]
    pub cpu: Option<Bound<CpuTime>>,
    /// The jobs that it may run in a day (UTC); or none.
    #[arg(long, value_name = "COUNT", value_parser = bound::<NonZeroU64>)]
    pub jobs: Option<Bound<NonZeroU64>>,
    /// When it ends, counted from now, such as 90d; or none.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub expires: Option<Bound<Duration>>,
}

/// A bound, or that there is none.
#[derive(Clone, Debug)]
pub struct Bound<T>(Option<T>);

/// Names of profiles.
#[derive(Clone, Debug)]
pub struct Names(Vec<String>);

impl Set {
    /// Changes the key.
    ///
    /// # Errors
    /// As [`Changes::make`].
    pub fn make(self, path: &Path) -> Result<(), ChangeError> {
        let Self { name, bounds } = self;
        let changes = Changes {
            profiles: bounds.profiles.map(|names| names.0.map(|names| names.0)),
            rate: bounds.rate.map(|bound| bound.0),
            burst: bounds.burst.map(|bound| bound.0),
            concurrency: bounds.concurrency.map(|bound| bound.0),
            cpu_per_day: bounds.cpu.map(|bound| bound.0),
            jobs_per_day: bounds.jobs.map(|bound| bound.0),
            expires: bounds.expires.map(|bound| bound.0),
        };
        changes.make(path, &name)
    }
}

fn bound<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Bound<T>, String> {
    if text == NONE {
        return Ok(Bound(None));
    }
    text.parse().map(|value| Bound(Some(value))).map_err(|error: T::Err| format!("{error}, or none"))
}

fn time(text: &str) -> Result<Bound<Duration>, String> {
    if text == NONE { Ok(Bound(None)) } else { duration(text).map(|time| Bound(Some(time))) }
}

fn profiles(text: &str) -> Result<Bound<Names>, String> {
    let names = || Names(text.split(',').map(str::to_owned).collect());
    Ok(Bound((text != NONE).then(names)))
}
