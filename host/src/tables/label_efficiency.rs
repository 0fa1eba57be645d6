//! Label efficiency for people: scores by fraction and model, and differences to the first model.

use medcoss_runtime::label_efficiency::LabelEfficiency;

use super::Table;

/// The study as text.
pub(crate) fn to_text(found: &LabelEfficiency) -> String {
    let mut header = vec!["labels", "samples"];
    header.extend(found.models.iter().map(String::as_str));
    let mut table = Table::new(&header);
    for fraction in &found.fractions {
        let of =
            |model: &String| found.points.iter().find(|point| point.model == *model && point.fraction == *fraction);
        let cell = |model: &String| match of(model).map(|point| point.spread) {
            Some(spread) => match spread.deviation {
                Some(deviation) => format!("{:.3} ± {deviation:.3}", spread.mean),
                None => format!("{:.3}", spread.mean),
            },
            None => "-".into(),
        };
        let n_train = found.models.iter().find_map(of).map_or(String::new(), |point| format!("{:.0}", point.n_train));
        table.row([format!("{:.1} %", 100.0 * fraction), n_train].into_iter().chain(found.models.iter().map(cell)));
    }
    let seeds: Vec<String> = found.seeds.iter().map(ToString::to_string).collect();
    let metric = found.metric.replace('_', " ");
    let mut text = format!(
        "{}: {metric}, mean ± standard deviation over seeds {}.\n\n{}",
        found.task,
        seeds.join(", "),
        table.lines()
    );
    let Some(first) = found.models.first().filter(|_| found.models.len() > 1) else { return text };
    if found.differences.is_empty() {
        text.push_str(&format!("\nCases have no {metric} of their own, so models are not compared case by case.\n"));
        return text;
    }
    let minus = format!("minus {first}");
    let mut table = Table::new(&["labels", "model", &minus, "interval", "p", "cases", "groups"]);
    for difference in &found.differences {
        let [low, high] = difference.interval;
        table.row([
            format!("{:.1} %", 100.0 * difference.fraction),
            difference.model.clone(),
            format!("{:+.3}", difference.mean),
            format!("[{low:+.3}, {high:+.3}]"),
            format!("{:.4}", difference.p_value),
            difference.n_cases.to_string(),
            difference.n_groups.to_string(),
        ]);
    }
    text.push_str(&format!(
        "\nDifferences case by case: 95 % interval and p-value from resamples and sign flips of groups.\n\n{}",
        table.lines()
    ));
    text
}
