//! Finding plugin files, without running or trusting any.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::refusal::Refusal;
use super::safety;
use crate::model::Name;

/// What our own build and packages call the files.
const PREFIX: &str = "libccproxy_provider_";
/// Where packages put plugins, besides next to the program.
const SYSTEM: &str = "/usr/lib/ccproxy/plugins";

/// A directory to search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    /// Holds other shared objects as well: only files named like ours count.
    shared: bool,
}

/// A plugin file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// As found, symbolic links not resolved.
    pub(super) path: PathBuf,
    /// From the manifest; if that is unreadable, what it is known as, or from the file name.
    pub(super) id: Option<Name>,
    /// Or why it cannot be loaded.
    pub(super) manifest: Result<Arc<Manifest>, Refusal>,
}

/// All places in their order: those given, then what belongs to the executable, then the system's.
pub(super) fn places(given: &[PathBuf], executable: Option<&Path>) -> Vec<Place> {
    let own = |directory| Place { directory, shared: false };
    let beside = executable.and_then(Path::parent);
    let library = beside.and_then(Path::parent).map(|prefix| own(prefix.join("lib/ccproxy/plugins")));
    let beside = beside.map(|directory| Place { directory: directory.to_owned(), shared: true });
    let all = given.iter().cloned().map(own).chain(library).chain([own(SYSTEM.into())]).chain(beside);
    let mut places: Vec<Place> = Vec::new();
    for place in all {
        if !places.iter().any(|before| before.directory == place.directory) {
            places.push(place);
        }
    }
    places
}

/// Files that are known as plugins: those that serve. Half copied, such a file is still that plugin's.
pub(super) type Known = BTreeMap<PathBuf, Name>;

/// Every plugin file in these places, in their order. A file or directory met twice counts once.
pub(super) fn discover(places: &[Place], known: &Known) -> Vec<Found> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for place in places {
        for path in shared_objects(place) {
            let Ok(real) = path.canonicalize() else { continue };
            if seen.contains(&real) {
                continue;
            }
            if let Some(plugin) = look(path, &real, &place.directory, known) {
                seen.push(real);
                found.push(plugin);
            }
        }
    }
    found
}

/// The files of a place by name. A place that is not there is no plugin more.
fn shared_objects(place: &Place) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(&place.directory) else { return Vec::new() };
    let is_object = |path: &PathBuf| {
        let extension = path.extension();
        extension == Some(OsStr::new("so")) || extension == Some(OsStr::new(std::env::consts::DLL_EXTENSION))
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_object).collect();
    files.retain(|path| !place.shared || id_by_name(path).is_some());
    files.sort();
    files
}

/// What a file is; `None` if it has nothing to do with us.
fn look(path: PathBuf, real: &Path, directory: &Path, known: &Known) -> Option<Found> {
    let named = || known.get(&path).cloned().or_else(|| id_by_name(&path));
    let manifest = safety::peek(real).and_then(|(file, _)| Manifest::of_file(file));
    let id = match &manifest {
        Ok(manifest) => Some(manifest.id.clone()),
        // A damaged download or an old build is worth a line, another library is not.
        Err(Refusal::NotAnObject(_) | Refusal::NoManifest | Refusal::Io { .. }) => Some(named()?),
        Err(_) => named(),
    };
    let safe = safety::check_directory(directory).and_then(|_| safety::check(&path));
    Some(Found { path, id, manifest: safe.and(manifest.map(Arc::new)) })
}

/// `libccproxy_provider_<id>.so`; Rust writes `_` for the `-` of a crate's name.
fn id_by_name(path: &Path) -> Option<Name> {
    path.file_stem()?.to_str()?.strip_prefix(PREFIX)?.replace('_', "-").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::fs;

    #[test]
    fn places_are_searched_in_the_documented_order() {
        let places = places(&["/a".into(), "/b".into()], Some(Path::new("/opt/ccproxy/bin/ccproxy")));
        let shown: Vec<_> =
            places.iter().map(|place| (place.directory.to_str().unwrap(), place.shared)).collect();
        assert_eq!(
            shown,
            [
                ("/a", false),
                ("/b", false),
                ("/opt/ccproxy/lib/ccproxy/plugins", false),
                ("/usr/lib/ccproxy/plugins", false),
                ("/opt/ccproxy/bin", true),
            ]
        );
    }

    #[test]
    fn a_place_met_twice_is_searched_once() {
        let places = places(&["/usr/lib/ccproxy/plugins".into()], Some(Path::new("/usr/bin/ccproxy")));
        let shown: Vec<_> = places.iter().map(|place| place.directory.to_str().unwrap()).collect();
        assert_eq!(shown, ["/usr/lib/ccproxy/plugins", "/usr/bin"]);
    }

    #[test]
    fn other_files_are_ignored_and_a_damaged_plugin_is_a_line() {
        let home = tempfile::tempdir().unwrap();
        for name in
            ["README.md", "libother.so", "libccproxy_provider_api_key.so", "libccproxy_provider_UP.so"]
        {
            fs::write(home.path().join(name), "not an object file").unwrap();
        }
        let found = discover(&places(&[home.path().into()], None), &Known::new());
        let ids: Vec<_> = found.iter().map(|found| found.id.as_ref().unwrap().as_str()).collect();
        assert_eq!(ids, ["api-key"]);
        assert!(matches!(found[0].manifest, Err(Refusal::NotAnObject(_))));
    }

    #[test]
    fn a_file_that_serves_is_its_plugins_whatever_is_in_it_now() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("libacme.so");
        fs::write(&file, "half a copy").unwrap();
        let places = places(&[home.path().into()], None);
        assert!(discover(&places, &Known::new()).is_empty());
        let known = Known::from([(file.clone(), "acme".parse().unwrap())]);
        let found = discover(&places, &known);
        assert_eq!((found[0].id.as_ref().map(Name::as_str), &found[0].path), (Some("acme"), &file));
    }
}
