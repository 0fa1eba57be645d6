//! Runs without what their owners named: for a report that is shown to others.
//!
//! Names of runs, tasks files, tasks and classes become numbers, the same for all runs of a report. Configuration, paths, names of files and
//! reasons of errors, which may quote any of them, are withheld. Plugin ids, strategies, settings of the schedule and all figures stay.

use std::collections::BTreeMap;

use super::history::RunHistory;

/// The reason in place of samples.
pub(crate) const NO_SAMPLES: &str = "an anonymous report shows no samples";
/// The reason in place of any other.
pub(crate) const UNNAMED: &str = "it cannot be read or shown; a report that is not anonymous says why";

/// Numbers in place of names, in the order in which they are met.
#[derive(Default)]
struct Numbers(BTreeMap<String, usize>);

impl Numbers {
    fn of(&mut self, kind: &str, name: &str) -> String {
        let next = self.0.len() + 1;
        format!("{kind} {}", self.0.entry(name.to_owned()).or_insert(next))
    }
}

/// Makes the runs of a report anonymous.
pub fn anonymise(runs: &mut [RunHistory]) {
    let (mut files, mut tasks) = (Numbers::default(), Numbers::default());
    for (at, run) in runs.iter_mut().enumerate() {
        run.anonymous = true;
        run.name = format!("run {}", at + 1);
        run.record = String::new();
        match &mut run.plugins {
            Ok(plugins) => plugins.iter_mut().for_each(|plugin| plugin.file = "-".into()),
            Err(reason) => *reason = UNNAMED.into(),
        }
        for stage in &mut run.stages {
            if let Some(Err(reason)) = &mut stage.buffer {
                *reason = UNNAMED.into();
            }
        }
        for (file, scores) in &mut run.evaluations {
            *file = files.of("tasks file", file);
            let scores = match scores {
                Ok(scores) => scores,
                Err(reason) => {
                    *reason = UNNAMED.into();
                    continue;
                }
            };
            scores.tasks_file.clone_from(file);
            for score in &mut scores.scores {
                let classes = scores.tasks.iter().find(|task| task.name == score.task).map(|task| &task.classes);
                if let Some((metric, class)) = score.metric.split_once(':') {
                    let place = classes.and_then(|classes| classes.iter().position(|known| known == class));
                    score.metric =
                        format!("{metric}:class {}", place.map_or("unknown".into(), |at| (at + 1).to_string()));
                }
                score.task = tasks.of("task", &score.task);
            }
            for task in &mut scores.tasks {
                task.name = tasks.of("task", &task.name);
                for (at, class) in task.classes.iter_mut().enumerate() {
                    *class = format!("class {}", at + 1);
                }
            }
        }
    }
}

/// Numbers in place of labels of samples.
pub(crate) fn numbered_labels(labels: &[Option<String>]) -> Vec<Option<String>> {
    let mut numbers = Numbers::default();
    labels.iter().map(|label| label.as_deref().map(|label| numbers.of("label", label))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_numbers_in_the_order_in_which_they_are_met() {
        let labels = ["b", "a", "b"].map(|label| Some(label.to_owned()));
        let numbered = numbered_labels(&[labels.to_vec(), vec![None]].concat());
        let found: Vec<Option<&str>> = numbered.iter().map(Option::as_deref).collect();
        assert_eq!(found, [Some("label 1"), Some("label 2"), Some("label 1"), None]);
    }
}
