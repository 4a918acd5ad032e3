//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cloister_program::{Completions, Man};
use cloister_sandbox::spec::Layer;

use crate::daemon::args::{Common, Serve};
use crate::link::launcher::SUBCOMMAND;

/// Run untrusted Python, each job in a sandbox of its own.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the gateway over a Unix socket. Needs root.
    Serve(Serve),
    /// Try every layer of the sandbox on this host and tell which hold. Needs root.
    Doctor(Doctor),
    /// Run one script in a throwaway sandbox and print its answer. Needs root.
    Run(Run),
    /// Run one script of your own and print what it uses beyond a profile, as a piece of policy. Needs root.
    Learn(Learn),
    /// Print completions for a shell.
    Completions(Completions),
    /// Write man pages, one for each subcommand, or print the first.
    Man(Man),
    /// The guard of a launcher; started by the others.
    #[command(name = SUBCOMMAND, hide = true)]
    Launcher,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// Leave a layer out, to see that this is told.
    #[cfg(feature = "leave-out")]
    #[arg(long, value_name = "LAYER", value_enum)]
    pub without: Vec<LayerName>,
}

impl Doctor {
    /// The layers that are left out.
    #[must_use]
    pub fn without(&self) -> Vec<Layer> {
        #[cfg(feature = "leave-out")]
        return self.without.iter().map(|&layer| layer.into()).collect();
        #[cfg(not(feature = "leave-out"))]
        Vec::new()
    }
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// The profile.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Leave a layer out, to see that another holds without it. Never do this with a stranger's script.
    #[arg(long, value_name = "LAYER", value_enum)]
    pub without: Vec<LayerName>,
    /// Tell the layers in force on standard error.
    #[arg(long)]
    pub explain: bool,
    /// The script; - is standard input.
    pub script: PathBuf,
}

/// Arguments of `learn`.
#[derive(Debug, Args)]
pub struct Learn {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// The profile.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// Refused: what is learned from is a sandbox of its own, never a daemon.
    #[arg(long, value_name = "PATH", hide = true)]
    pub socket: Option<PathBuf>,
    /// The script, your own: calls that the profile refuses are made; - is standard input.
    pub script: PathBuf,
}

/// A layer's name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
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
