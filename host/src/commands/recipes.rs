//! `medcoss recipes`: the downstream tasks of the paper.

use anyhow::Result;
use clap::Args;
use medcoss_runtime::task_recipes::TaskRecipe;
use serde::Serialize;

use crate::arguments::ResultArgs;
use crate::failure::Failure;
use crate::tables::Table;

/// List the downstream tasks of the paper, or show one
///
/// A recipe is a tasks file inside of the program: where the data come from and how they lie, the split, labels, head, rate and
/// schedule of the reference, and what differs from it. `medcoss finetune --recipe NAME` learns one, `medcoss compare --recipes`
/// all of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss recipes
  medcoss recipes glas
  medcoss recipes glas > glas.toml")]
pub(crate) struct Recipes {
    /// Name of the recipe to show
    name: Option<String>,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    title: &'static str,
    text: Option<&'static str>,
}

impl Recipes {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let listed = self.listed().map_err(Failure::user)?;
        self.result.print(&listed, |listed| match listed.as_slice() {
            [Listed { text: Some(text), .. }] => (*text).to_string(),
            several => {
                let mut table = Table::new(&["recipe", "task"]);
                several.iter().for_each(|recipe| table.row([recipe.name.to_string(), recipe.title.to_string()]));
                table.wrapped()
            }
        })
    }

    fn listed(&self) -> Result<Vec<Listed>> {
        Ok(match &self.name {
            None => TaskRecipe::ALL
                .iter()
                .map(|recipe| Listed { name: recipe.name, title: recipe.title(), text: None })
                .collect(),
            Some(name) => {
                let recipe = TaskRecipe::named(name)?;
                vec![Listed { name: recipe.name, title: recipe.title(), text: Some(recipe.text) }]
            }
        })
    }
}
