//! Arguments for the task of a fine-tuning.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use medcoss_runtime::evaluation::TasksFile;
use medcoss_runtime::task_recipes::TaskRecipe;

use super::DataRootArgs;

/// A task of a tasks file, or a recipe, with changes to its settings.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths are relative to [default: the tasks file's folder]")
}))]
pub(crate) struct TaskArgs {
    /// Tasks file (TOML) with a task that has a section finetune
    #[arg(required_unless_present = "recipe")]
    tasks: Option<PathBuf>,
    /// A downstream task of the paper instead of a tasks file, see medcoss recipes
    #[arg(long, value_name = "NAME", conflicts_with = "tasks", requires = "data_root")]
    recipe: Option<String>,
    /// Name of the task, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// Change a setting of the task: key=value, such as finetune.training.epochs=3 or options.size=96
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    data_root: DataRootArgs,
}

impl TaskArgs {
    /// The tasks file or recipe, with the changes, and the folder that data paths are relative to.
    pub(crate) fn read(&self) -> Result<(TasksFile, PathBuf)> {
        let file = match (&self.tasks, &self.recipe) {
            (Some(tasks), _) => TasksFile::read(tasks, &self.settings)?,
            (None, recipe) => TaskRecipe::named(recipe.as_deref().unwrap_or_default())?.tasks_file(&self.settings)?,
        };
        let base = self.data_root.or(file.folder.clone())?;
        Ok((file, base))
    }
}
