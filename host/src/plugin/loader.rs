//! Maps a plugin into the process. The host's only unsafe code.
//!
//! The order is the point: nothing of the plugin runs before its bytes are trusted and its manifest
//! says that it can share the process; the bytes that were hashed are the bytes that are mapped.

#![expect(unsafe_code, reason = "dlopen, and one symbol of a known type")]

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use abi_stable::StableAbi as _;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError};
use ccproxy_plugin_abi::{self as abi, PluginModule_Ref};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::image::Copy;
use super::images::Images;
use super::manifest::Manifest;
use super::refusal::Refusal;
use super::safety::Stamp;
use super::trust::{Pins, Trust};
use super::{layout, safety};
use crate::digest::Digest;
use crate::model::Name;

/// A file read, hashed and checked. None of its code has run.
pub(super) struct Candidate {
    /// The file as it was found.
    pub(super) file: PathBuf,
    /// The same, symbolic links resolved.
    pub(super) path: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) sha256: Digest,
    pub(super) stamp: Stamp,
    bytes: Vec<u8>,
}

impl Candidate {
    /// Owner and mode, the bytes once, their hash, the manifest.
    pub(super) fn read(file: &Path) -> Result<Self, Refusal> {
        let path = safety::check(file)?;
        let (bytes, stamp) = safety::read(&path)?;
        let sha256 = Digest::of(&bytes);
        let manifest = Manifest::of_bytes(&bytes)?;
        Ok(Self { file: file.to_owned(), path, manifest, sha256, stamp, bytes })
    }

    /// The trust decision.
    pub(super) fn trusted(self, trust: Trust, pins: &Pins) -> Result<Self, Refusal> {
        pins.decide(trust, &self.manifest.id, &self.path, self.sha256)?;
        Ok(self)
    }

    /// Maps it. From here on the image stays, even if it is refused.
    pub(super) fn map(&self, images: &Images, scratch: &Path) -> Result<PluginModule_Ref, Refusal> {
        images.take()?;
        let copy = Copy::new(&self.manifest.id, &self.bytes, scratch).map_err(|error| Refusal::Io {
            action: "copy",
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        let header = header(&self.manifest.id, copy)?;
        apart(|| root(header)).map_err(|error| Refusal::Io {
            action: "start a thread for",
            path: self.path.clone(),
            reason: error.to_string(),
        })?
    }
}

/// Opens the image and finds the header of its root module.
fn header(id: &Name, copy: Copy) -> Result<&'static LibHeader, Refusal> {
    let path = copy.path();
    // SAFETY: runs the plugin's initialisers. Its bytes are trusted: that is what trust means, and
    // code of the same process cannot be held to anything else.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| Refusal::Link(linker_words(&error.to_string(), &path, id)))?;
    // Whatever comes now, it is mapped, and the linker knows it by this path.
    copy.keep();
    // SAFETY: by contract (`export_provider!`) the symbol of this name, which carries the major
    // version, is a static of this type. A foreign type is found out by `upgrade`, which checks the
    // header's magic string and abi_stable's own version before it reads on.
    let header = unsafe { library.get::<AbiHeaderRef>(abi::ROOT_SYMBOL.as_bytes()) }.map(|symbol| *symbol);
    // Never closed: threads, destructors and vtables of the plugin may be anywhere.
    let _ = library.into_raw();
    let header = header.map_err(|_| Refusal::Symbol(abi::ROOT_SYMBOL))?;
    header.upgrade().map_err(|error| layout::refusal(&error))
}

/// The root module, if the types on both sides agree.
///
/// abi_stable accepts a plugin that knows *more* than the host. One that knows less (an older minor)
/// is as good, because our versions only append and accessors of appended fields are checked at run
/// time; so its layout is compared the other way round, too.
fn root(header: &'static LibHeader) -> Result<PluginModule_Ref, Refusal> {
    let error = match header.init_root_module::<PluginModule_Ref>() {
        Ok(module) => return Ok(module),
        Err(error @ LibraryError::AbiInstability(_)) => error,
        Err(error) => return Err(layout::refusal(&error)),
    };
    match header.layout() {
        Some(theirs) if check_layout_compatibility(theirs, PluginModule_Ref::LAYOUT).is_ok() => {}
        _ => return Err(layout::refusal(&error)),
    }
    // SAFETY: just checked: the plugin's types are a prefix of ours.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginModule_Ref>() }
        .map_err(|error| layout::refusal(&error))
}

/// Runs the check on a thread that ends. abi_stable descends into every type, 90 KiB deep: the plugin's own thread would
/// keep the stack and the heap of that for ever.
fn apart<T: Send>(check: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let check = thread::Builder::new().name("layout".into()).spawn_scoped(scope, check)?;
        Ok(check.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// The linker's text without the name of the copy, which means nothing to a person.
fn linker_words(text: &str, copy: &Path, id: &Name) -> String {
    super::codes::one_line(&text.replace(&copy.display().to_string(), id.as_str()))
}
