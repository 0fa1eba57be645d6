//! Which modality data are of.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use medcoss_abi::message::Survey;
use medcoss_plugin_host::Plugin;

/// Fit from which data count as of a modality.
const LEAST_FIT: f64 = 0.2;
/// Difference of two fits below which both modalities are named.
const NEAR: f64 = 0.1;

/// Data of one modality.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// Id of the plugin.
    pub modality: String,
    /// Files and folders, relative to the base.
    pub data: Vec<PathBuf>,
    /// What the plugin makes of them.
    pub survey: Survey,
    /// The modality that they suit almost as well, and why.
    pub other: Option<(String, String)>,
}

/// Data that no plugin knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecognised {
    /// File or folder, relative to the base.
    pub data: PathBuf,
    /// What the plugins say, where they say anything.
    pub why: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recognition {
    /// Data by modality, in the order of the plugins.
    pub recognised: Vec<Recognised>,
    /// Data of no known modality.
    pub unrecognised: Vec<Unrecognised>,
}

/// Data that the user named, with a modality where that was named too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// File or folder, relative to the base.
    pub path: PathBuf,
    /// Id of the plugin.
    pub modality: Option<String>,
}

/// Finds the modality of each of the data. A folder whose folders are of several modalities is taken apart. The plugins' order decides
/// where two suit alike, and is that of the result.
///
/// # Errors
/// Data that are missing, a modality without a plugin, plugins that fail.
pub fn recognise(plugins: &[Plugin], base: &Path, named: &[Named]) -> Result<Recognition> {
    let mut parts: Vec<(PathBuf, Judged)> = Vec::new();
    for Named { path, modality } in named {
        if !base.join(path).exists() {
            bail!("{} is not there\nhint: name files or folders", path.display());
        }
        let chosen: Vec<&Plugin> = match modality {
            None => plugins.iter().collect(),
            Some(id) => match plugins.iter().find(|plugin| plugin.description().id == *id) {
                Some(plugin) => vec![plugin],
                None => {
                    bail!("there is no plugin {id:?} for {}\nhint: `medcoss plugin list` names them", path.display())
                }
            },
        };
        let whole = judged(&chosen, base, path)?;
        let apart = if modality.is_none() { parts_of(&chosen, base, path)? } else { Vec::new() };
        let kinds = |parts: &[(PathBuf, Judged)]| {
            let mut ids: Vec<String> =
                parts.iter().filter_map(|(_, judged)| judged.best().map(|best| best.0.clone())).collect();
            ids.sort();
            ids.dedup();
            ids.len()
        };
        let leave_out = whole.best().map(|(_, survey)| survey.leave_out.clone()).unwrap_or_default();
        let (others, apart): (Vec<_>, Vec<_>) = apart.into_iter().partition(|(folder, _)| leave_out.contains(folder));
        match kinds(&apart) {
            0 => parts.push((path.clone(), whole)),
            1 if others.is_empty() => parts.push((path.clone(), whole)),
            // Masks beside scans, say, are named as data of no known modality.
            _ => parts.extend(apart.into_iter().chain(others)),
        }
    }
    let mut found = Recognition::default();
    for plugin in plugins {
        let id = &plugin.description().id;
        let data: Vec<PathBuf> = parts
            .iter()
            .filter(|(_, judged)| judged.best().is_some_and(|best| best.0 == *id))
            .map(|(path, _)| path.clone())
            .collect();
        if data.is_empty() {
            continue;
        }
        // Several parts of one modality are one stage, and are looked at together.
        let survey = surveyed(plugin, base, &data)?.unwrap_or_default();
        let other = parts.iter().filter(|(path, _)| data.contains(path)).find_map(|(_, judged)| judged.near());
        found.recognised.push(Recognised { modality: id.clone(), data, survey, other });
    }
    for (data, judged) in parts.into_iter().filter(|(_, judged)| judged.best().is_none()) {
        let why = judged.fits.into_iter().filter(|(_, survey)| survey.fit > 0.0);
        let why = why.map(|(id, survey)| format!("{id}: {}", survey.why)).collect();
        found.unrecognised.push(Unrecognised { data, why });
    }
    Ok(found)
}

/// What all plugins make of data, the best fit first.
struct Judged {
    fits: Vec<(String, Survey)>,
}

impl Judged {
    fn best(&self) -> Option<&(String, Survey)> {
        self.fits.first().filter(|(_, survey)| survey.fit >= LEAST_FIT)
    }

    /// The second, where it is near the best.
    fn near(&self) -> Option<(String, String)> {
        let (best, second) = (self.best()?, self.fits.get(1)?);
        (second.1.fit >= LEAST_FIT && second.1.fit > best.1.fit - NEAR)
            .then(|| (second.0.clone(), second.1.why.clone()))
    }
}

fn judged(plugins: &[&Plugin], base: &Path, path: &Path) -> Result<Judged> {
    let mut fits = Vec::new();
    for plugin in plugins {
        if let Some(survey) = surveyed(plugin, base, &[path.to_path_buf()])? {
            fits.push((plugin.description().id.clone(), survey));
        }
    }
    // Stable: the plugins' order decides between equals.
    fits.sort_by(|(_, one), (_, other)| other.fit.total_cmp(&one.fit));
    Ok(Judged { fits })
}

/// The folders in a folder, judged one by one; none where it holds files beside them.
fn parts_of(plugins: &[&Plugin], base: &Path, path: &Path) -> Result<Vec<(PathBuf, Judged)>> {
    let place = base.join(path);
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(&place).with_context(|| format!("{} cannot be listed", path.display()))? {
        let entry = entry?;
        if entry.path().is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            folders.push(path.join(entry.file_name()));
        }
    }
    folders.sort();
    folders.into_iter().map(|folder| judged(plugins, base, &folder).map(|judged| (folder, judged))).collect()
}

/// What a plugin makes of data; `None` where it does not say.
fn surveyed(plugin: &Plugin, base: &Path, data: &[PathBuf]) -> Result<Option<Survey>> {
    Ok(plugin.survey(base, data)?)
}
