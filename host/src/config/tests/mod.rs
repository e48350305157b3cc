//! The room as its users meet it: a home directory with files, an environment, flags.

mod layers;
mod mistakes;
mod samples;
mod secrets;
mod settings;
mod store;

use std::path::{Path, PathBuf};

use super::*;

/// A home directory of its own, with an environment that knows nothing else.
struct Home {
    dir: tempfile::TempDir,
    vars: Vec<(String, String)>,
    sets: Vec<String>,
    listen: Vec<String>,
    config_flag: Option<PathBuf>,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, vars: Vec::new(), sets: Vec::new(), listen: Vec::new(), config_flag: None }
    }

    /// With this `config.toml`.
    fn with(text: &str) -> Self {
        Self::new().file("config/config.toml", text)
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    fn set(mut self, set: &str) -> Self {
        self.sets.push(set.into());
        self
    }

    fn paths(&self) -> Paths {
        let dir = |name: &str| self.dir.path().join(name);
        Paths {
            config_dir: dir("config"),
            state_dir: dir("state"),
            data_dir: dir("data"),
            runtime_dir: dir("run"),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn sources(&self) -> Sources {
        let home = self.dir.path().to_str().unwrap();
        let vars = self.vars.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let env = Env::from_vars(vars.chain([("HOME", home)]));
        Sources {
            sets: self.sets.clone(),
            listen: self.listen.clone(),
            config_flag: self.config_flag.clone(),
            etc_dir: self.dir.path().join("etc"),
            ..Sources::new(self.paths(), env)
        }
    }

    fn load(&self) -> Config {
        Config::load(&self.sources()).unwrap_or_else(|error| panic!("{}", error.render()))
    }

    /// What is wrong, with the directory cut from the paths.
    fn mistakes(&self) -> String {
        let Err(error) = Config::load(&self.sources()) else { panic!("nothing is wrong") };
        self.cut(&error.render())
    }

    fn cut(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }

    /// `origin` of a key in `config show --origin`.
    fn shown(&self, key: &str) -> String {
        let values = self.load().values(&Schemas::new());
        let shown = values.iter().find(|shown| shown.key == key).unwrap_or_else(|| panic!("no {key}"));
        self.cut(&format!("{} ({})", shown.value, shown.origin))
    }
}

fn id(text: &str) -> crate::model::ConnectionId {
    text.parse().unwrap()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
