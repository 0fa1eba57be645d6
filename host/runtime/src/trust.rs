//! Decides whether a plugin may continue a run that it did not start: its file must be the one that `plugins.lock`
//! names, come with this program, or be trusted by the user.
//!
//! | the run was made with | found now | |
//! |---|---|---|
//! | a file | the same digest, under any name | continues |
//! | a file | another digest | refused, unless trusted |
//! | a built-in plugin | a file | refused, unless trusted |
//! | anything | a file below a folder that is trusted for development | continues; `PluginsLock::compare` warns |
//! | anything | a built-in plugin | continues; `PluginsLock::compare` warns |
//! | anything | a file of a built-in's id, where a build of this program leaves it | the same |
//!
//! The last two rows are this program's own code. Whoever can change them can change the program, which no run records,
//! and after each new build every plugin would have to be trusted again. Results may then differ, as the warning says;
//! equal results are promised for one build only. A digest identifies a file's content. It says nothing about the
//! effect of the code, and is no sandbox.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_plugin_host::user_file::{self, Kept};
use medcoss_plugin_host::{PluginLocation, user_folder};
use serde::{Deserialize, Serialize};

use crate::plugins_lock::LockedPlugin;

/// The plugin files that the user trusts: `$XDG_CONFIG_HOME/medcoss/trusted.toml`, or `~/.config/medcoss/trusted.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Trusted plugins in the order in which they were added.
    #[serde(default)]
    pub plugin: Vec<TrustedPlugin>,
    /// Folders whose plugins are trusted whatever their digest, for people who build plugins there; absolute, links
    /// resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub development_folder: Vec<PathBuf>,
}

/// A trusted plugin with the digest of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedPlugin {
    /// Id of the plugin.
    pub id: String,
    /// File name of the library, for people.
    pub file: String,
    /// SHA-256 of the library file.
    pub sha256: String,
}

impl Trusted {
    /// Path of the list of trusted plugin files; `None` when the user has no configuration folder.
    pub fn file() -> Option<PathBuf> {
        user_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("medcoss/trusted.toml"))
    }

    /// Reads the list of trusted plugin files; empty when the file is missing.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(anyhow!("cannot read {}: {error}\nhint: check its permissions", file.display())),
        };
        toml::from_str(&text).map_err(|error| {
            anyhow!("{} is damaged: {error}\nhint: fix it, or remove it and trust the plugins again", file.display())
        })
    }

    /// Writes the list of trusted plugin files.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).context("the trusted plugins cannot be written as TOML")?;
        let text = format!("# Written by `medcoss plugin trust`.\n\n{text}");
        user_file::write(file, text.as_bytes(), Kept::Always)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Whether a library lies in, or below, a folder that is trusted for development.
    pub fn holds_folder_of(&self, library: &Path) -> bool {
        let Ok(whole) = library.canonicalize() else { return false };
        self.development_folder.iter().any(|folder| folder.is_absolute() && whole.starts_with(folder))
    }

    /// Whether a plugin with this digest is trusted.
    pub fn holds(&self, id: &str, sha256: &str) -> bool {
        self.plugin.iter().any(|trusted| trusted.id == id && trusted.sha256 == sha256)
    }
}

/// A plugin that was found for a run, before it is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Path of the run folder.
    pub run: &'a Path,
    /// Location of the plugin.
    pub location: &'a PluginLocation,
    /// SHA-256 of the library file, which was read and not yet loaded; `None` for a built-in plugin.
    pub sha256: Option<&'a str>,
    /// Whether the plugin is part of this program's build.
    pub is_own: bool,
}

impl Candidate<'_> {
    /// Checks that a plugin may continue the run, before any of its code runs. The list of trusted files is read only
    /// when it is needed.
    ///
    /// # Errors
    /// A file that differs from the one that the run was made with, and that the user does not trust.
    pub fn check(&self, locked: &LockedPlugin, trusted: impl FnOnce() -> Result<Trusted>) -> Result<()> {
        let Self { run, location, sha256, is_own } = *self;
        let (PluginLocation::Library { path }, Some(found)) = (location, sha256) else { return Ok(()) };
        if is_own || locked.sha256.as_deref() == Some(found) {
            return Ok(());
        }
        let trusted = trusted()?;
        if trusted.holds(&locked.id, found) || trusted.holds_folder_of(path) {
            return Ok(());
        }
        let before = match &locked.sha256 {
            Some(sha256) => format!("{} with SHA-256 {sha256}", locked.file),
            None => "the built-in plugin".into(),
        };
        bail!(
            "plugin {} is not the one that run {} was made with: {before} (version {}) then, {} with SHA-256 {found} now\n\
             hint: bring the former back, or, if you trust the new one: medcoss plugin trust {}",
            locked.id,
            run.display(),
            locked.version,
            path.display(),
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_plugins_are_read_again_and_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("medcoss/trusted.toml");
        assert_eq!(Trusted::read(Some(&file)).unwrap(), Trusted::default());
        let plugin = TrustedPlugin { id: "gait".into(), file: "libgait.so".into(), sha256: "ab".repeat(32) };
        let mut trusted = Trusted { plugin: vec![plugin], ..Trusted::default() };
        trusted.write(&file).unwrap();
        assert_eq!(Trusted::read(Some(&file)).unwrap(), trusted);
        assert!(trusted.holds("gait", &"ab".repeat(32)));
        // The digest is that of the file, which may also export other plugins.
        assert!(!trusted.holds("glucose", &"ab".repeat(32)) && !trusted.holds("gait", &"ac".repeat(32)));
        let below = folder.path().canonicalize().unwrap().join("target/debug");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("libgait.so"), "").unwrap();
        assert!(!trusted.holds_folder_of(&below.join("libgait.so")));
        trusted.development_folder.push(folder.path().canonicalize().unwrap().join("target"));
        trusted.write(&file).unwrap();
        let read = Trusted::read(Some(&file)).unwrap();
        assert!(read.holds_folder_of(&below.join("../debug/libgait.so")) && !read.holds_folder_of(&file));
        std::fs::write(&file, "plugin = 3").unwrap();
        let error = Trusted::read(Some(&file)).unwrap_err().to_string();
        assert!(error.contains("trusted.toml is damaged") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn the_table_of_plugins_that_may_continue_holds() {
        let library = PluginLocation::Library { path: "plugins/a.so".into() };
        let own = "ab".repeat(32);
        let other = "cd".repeat(32);
        let locked = |sha256: Option<&str>| LockedPlugin {
            id: "gait".into(),
            version: "1.0.0".into(),
            file: if sha256.is_some() { "old.so".into() } else { "built-in".into() },
            sha256: sha256.map(String::from),
        };
        let trusted = Trusted {
            plugin: vec![TrustedPlugin { id: "gait".into(), file: "a.so".into(), sha256: own.clone() }],
            ..Trusted::default()
        };
        let nobody = Trusted::default();
        let run = Path::new("runs/first");
        let check = |location: &PluginLocation, is_own, sha256: Option<&str>, trusted: &Trusted| {
            let found = if location == &PluginLocation::BuiltIn { None } else { Some("ab".repeat(32)) };
            Candidate { run, location, sha256: found.as_deref(), is_own }
                .check(&locked(sha256), || Ok(trusted.clone()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(&library, false, Some(&own), &nobody), Ok(()));
        assert_eq!(check(&library, false, Some(&other), &trusted), Ok(()));
        assert_eq!(check(&library, false, None, &trusted), Ok(()));
        assert_eq!(check(&library, true, Some(&other), &nobody), Ok(()));
        assert_eq!(check(&PluginLocation::BuiltIn, true, Some(&other), &nobody), Ok(()));
        let error = check(&library, false, Some(&other), &nobody).unwrap_err();
        for part in ["gait", "runs/first", &own, &other, "old.so", "hint: ", "medcoss plugin trust "] {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
        assert!(check(&library, false, None, &nobody).unwrap_err().contains("the built-in plugin"));
    }
}
