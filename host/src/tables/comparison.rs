//! The tables of a comparison.

use medcoss_runtime::comparison::{Comparison, Paired, Spread};

use super::Table;

/// A comparison as two tables: means over seeds, and differences to the first variant.
pub(crate) fn to_text(comparison: &Comparison) -> String {
    let seeds: Vec<String> = comparison.seeds.iter().map(ToString::to_string).collect();
    let mut header = vec!["after the last stage"];
    header.extend(comparison.variants.iter().map(String::as_str));
    let mut means = Table::new(&header);
    for figure in &comparison.figures {
        let cell = |variant: &String| match comparison.over_seeds[variant].get(figure) {
            Some(Spread { mean, deviation: Some(deviation), .. }) => format!("{mean:.3} ± {deviation:.3}"),
            Some(Spread { mean, .. }) => format!("{mean:.3}"),
            None => "-".into(),
        };
        means.row([figure.clone()].into_iter().chain(comparison.variants.iter().map(cell)));
    }
    let mut text = format!("Mean ± standard deviation over seeds {}.\n\n{}", seeds.join(", "), means.lines());
    let Some((first, others)) = comparison.variants.split_first().filter(|(_, others)| !others.is_empty()) else {
        return text;
    };
    let header_text = format!("minus {first}, same seed");
    let mut header = vec![header_text.as_str()];
    header.extend(others.iter().map(String::as_str));
    let mut differences = Table::new(&header);
    for figure in &comparison.figures {
        let cell = |variant: &String| match comparison.against_first[variant].get(figure) {
            Some(paired @ Paired { mean, interval: Some([low, high]), .. }) => {
                format!("{mean:+.3} [{low:+.3}, {high:+.3}]{}", if paired.is_clear() { " *" } else { "" })
            }
            Some(Paired { mean, .. }) => format!("{mean:+.3}"),
            None => "-".into(),
        };
        differences.row([figure.clone()].into_iter().chain(others.iter().map(cell)));
    }
    text.push_str(&format!(
        "\nMean difference with its 95 % interval (Student's t over {} seeds; * leaves 0 out; no correction for the number of figures).\n\n{}",
        comparison.seeds.len(),
        differences.lines()
    ));
    text
}
