//! Errors that a refused call may be answered with, `errno(3)`.

/// The names that a rule may use, with their numbers on x86-64.
pub(crate) const NAMES: [(&str, u16); 18] = [
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EIO", 5),
    ("EBADF", 9),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EBUSY", 16),
    ("ENODEV", 19),
    ("EINVAL", 22),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("ENOSYS", 38),
    ("ENOPROTOOPT", 92),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(usize);

impl Errno {
    /// `EPERM`, what every call gets that is not allowed.
    pub(crate) const EPERM: Self = Self(0);

    /// The error of this name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        NAMES.iter().position(|(known, _)| *known == name).map(Self)
    }

    /// The error of this number.
    #[cfg(feature = "text")]
    pub(crate) fn by_number(number: u16) -> Option<Self> {
        NAMES.iter().position(|(_, known)| *known == number).map(Self)
    }

    /// Its name.
    #[cfg(feature = "text")]
    pub(crate) fn name(self) -> &'static str {
        NAMES[self.0].0
    }

    /// Its number.
    pub(crate) fn number(self) -> u16 {
        NAMES[self.0].1
    }
}
