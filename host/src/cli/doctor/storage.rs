//! The directories and what lies in them: whose, open to whom, with room to write.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::check::Check;
use crate::config::{Backend, Paths};
use crate::keys::KeyFile;
use crate::plugin::check_place;

const GROUP: &str = "storage";
/// A grant is some 100 KiB at most, and is written beside the old one.
const LITTLE: u64 = 16 << 20;
/// Enough to see what is wrong with all.
const MOST: usize = 20;

pub(super) fn checks(paths: Paths, backend: Option<Backend>) -> Vec<Check> {
    let mut checks = vec![
        place("configuration directory", &paths.config_dir, Private::No),
        place("state directory", &paths.state_dir, Private::Yes),
        place("data directory", &paths.data_dir, Private::No),
        place("runtime directory", &paths.runtime_dir, Private::Yes),
        room(&paths.state_dir),
    ];
    checks.extend(grants(&paths.credentials_dir()));
    if let Some(backend) = backend {
        checks.push(kept(backend, &paths));
    }
    checks
}

/// The list of those that a host would let in by a key; it starts with no damaged one.
pub(super) fn local_keys(paths: &Paths) -> Check {
    match KeyFile::at(paths.local_keys()).read() {
        Ok(keys) if keys.is_empty() => Check::ok(GROUP, "local keys", "none"),
        Ok(keys) => Check::ok(GROUP, "local keys", format!("{} in keys.json", keys.len())),
        Err(fault) => Check::fault(GROUP, "local keys", &fault),
    }
}

/// Whether nobody else may even look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Private {
    Yes,
    No,
}

/// What is wrong with a thing of ours, and the cure.
struct Wrong(String, String);

fn place(name: &str, path: &Path, private: Private) -> Check {
    let shown = path.display();
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::ok(GROUP, name, format!("{shown} is not there, and made when it is needed"));
        }
        Err(error) => {
            return Check::fail(GROUP, name, format!("{shown} cannot be looked at: {error}"))
                .hint(format!("ls -ld {shown}"));
        }
    };
    if !meta.is_dir() {
        return Check::fail(GROUP, name, format!("{shown} is no directory"))
            .hint(format!("mv {shown} {shown}.old"));
    }
    if let Some(Wrong(what, cure)) = wrong(path, &meta, private, 0o700) {
        return Check::fail(GROUP, name, what).hint(cure);
    }
    Check::ok(GROUP, name, format!("{shown}, mode {:04o}", meta.mode() & 0o7777))
}

/// Of another owner, or open.
fn wrong(path: &Path, meta: &Metadata, private: Private, mode: u32) -> Option<Wrong> {
    let (shown, us) = (path.display(), rustix::process::geteuid().as_raw());
    if meta.uid() != us {
        let what = format!("{shown} belongs to uid {}, and we are uid {us}", meta.uid());
        return Some(Wrong(what, format!("chown -R {us} {shown}")));
    }
    let open = meta.mode() & 0o077;
    if private == Private::Yes && open != 0 {
        let what = format!("{shown} is open to others (mode {:04o})", meta.mode() & 0o7777);
        return Some(Wrong(what, format!("chmod {mode:o} {shown}")));
    }
    if private == Private::No && meta.is_dir() {
        // Who may write there, or above, says where our tokens go.
        let refusal = check_place(path).err()?;
        return Some(Wrong(
            refusal.to_string(),
            refusal.hint().unwrap_or_else(|| format!("chmod go-w {shown}")),
        ));
    }
    None
}

/// Whether something can be written below a directory that may not be there yet.
fn room(state: &Path) -> Check {
    let there = state.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let shown = there.display();
    let stat = match rustix::fs::statvfs(there) {
        Ok(stat) => stat,
        Err(error) => return Check::warn(GROUP, "free space", format!("of {shown} is not known: {error}")),
    };
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Check::fail(GROUP, "free space", format!("{shown} is mounted read-only"))
            .hint("set CCPROXY_STATE_DIR to a directory that can be written");
    }
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{} MiB at {shown}", free >> 20);
    // Some file systems count no inodes.
    let full = free < LITTLE || (stat.f_files > 0 && stat.f_favail == 0);
    if full {
        return Check::fail(GROUP, "free space", text).hint(format!("df -h {shown}; df -i {shown}"));
    }
    Check::ok(GROUP, "free space", text)
}

/// The grants and the directories that they lie in. Their content is nobody's business here.
fn grants(directory: &Path) -> Vec<Check> {
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        match fs::read_dir(&directory) {
            Ok(entries) => {
                for path in entries.flatten().map(|entry| entry.path()) {
                    match path.symlink_metadata() {
                        Ok(meta) if meta.is_dir() => {
                            directories.push(path.clone());
                            files.push((path, meta));
                        }
                        Ok(meta) => files.push((path, meta)),
                        Err(error) => unreadable.push(problem(&path, &error)),
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => unreadable.push(problem(&directory, &error)),
        }
    }
    if let Ok(meta) = fs::metadata(directory) {
        files.push((directory.to_owned(), meta));
    }
    let wrongs = files.iter().filter_map(|(path, meta)| unsafe_grant(path, meta));
    let mut checks: Vec<Check> = unreadable;
    checks.extend(wrongs.map(|Wrong(what, cure)| Check::fail(GROUP, "grants", what).hint(cure)));
    let hidden = checks.len().saturating_sub(MOST);
    checks.truncate(MOST);
    if hidden > 0 {
        checks.push(
            Check::fail(GROUP, "grants", format!("and {hidden} more of them")).hint("mend those first"),
        );
    }
    if checks.is_empty() {
        let count = files.iter().filter(|(path, meta)| is_grant(path, meta)).count();
        checks.push(Check::ok(GROUP, "grants", format!("{count}, for us only")));
    }
    checks
}

fn is_grant(path: &Path, meta: &Metadata) -> bool {
    meta.is_file() && path.extension().is_some_and(|extension| extension == "json")
}

fn unsafe_grant(path: &Path, meta: &Metadata) -> Option<Wrong> {
    let shown = path.display();
    if !meta.is_dir() && !meta.is_file() {
        return Some(Wrong(format!("{shown} is no plain file"), format!("rm {shown}")));
    }
    wrong(path, meta, Private::Yes, if meta.is_dir() { 0o700 } else { 0o600 })
}

fn problem(path: &Path, error: &std::io::Error) -> Check {
    let shown = path.display();
    Check::fail(GROUP, "grants", format!("{shown} cannot be looked at: {error}"))
        .hint(format!("ls -ld {shown}"))
}

fn kept(backend: Backend, paths: &Paths) -> Check {
    let at = |directory: PathBuf| format!("files of mode 0600 below {}", directory.display());
    match backend {
        Backend::Memory => Check::warn(GROUP, "backend", "memory: logins end with the host")
            .hint("storage.backend = \"auto\" keeps them"),
        Backend::Auto | Backend::File => Check::ok(GROUP, "backend", at(paths.credentials_dir())),
        // Refused as not built, by the configuration's checks.
        Backend::Keyring | Backend::Postgres => Check::ok(GROUP, "backend", "see the configuration"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::check::Finding;
    use pretty_assertions::assert_eq;
    use std::os::unix::fs::PermissionsExt as _;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn nothing_is_there_at_first_and_nothing_is_made() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        assert_eq!(place("state directory", &state, Private::Yes).result, Finding::Ok);
        assert_eq!(grants(&state.join("credentials"))[0].result, Finding::Ok);
        assert_eq!(room(&state).result, Finding::Ok);
        assert!(!state.exists());
    }

    #[test]
    fn what_is_open_to_others_is_told_with_the_command_that_closes_it_and_stays_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let grant = home.path().join("global/github.json");
        fs::create_dir(home.path().join("global")).unwrap();
        fs::write(&grant, "{}").unwrap();
        with_mode(home.path(), 0o700);
        with_mode(&home.path().join("global"), 0o700);
        with_mode(&grant, 0o644);
        let [one] = &grants(home.path())[..] else { panic!() };
        assert_eq!(
            (one.result, one.hint.clone()),
            (Finding::Fail, Some(format!("chmod 600 {}", grant.display())))
        );
        assert_eq!(fs::metadata(&grant).unwrap().mode() & 0o777, 0o644);
        with_mode(&grant, 0o600);
        assert_eq!(grants(home.path())[0].detail, "1, for us only");
    }

    #[test]
    fn a_directory_that_everybody_may_write_is_no_place_for_configuration() {
        let home = tempfile::tempdir().unwrap();
        with_mode(home.path(), 0o777);
        let check = place("configuration directory", home.path(), Private::No);
        assert_eq!(check.result, Finding::Fail, "{check:?}");
        with_mode(home.path(), 0o755);
        assert_eq!(place("configuration directory", home.path(), Private::No).result, Finding::Ok);
    }
}
