//! The annotated default file, as `config init` writes it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::fault::{Code, Fault};

/// Every key with its default and its reason; a test holds it against the table of keys.
const ANNOTATED: &str = include_str!("../../../config/ccproxy.toml");

/// Writes the file, 0600 in a directory of 0700 if that is missing.
///
/// # Errors
/// `invalid_config` if there is one already: somebody's settings are in it. `storage` if it cannot be written;
/// nothing is left of it then.
pub fn write_annotated(path: &Path) -> Result<(), Fault> {
    let failed = |error: std::io::Error| {
        Fault::new(Code::Storage, format!("cannot write {}: {error}", path.display()))
    };
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match made {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let what = format!("{} is there already and is left alone", path.display());
            return Err(Fault::new(Code::InvalidConfig, what).hint("ccproxy config check"));
        }
        Err(error) => return Err(failed(error)),
    };
    file.write_all(ANNOTATED.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a file would be read as a whole one.
        let _ = std::fs::remove_file(path);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn it_is_written_once_and_for_us_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ccproxy/config.toml");
        write_annotated(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), ANNOTATED);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        std::fs::write(&path, "mine").unwrap();
        let refused = write_annotated(&path).unwrap_err();
        assert_eq!(refused.code, Code::InvalidConfig);
        assert!(refused.message.ends_with("is there already and is left alone"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
