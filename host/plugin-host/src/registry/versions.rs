//! Of several files of one plugin in one folder, the one of the highest version is used.

use super::{FoundPlugin, PluginRegistry, ShadowedPlugin};
use crate::location::PluginLocation;
use crate::search::Origin;

impl PluginRegistry {
    /// This registry with, of several files of one plugin in one folder, the one of the highest version. Without this
    /// the newest file is used. Both are described for that, in a child process where the registry probes. Files in a
    /// build folder are builds of one plugin, of which the newest is used; a plugin that cannot be described has no version
    /// and changes nothing.
    pub fn preferring_higher_versions(mut self) -> Self {
        for at in 0..self.shadowed.len() {
            let ShadowedPlugin { id, location, .. } = self.shadowed[at].clone();
            let Some(used) = self.found.iter().position(|found| found.id == id) else { continue };
            if !self.lie_in_one_folder(&location, &self.found[used].location) {
                continue;
            }
            let other = FoundPlugin { id: id.clone(), location };
            let version = |found: &FoundPlugin| {
                let text = self.describe_found(found).ok()?.description.version;
                Some((semver::Version::parse(&text).ok()?, text))
            };
            let (here, there) = (version(&self.found[used]), version(&other));
            let is_higher = matches!((&here, &there), (Some((here, _)), Some((there, _))) if there > here);
            let (by, shadowed, version) = match is_higher {
                true => (other.location.clone(), std::mem::replace(&mut self.found[used], other).location, here),
                false => (self.found[used].location.clone(), other.location, there),
            };
            let version = version.map(|(_, text)| text);
            self.shadowed[at] = ShadowedPlugin { id: id.clone(), location: shadowed, by: by.clone(), version };
            self.shadowed.iter_mut().filter(|shadowed| shadowed.id == id).for_each(|shadowed| shadowed.by = by.clone());
        }
        self
    }

    /// Whether two plugins are libraries in one folder that is not a build folder.
    fn lie_in_one_folder(&self, a: &PluginLocation, b: &PluginLocation) -> bool {
        let (PluginLocation::Library { path: a }, PluginLocation::Library { path: b }) = (a, b) else { return false };
        let folder = self.searched.iter().find(|folder| a.parent() == Some(&folder.path));
        a.parent() == b.parent() && folder.is_some_and(|folder| folder.origin != Origin::BuildFolder)
    }
}
