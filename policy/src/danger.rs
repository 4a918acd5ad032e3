//! Host paths that a policy may show to a job, and those that it may not.

use std::path::Path;

use cloister_terms::KERNELS;

/// Secrets and the host's state: neither these, nor what is in them, nor what they are in.
const SECRET: [&str; 16] = [
    "/boot",
    "/etc/cloister",
    "/etc/gshadow",
    "/etc/kubernetes",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/sudoers",
    "/root",
    "/run",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/log",
    "/var/run",
    "/var/spool",
];

/// Places that hold secrets somewhere: not as a whole, though a path in them may be harmless.
const NOT_WHOLE: [&str; 7] = ["/", "/etc", "/home", "/tmp", "/var", "/var/lib", "/var/tmp"];

/// Names that are secrets wherever they lie.
const SECRET_NAMES: [&str; 8] =
    [".aws", ".docker", ".gnupg", ".kube", ".netrc", ".ssh", "containerd.sock", "docker.sock"];

/// What showing a host path to a job would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Nothing could make it right.
    Never,
    /// It shows secrets or state of the host, which an operator may want after all.
    Exposes,
}

/// What showing this path would do, as far as its name tells.
#[must_use]
pub fn danger(host: &Path) -> Option<Danger> {
    if KERNELS.iter().any(|closed| host.starts_with(closed)) {
        return Some(Danger::Never);
    }
    let secret = SECRET.iter().any(|closed| host.starts_with(closed) || Path::new(closed).starts_with(host))
        || NOT_WHOLE.iter().any(|closed| host == Path::new(closed))
        || host.iter().any(|part| SECRET_NAMES.iter().any(|name| part == *name));
    secret.then_some(Danger::Exposes)
}

#[cfg(test)]
mod tests {
    use super::{Danger, danger};

    #[test]
    fn secrets_and_what_they_are_in_are_dangerous_and_neighbours_are_not() {
        for path in [
            "/",
            "/etc",
            "/etc/shadow",
            "/root",
            "/root/x",
            "/run/docker.sock",
            "/var/run",
            "/home",
            "/home/a/.ssh",
            "/srv/docker.sock",
        ] {
            assert_eq!(danger(path.as_ref()), Some(Danger::Exposes), "{path}");
        }
        for path in ["/proc", "/sys/fs", "/dev"] {
            assert_eq!(danger(path.as_ref()), Some(Danger::Never), "{path}");
        }
        for path in ["/usr", "/opt/models", "/etc/ssl/certs", "/srv", "/var/lib/cloister/python/usr", "/etc/sshd"] {
            assert_eq!(danger(path.as_ref()), None, "{path}");
        }
    }
}
