//! Why a file is not loaded: one line that names both sides, and the cure.

use std::path::PathBuf;
use std::time::Duration;

use crate::digest::Digest;
use crate::fault::{Code, Fault};
use crate::model::Name;

/// A refused plugin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The file or a directory above it could be changed by somebody else.
    #[error("`{}` {why}", path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The command that puts it right.
        cure: String,
    },
    /// The file cannot be read.
    #[error("cannot {action} `{}`: {reason}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Somebody is writing it.
    #[error("`{}` is being written", .0.display())]
    Unsettled(PathBuf),
    /// Not a shared object, or a damaged one.
    #[error("not a shared object: {0}")]
    NotAnObject(String),
    /// A shared object, but no plugin.
    #[error("no ccproxy plugin: it has no `ccproxy_manifest` section")]
    NoManifest,
    /// The manifest is not what the SDK writes.
    #[error("its manifest cannot be read: {0}")]
    Manifest(String),
    /// Written by an SDK whose manifests we do not know.
    #[error("its manifest has schema {theirs}, this host reads {ours}")]
    Schema {
        /// In the file.
        theirs: u64,
        /// What we read.
        ours: u64,
    },
    /// Another major version of the plugin interface.
    #[error("it speaks plugin ABI {theirs}, this host speaks {ours}")]
    Abi {
        /// In the file.
        theirs: String,
        /// Ours.
        ours: &'static str,
    },
    /// Built for another machine.
    #[error("it was built for {theirs}, this host for {ours}")]
    Target {
        /// In the file.
        theirs: String,
        /// Ours.
        ours: &'static str,
    },
    /// Built so that a panic ends the process.
    #[error("it was built with panic={0}, the host needs panic=unwind: a panic of it would end the host")]
    Panic(String),
    /// Not the file that was pinned.
    #[error("`{id}` changed: sha256 {found} is not the pinned {pinned}")]
    Changed {
        /// Whose file.
        id: Name,
        /// What was pinned.
        pinned: Digest,
        /// What is there.
        found: Digest,
        /// The file.
        path: PathBuf,
    },
    /// Nobody said that it may load.
    #[error("`{id}` is not pinned, and plugins.trust is `pinned`")]
    NotPinned {
        /// Whose file.
        id: Name,
        /// The file.
        path: PathBuf,
    },
    /// The list of pins is unusable, so nothing is known to be trusted.
    #[error("cannot use the pins in `{}`: {reason}", path.display())]
    Pins {
        /// `plugins.lock`.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The dynamic linker said no.
    #[error("cannot be linked: {0}")]
    Link(String),
    /// The root symbol is missing though the manifest promised it.
    #[error("it exports no `{0}`")]
    Symbol(&'static str),
    /// The types on both sides differ.
    #[error("its plugin ABI differs from this host's {ours}: {what}")]
    Layout {
        /// Our ABI version.
        ours: &'static str,
        /// The first difference.
        what: String,
        /// Which side is behind.
        cure: &'static str,
    },
    /// The plugin itself failed to start.
    #[error("{}", .0.message)]
    Start(Fault),
    /// Loading took too long.
    #[error("it was not ready within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// Too many images: none is ever unmapped.
    #[error("{0} plugin images are mapped already, and none can be unmapped")]
    TooMany(usize),
    /// The file changed its id between discovery and load.
    #[error("it is now the plugin `{found}`, not `{wanted}`")]
    OtherId {
        /// What was asked for.
        wanted: Name,
        /// What the file says.
        found: Name,
    },
    /// `plugins.disabled` lists it.
    #[error("`{0}` is disabled")]
    Disabled(Name),
}

impl Refusal {
    /// What to type or change.
    pub fn hint(&self) -> Option<String> {
        let rebuild = |with: &str| Some(format!("rebuild it {with}"));
        match self {
            Self::Unsafe { cure, .. } => Some(cure.clone()),
            Self::Io { .. } | Self::TooSlow(_) => None,
            Self::Unsettled(_) => Some("it is looked at again when it is complete".into()),
            Self::NotAnObject(_) => Some("copy the file again".into()),
            Self::NoManifest => rebuild("with `export_provider!` of ccproxy-plugin-sdk"),
            Self::Manifest(_) => rebuild("with a released ccproxy-plugin-sdk"),
            Self::Schema { theirs, ours } if theirs > ours => Some("update ccproxy".into()),
            Self::Schema { .. } | Self::Symbol(_) => rebuild("with a current ccproxy-plugin-sdk"),
            Self::Abi { theirs, ours } => match (major(theirs), major(ours)) {
                (Some(theirs), Some(ours)) if theirs > ours => {
                    Some("update ccproxy, or use an older version of the plugin".into())
                }
                _ => Some("update the plugin, or rebuild it with a current ccproxy-plugin-sdk".into()),
            },
            Self::Target { ours, .. } => Some(format!("use a build for {ours}")),
            Self::Panic(_) => rebuild("with panic = \"unwind\" in its profile"),
            Self::Changed { path, .. } | Self::NotPinned { path, .. } => {
                Some(format!("ccproxy plugin trust {}", path.display()))
            }
            Self::Pins { path, .. } => Some(format!("mend or remove {}", path.display())),
            Self::Link(_) => rebuild("on this system, or install the library it names"),
            Self::Layout { cure, .. } => Some((*cure).into()),
            Self::Start(fault) => fault.hint.clone(),
            Self::TooMany(_) => Some("restart the host".into()),
            Self::OtherId { .. } => Some("ccproxy reload".into()),
            Self::Disabled(id) => Some(format!("remove `{id}` from plugins.disabled")),
        }
    }

    /// The same as a failure of a call or command about this plugin.
    pub fn fault(&self, id: &str) -> Fault {
        let fault = Fault::new(Code::PluginFailed, format!("plugin `{id}` is refused: {self}"));
        match self.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

fn major(version: &str) -> Option<u64> {
    version.split('.').next()?.parse().ok()
}
