//! Scores as a table for people: a row for each stage, a column for each task, and the transfer metrics.

use medcoss_core::evaluation::{EvaluatedStage, Scores, TaskSummary, Transfer};

use super::Table;

/// Scores as text, with tables of at most `width` columns where a task fits into them.
pub(crate) fn to_text(scores: &Scores, width: usize) -> String {
    let mut text = tasks(scores);
    let mut left = scores.tasks.as_slice();
    while !left.is_empty() {
        let mut n = left.len();
        while n > 1 && matrix(scores, &left[..n]).lines().any(|line| line.chars().count() > width) {
            n -= 1;
        }
        let (now, later) = left.split_at(n);
        text.push('\n');
        text.push_str(&matrix(scores, now));
        left = later;
    }
    let seeds = match scores.seeds.as_slice() {
        [one] => format!("seed {one}"),
        several => format!("means over {} seeds", several.len()),
    };
    text.push_str(&format!("\nIn brackets: 95 % interval from resamples of the test samples; {seeds}.\n"));
    let measures = scores.measures().unwrap_or_default();
    if measures.is_empty() {
        text.push_str("What was forgotten shows with --after every-stage.\n");
        return text;
    }
    text.push_str(
        "* after the stage that first learned the task's modality; 0 start: the model that the run began with.\n",
    );
    for (scale, transfer) in &measures {
        text.push('\n');
        if scores.scales().len() > 1 {
            text.push_str(&format!("Tasks measured by {scale}:\n"));
        }
        text.push_str(&transfer_text(transfer, &scores.tasks_of(*scale), scores));
    }
    text
}

fn tasks(scores: &Scores) -> String {
    let mut table = Table::new(&["task", "modality", "protocol", "metric", "classes", "train", "test", "groups"]);
    for task in &scores.tasks {
        let (n_classes, n_train, n_test) =
            (task.classes.len().to_string(), task.n_train.to_string(), task.n_test.to_string());
        let groups = match (task.grouping.as_deref(), task.n_groups) {
            (Some("none"), _) => "none".into(),
            (Some(grouping), Some(n)) => format!("{n} by {grouping}"),
            _ => "-".into(),
        };
        let TaskSummary { name, modality, protocol, primary_metric, .. } = task;
        table.row([name, modality, protocol, primary_metric, &n_classes, &n_train, &n_test, &groups]);
    }
    table.lines()
}

fn matrix(scores: &Scores, tasks: &[TaskSummary]) -> String {
    let mut header = vec!["after stage"];
    header.extend(tasks.iter().map(|task| task.name.as_str()));
    let mut table = Table::new(&header);
    for stage in &scores.stages {
        let cell = |task: &TaskSummary| match scores.primary(stage.stage, task) {
            Some(score) => {
                let own = if task.own_stage == stage.stage && scores.stages.len() > 1 { "*" } else { " " };
                format!("{:.3}{own}[{:.2}, {:.2}]", score.value, score.low, score.high)
            }
            None => "-".into(),
        };
        table.row([name(stage)].into_iter().chain(tasks.iter().map(cell)));
    }
    table.lines()
}

fn name(stage: &EvaluatedStage) -> String {
    match &stage.modality {
        Some(modality) => format!("{} {modality}", stage.stage),
        None => "0 start".into(),
    }
}

fn transfer_text(transfer: &Transfer, tasks: &[&TaskSummary], scores: &Scores) -> String {
    let n_stages = scores.stages.iter().map(|stage| stage.stage).max().unwrap_or_default();
    let count = |of: &dyn Fn(&TaskSummary) -> bool| match tasks.iter().filter(|task| of(task)).count() {
        1 => "1 task".into(),
        n => format!("{n} tasks"),
    };
    let earlier = count(&|task| task.own_stage < n_stages);
    let mut table = Table::bare();
    for (name, value, meaning) in [
        ("average", format!("{:.3}", transfer.average), format!("after the last stage, over {}", count(&|_| true))),
        (
            "backward transfer",
            format!("{:+.3}", transfer.backward_transfer),
            format!("below 0: later stages made {earlier} worse; above 0: better"),
        ),
        (
            "forgetting",
            format!("{:+.3}", transfer.forgetting),
            format!("above 0: what {earlier} lost since the best stage"),
        ),
        (
            "forward transfer",
            format!("{:+.3}", transfer.forward_transfer),
            format!(
                "above 0: stages before their own helped {} more than no training",
                count(&|task| task.own_stage > 1)
            ),
        ),
    ] {
        table.row([name.to_string(), value, meaning]);
    }
    table.lines()
}
