//! Files that the service manager hands over (systemd: `LoadCredential=`), in a directory that this service alone can read.
//!
//! They stand for options that were not given. One that is not there stands for nothing, so that the packaged
//! unit can ask for all of them and an operator gives those that are wanted.

use std::env;
use std::path::{Path, PathBuf};

use crate::args::Serve;
use crate::error::Error;

/// Where the service manager puts them.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The key file, as with `--keys`.
const KEYS: &str = "keys";

/// The certificate, as with `--tls-certificate`.
const CERTIFICATE: &str = "tls.crt";

/// The certificate's key, as with `--tls-key`.
const KEY: &str = "tls.key";

/// Uses what was handed over for options that were not given.
///
/// # Errors
/// A certificate without its key, or the other way around.
pub fn adopt(arguments: &mut Serve) -> Result<(), Error> {
    let Some(directory) = env::var_os(DIRECTORY).map(PathBuf::from) else { return Ok(()) };
    if arguments.keys.is_none() && !arguments.no_auth {
        arguments.keys = file(&directory, KEYS);
    }
    if arguments.tls_certificate.is_none() {
        (arguments.tls_certificate, arguments.tls_key) = (file(&directory, CERTIFICATE), file(&directory, KEY));
        if arguments.tls_certificate.is_some() != arguments.tls_key.is_some() {
            return Err(Error::HalfOfPair { certificate: CERTIFICATE, key: KEY });
        }
    }
    Ok(())
}

fn file(directory: &Path, name: &str) -> Option<PathBuf> {
    let file = directory.join(name);
    file.exists().then_some(file)
}
