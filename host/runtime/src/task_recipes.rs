//! The downstream tasks of the paper, as files that are compiled into the program: where the data come from and how they lie, split, labels, head, schedule.

use std::path::Path;

use anyhow::{Result, anyhow};
use medcoss_plugin_host::did_you_mean;

use crate::evaluation::TasksFile;

/// A downstream task of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRecipe {
    /// Name of the recipe and of its task.
    pub name: &'static str,
    /// The tasks file. The comment at its beginning states the source and the layout of the data, and what differs from the reference.
    pub text: &'static str,
}

/// Seeds of the paper's fine-tunings.
pub const SEEDS: [u64; 3] = [0, 10, 100];

macro_rules! recipes {
    ($($name:literal),+) => { [$(TaskRecipe { name: $name, text: include_str!(concat!("../../recipes/", $name, ".toml")) }),+] };
}

impl TaskRecipe {
    /// All recipes, in the order of the paper's modalities.
    pub const ALL: [Self; 9] = recipes![
        "pubmed-rct",
        "chestxr",
        "qata-cov19",
        "ricord",
        "lits",
        "vestibular-schwannoma",
        "left-atrium",
        "nct-crc-he",
        "glas"
    ];

    /// The recipe with a name.
    ///
    /// # Errors
    /// A name that no recipe has.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name == name).ok_or_else(|| {
            let names = Self::ALL.map(|recipe| recipe.name);
            anyhow!("there is no recipe {name:?}\nhint: {}there are {}", did_you_mean(name, names), names.join(", "))
        })
    }

    /// What the task is, in a line.
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// The recipe as a tasks file, with `key=value` settings of its task.
    ///
    /// # Errors
    /// Unknown settings, values out of range.
    pub fn tasks_file(&self, settings: &[String]) -> Result<TasksFile> {
        TasksFile::of_text(self.text, Path::new(&format!("{}.toml", self.name)), self.name, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_a_tasks_file_with_one_task_of_its_name() {
        for recipe in TaskRecipe::ALL {
            let file = recipe.tasks_file(&[]).unwrap();
            assert_eq!(file.finetuned(), [recipe.name]);
            assert!(recipe.text.contains("# Download: ") && recipe.text.contains("# As in the reference: "));
            assert!(recipe.title().len() > 30, "{}", recipe.title());
            let other = recipe.tasks_file(&["finetune.training.epochs=1".into()]).unwrap();
            assert_ne!(file.sha256, other.sha256);
        }
        let error = TaskRecipe::named("gals").unwrap_err().to_string();
        assert!(error.contains("did you mean \"glas\"?"), "{error}");
    }
}
