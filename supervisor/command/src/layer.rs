//! The layers that can be left out, by their names on the command line, and the launchers that leave them out.
//!
//! The supervisor's parts know nothing of it: they start this program as a launcher, with arguments that are its own.

use clap::{Args, ValueEnum};
use cloister_engine::link::launcher::Guard;
use cloister_sandbox::launcher::guard_weaker;
use cloister_sandbox::weaker::{Layer, Weaker};

/// Arguments of `launcher`: what its sandboxes lack.
#[derive(Debug, Args)]
pub struct Launcher {
    /// Layers that are left out.
    #[arg(long, value_enum)]
    pub without: Vec<LayerName>,
    /// Whether what the filter refuses is put to a recorder.
    #[arg(long)]
    pub recorded: bool,
}

/// A layer's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayerName {
    /// The system call filter.
    Seccomp,
    /// The Landlock ruleset.
    Landlock,
    /// The limit of zero on further user namespaces.
    UsernsLimit,
    /// The dropping of capabilities.
    Capabilities,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    UserNamespace,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    PidNamespace,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    IpcNamespace,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    UtsNamespace,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    NetworkNamespace,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    CgroupNamespace,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    HostTree,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    ReadOnlyRoot,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    ReadOnlyRuntime,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    ProcSubset,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    NoNewPrivileges,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    NotDumpable,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    Rlimits,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    Descriptors,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    Environment,
    #[cfg(feature = "leave-out")]
    #[allow(missing_docs)]
    Confinement,
}

impl From<LayerName> for Layer {
    fn from(name: LayerName) -> Self {
        match name {
            LayerName::Seccomp => Self::Seccomp,
            LayerName::Landlock => Self::Landlock,
            LayerName::UsernsLimit => Self::UsernsLimit,
            LayerName::Capabilities => Self::Capabilities,
            #[cfg(feature = "leave-out")]
            LayerName::UserNamespace => Self::UserNamespace,
            #[cfg(feature = "leave-out")]
            LayerName::PidNamespace => Self::PidNamespace,
            #[cfg(feature = "leave-out")]
            LayerName::IpcNamespace => Self::IpcNamespace,
            #[cfg(feature = "leave-out")]
            LayerName::UtsNamespace => Self::UtsNamespace,
            #[cfg(feature = "leave-out")]
            LayerName::NetworkNamespace => Self::NetworkNamespace,
            #[cfg(feature = "leave-out")]
            LayerName::CgroupNamespace => Self::CgroupNamespace,
            #[cfg(feature = "leave-out")]
            LayerName::HostTree => Self::HostTree,
            #[cfg(feature = "leave-out")]
            LayerName::ReadOnlyRoot => Self::ReadOnlyRoot,
            #[cfg(feature = "leave-out")]
            LayerName::ReadOnlyRuntime => Self::ReadOnlyRuntime,
            #[cfg(feature = "leave-out")]
            LayerName::ProcSubset => Self::ProcSubset,
            #[cfg(feature = "leave-out")]
            LayerName::NoNewPrivileges => Self::NoNewPrivileges,
            #[cfg(feature = "leave-out")]
            LayerName::NotDumpable => Self::NotDumpable,
            #[cfg(feature = "leave-out")]
            LayerName::Rlimits => Self::Rlimits,
            #[cfg(feature = "leave-out")]
            LayerName::Descriptors => Self::Descriptors,
            #[cfg(feature = "leave-out")]
            LayerName::Environment => Self::Environment,
            #[cfg(feature = "leave-out")]
            LayerName::Confinement => Self::Confinement,
        }
    }
}

/// Launchers without these layers.
pub fn without(layers: &[LayerName]) -> Guard {
    let name = |layer: &LayerName| layer.to_possible_value().expect("none is skipped").get_name().to_owned();
    Guard::with(layers.iter().flat_map(|layer| ["--without".to_owned(), name(layer)]))
}

/// Launchers whose jobs are recorded.
pub fn recorded() -> Guard {
    Guard::with(["--recorded".to_owned()])
}

/// Is such a launcher's guard.
///
/// # Errors
/// The step that failed.
pub fn launcher(arguments: &Launcher) -> cloister_sandbox::Result<()> {
    let without = arguments.without.iter().map(|&layer| layer.into()).collect();
    let weaker = Weaker { without, recorded: arguments.recorded, environment: parents_environment() };
    guard_weaker(weaker)
}

/// What the program that started this one was given, `proc_pid_environ(5)`: for the build that tests the canary alone.
fn parents_environment() -> Vec<String> {
    if !cfg!(feature = "leave-out") {
        return Vec::new();
    }
    let text = std::fs::read_to_string(format!("/proc/{}/environ", std::os::unix::process::parent_id()));
    text.unwrap_or_default().split_terminator('\0').map(str::to_owned).collect()
}

/// Whether the supervisor's own confinement is left out.
pub fn leaves_out_confinement(layers: &[LayerName]) -> bool {
    layers.iter().any(|&layer| Layer::from(layer) == Layer::Confinement)
}
