//! Whatever a script is, looking for what it imports never panics, needs little stack, and finds few short names, all of modules
//! that are known and not there already.

#![no_main]

use cloister_protocol::ImportSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &str| {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (known, there) = (names(&["a", "numpy", "scipy"]), names(&["numpy", "scipy.stats"]));
    let set = ImportSet::of_script(script, &known, &there);
    assert!(set.names().len() <= 32 && set.to_string().len() <= 512 + 32 && set.is_within(&set));
    for name in set.names() {
        assert!(known.iter().any(|known| name.split('.').next() == Some(known)) && !there.contains(name), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte)), "{name}");
    }
});
