//! Where a configuration comes from, for whoever watches it.

use std::path::{Path, PathBuf};

use super::load::{Sources, toml_files};
use crate::watch::Places;

impl Sources {
    /// Every file that would be read now, and every directory in which one may appear.
    pub fn places(&self) -> Places {
        let connections = self.paths.connections_dir();
        let mut places = Places::default();
        let mut directory = |path: PathBuf| {
            places.files.extend(toml_files(&path, &mut Vec::new()));
            places.directories.insert(path);
        };
        directory(self.paths.conf_d());
        for entry in std::fs::read_dir(&connections).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                directory(entry.path());
            }
        }
        places.directories.insert(connections);
        let user = self.config_flag.clone().unwrap_or_else(|| self.paths.config_file());
        for file in [user, self.etc_dir.join("config.toml")] {
            let file = std::path::absolute(&file).unwrap_or(file);
            places.directories.extend(file.parent().map(Path::to_owned));
            places.files.insert(file);
        }
        places
    }
}
