//! Sources of a task's labels and groups, checked from the tasks file.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::evaluation::SegmentationClasses;
use regex::Regex;
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::config::OneOrMore;
use crate::label_maps::MaskFiles;

/// The entry `labels` of a task: `"plugin"`, or a table with one label source.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelSection {
    /// The table; `None` for `"plugin"`.
    given: Option<Given>,
}

/// All fields of a label source. [`LabelSection::resolve`] decides which source they describe, and whether they are
/// complete.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    table: Option<PathBuf>,
    key: Option<String>,
    label: Option<String>,
    group: Option<String>,
    id_pattern: Option<String>,
    bins: Option<Vec<f64>>,
    quantiles: Option<usize>,
    entry: Option<bool>,
    pattern: Option<String>,
    metadata: Option<String>,
    names: Option<Vec<String>>,
    masks: Option<OneOrMore>,
    mask_suffix: Option<String>,
    sample_suffix: Option<String>,
    mask_prefix: Option<String>,
    sample_prefix: Option<String>,
    classes: Option<SegmentationClasses>,
    ignore: Option<u16>,
    annotated: Option<Vec<AnnotatedSection>>,
    columns: Option<Vec<String>>,
}

/// The entry `group` of a task: which samples no split separates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GroupSection {
    /// `"none"`: each sample is a group of its own.
    None,
    /// `"file"`: samples of one file.
    File,
    /// `{ pattern = "..." }`: a regular expression with one group in parentheses, which is searched in the sample's id.
    Pattern(String),
    /// `{ metadata = "site" }`: a fact that the plugin states of its samples.
    Metadata(String),
}

/// Source of the samples' labels.
#[derive(Debug, Clone)]
pub(crate) enum LabelSource {
    /// The label that the dataset reports.
    Plugin,
    /// A row of a CSV table.
    Table(TableLabels),
    /// The data entry that the sample comes from.
    Entry,
    /// A part of the sample's id.
    Pattern(Regex),
    /// A fact that the plugin states of the sample.
    Metadata(String),
    /// A segmentation mask, or its size.
    Masks(MaskLabels),
}

/// Segmentation masks as labels.
#[derive(Debug, Clone)]
pub(crate) struct MaskLabels {
    /// Files of the masks, relative to the task's root.
    pub files: MaskFiles,
    /// Labels to use; all labels that occur without it.
    pub classes: Option<SegmentationClasses>,
    /// Label of voxels that count for nothing.
    pub ignored: Option<u16>,
    /// Samples of which only some classes were annotated.
    pub annotated: Vec<Annotated>,
    /// Conversion of sizes to classes; [`Classes::Values`] where masks are segmented.
    pub sizes: Classes,
}

/// An entry of `labels.annotated`: `{ pattern = '^liver/', classes = ["liver", "tumour"] }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnnotatedSection {
    pattern: String,
    classes: Vec<String>,
}

/// Classes that were annotated in some of the samples; the others are unknown there, and cost nothing.
#[derive(Debug, Clone)]
pub(crate) struct Annotated {
    /// What the ids of these samples have in them.
    pub pattern: Regex,
    /// Names of the classes.
    pub classes: Vec<String>,
}

impl AnnotatedSection {
    fn resolve(&self) -> Result<Annotated> {
        let pattern = Regex::new(&self.pattern)
            .map_err(|error| anyhow!("labels.annotated: pattern is no regular expression: {error}"))?;
        if self.classes.is_empty() {
            bail!("labels.annotated: {:?} names no class\nhint: leave such samples out of the data", self.pattern);
        }
        Ok(Annotated { pattern, classes: self.classes.clone() })
    }
}

/// Labels from a CSV table.
#[derive(Debug, Clone)]
pub(crate) struct TableLabels {
    /// Path of the table, relative to the task's root.
    pub table: PathBuf,
    pub key: String,
    pub label: String,
    /// Columns of several labels, each present, absent or unknown; empty for one label.
    pub columns: Vec<String>,
    pub group: Option<String>,
    pub id_pattern: Option<Regex>,
    pub classes: Classes,
}

/// Conversion of a column's values to classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Classes {
    /// Each distinct value is a class.
    Values,
    /// Classes are intervals between ascending thresholds. A value that equals a threshold belongs to the class above
    /// it.
    Bins(Vec<f64>),
    /// Classes are this number of quantiles of about equal size.
    Quantiles(usize),
}

impl<'de> Deserialize<'de> for LabelSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LabelSection;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"plugin\", or a table with one of table, entry, pattern, metadata, masks")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LabelSection, E> {
                match text {
                    "plugin" => Ok(LabelSection::default()),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LabelSection, A::Error> {
                let given = Given::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
                Ok(LabelSection { given: Some(given) })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl LabelSection {
    /// Whether the labels differ from the dataset's own.
    pub fn is_given(&self) -> bool {
        self.given.is_some()
    }

    pub fn is_table(&self) -> bool {
        self.given.as_ref().is_some_and(|given| given.table.is_some())
    }

    pub fn has_group(&self) -> bool {
        self.given.as_ref().is_some_and(|given| given.group.is_some())
    }

    /// Names of the classes, in the order of the classes.
    pub fn names(&self) -> Option<&[String]> {
        self.given.as_ref()?.names.as_deref()
    }

    pub fn check(&self) -> Result<()> {
        self.resolve().map(|_| ())
    }

    /// The label source that the fields describe.
    ///
    /// # Errors
    /// No label source or several, fields of another source, invalid patterns.
    pub fn resolve(&self) -> Result<LabelSource> {
        let Some(given) = &self.given else { return Ok(LabelSource::Plugin) };
        let ways = [
            ("table", given.table.is_some()),
            ("entry", given.entry.is_some()),
            ("pattern", given.pattern.is_some()),
            ("metadata", given.metadata.is_some()),
            ("masks", given.masks.is_some()),
        ];
        let named: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match named.as_slice() {
            [_] => {}
            [] => bail!(
                "labels names no source\nhint: set one of labels.table, labels.entry, labels.pattern, labels.metadata, labels.masks"
            ),
            several => {
                bail!("labels names several sources, {}\nhint: keep one of them", several.join(" and "))
            }
        }
        let of_table = [
            ("key", given.key.is_some()),
            ("label", given.label.is_some()),
            ("columns", given.columns.is_some()),
            ("group", given.group.is_some()),
            ("id_pattern", given.id_pattern.is_some()),
        ];
        if let Some((name, _)) = of_table.iter().find(|(_, given)| *given).filter(|_| given.table.is_none()) {
            bail!("labels.{name} belongs to a table\nhint: set labels.table, or remove it");
        }
        let of_masks = [
            ("mask_suffix", given.mask_suffix.is_some()),
            ("sample_suffix", given.sample_suffix.is_some()),
            ("mask_prefix", given.mask_prefix.is_some()),
            ("sample_prefix", given.sample_prefix.is_some()),
            ("annotated", given.annotated.is_some()),
            ("classes", given.classes.is_some()),
            ("ignore", given.ignore.is_some()),
        ];
        if let Some((name, _)) = of_masks.iter().find(|(_, given)| *given).filter(|_| given.masks.is_none()) {
            bail!("labels.{name} belongs to masks\nhint: set labels.masks, or remove it");
        }
        let of_numbers = given.table.is_some() || given.masks.is_some();
        if !of_numbers && (given.bins.is_some() || given.quantiles.is_some()) {
            bail!("labels.bins and labels.quantiles belong to a table or to masks\nhint: remove them");
        }
        if let Some(masks) = &given.masks {
            if let Some(classes) = &given.classes {
                classes.check().context("labels.classes")?;
            }
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let files = MaskFiles {
                data: masks.paths(),
                mask_suffix: text(&given.mask_suffix),
                sample_suffix: text(&given.sample_suffix),
                mask_prefix: text(&given.mask_prefix),
                sample_prefix: text(&given.sample_prefix),
            };
            if files.data.is_empty() {
                bail!("labels.masks is empty\nhint: name at least one file or folder with masks");
            }
            return Ok(LabelSource::Masks(MaskLabels {
                files,
                classes: given.classes.clone(),
                ignored: given.ignore,
                annotated: given.annotated.iter().flatten().map(AnnotatedSection::resolve).collect::<Result<_>>()?,
                sizes: given.classes_of_numbers()?,
            }));
        }
        if let Some(pattern) = &given.pattern {
            return Ok(LabelSource::Pattern(pattern_of("labels.pattern", pattern)?));
        }
        if let Some(name) = &given.metadata {
            return Ok(LabelSource::Metadata(name.clone()));
        }
        let Some(table) = &given.table else {
            return match given.entry {
                Some(true) => Ok(LabelSource::Entry),
                _ => bail!("labels.entry is false\nhint: set it to true, or name another source"),
            };
        };
        let needed = |name: &str, value: &Option<String>| {
            value
                .clone()
                .ok_or_else(|| anyhow!("labels.{name} is missing\nhint: name the column of {}", table.display()))
        };
        let columns = given.columns.clone().unwrap_or_default();
        if given.columns.as_ref().is_some_and(|columns| columns.len() < 2)
            || (!columns.is_empty() && given.label.is_some())
        {
            bail!(
                "labels.columns names {} columns{}\nhint: name two or more, one for each label, and leave out labels.label",
                columns.len(),
                if given.label.is_some() { " beside labels.label" } else { "" }
            );
        }
        let label = if columns.is_empty() { needed("label", &given.label)? } else { columns[0].clone() };
        Ok(LabelSource::Table(TableLabels {
            table: table.clone(),
            key: needed("key", &given.key)?,
            label,
            columns,
            group: given.group.clone(),
            id_pattern: given.id_pattern.as_deref().map(|text| pattern_of("labels.id_pattern", text)).transpose()?,
            classes: given.classes_of_numbers()?,
        }))
    }
}

impl Given {
    /// The conversion of numbers to classes.
    fn classes_of_numbers(&self) -> Result<Classes> {
        Ok(match (&self.bins, self.quantiles) {
            (None, None) => Classes::Values,
            (Some(bins), None) if bins.is_empty() || bins.windows(2).any(|pair| pair[0] >= pair[1]) => {
                bail!("labels.bins is {bins:?}; expected ascending thresholds")
            }
            (Some(bins), None) => Classes::Bins(bins.clone()),
            (None, Some(n)) if n < 2 => bail!("labels.quantiles is {n}, it must be at least 2"),
            (None, Some(n)) => Classes::Quantiles(n),
            (Some(_), Some(_)) => bail!("labels has both bins and quantiles\nhint: keep one of them"),
        })
    }
}

impl GroupSection {
    /// The compiled pattern of the group, where it is one.
    pub fn regex(&self) -> Option<Result<Regex>> {
        match self {
            Self::Pattern(pattern) => Some(pattern_of("group.pattern", pattern)),
            Self::None | Self::File | Self::Metadata(_) => None,
        }
    }
}

/// A regular expression with exactly one group, which captures the wanted part.
pub(super) fn pattern_of(name: &str, text: &str) -> Result<Regex> {
    let pattern = Regex::new(text).map_err(|error| anyhow!("{name} is no regular expression: {error}"))?;
    match pattern.captures_len() {
        2 => Ok(pattern),
        n => bail!(
            "{name} {text:?} has {} groups; expected one group in parentheses around the part that counts\n\
             hint: write (?:...) for parentheses that only hold together",
            n - 1
        ),
    }
}

/// The part of an id that a pattern's group captures.
pub(crate) fn captured<'a>(pattern: &Regex, id: &'a str) -> Option<&'a str> {
    Some(pattern.captures(id)?.get(1)?.as_str())
}
