//! The tables of a comparison.

use medcoss_runtime::comparison::{Against, Comparison, Paired, Spread};

use super::Table;

/// A comparison as tables: means over seeds, differences to the first variant, and published results.
pub(crate) fn to_text(comparison: &Comparison) -> String {
    let mut text = measured(comparison);
    if let Some(against) = &comparison.against {
        text.push('\n');
        text.push_str(&beside_published(against));
    }
    text
}

fn measured(comparison: &Comparison) -> String {
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

/// Published averages beside the measured ones, and what differs between the protocols.
fn beside_published(against: &Against) -> String {
    let spread = |spread: Option<Spread>, factor: f64| match spread {
        Some(Spread { mean, deviation: Some(deviation), .. }) => {
            format!("{:.1} ± {:.1}", factor * mean, factor * deviation)
        }
        Some(Spread { mean, .. }) => format!("{:.1}", factor * mean),
        None => "-".into(),
    };
    let mut averages =
        Table::new(&["strategy", "published as", "published %", "measured %", "distance", "measured mm"]);
    for row in &against.averages {
        let published = &row.published;
        averages.row([
            published.strategy.clone(),
            published.method.clone(),
            format!("{:.2}", published.score_percent),
            spread(row.score, 100.0),
            format!("{:.2}", published.distance),
            spread(row.distance_mm, 1.0),
        ]);
    }
    let mut protocols = Table::new(&["protocol", "published", "measured"]);
    for ((aspect, published), (_, measured)) in against.published.aspects().into_iter().zip(against.measured.aspects())
    {
        protocols.row([aspect, published, measured]);
    }
    let sources: String = against.sources.iter().map(|source| format!("- {source}\n")).collect();
    format!(
        "Beside published averages: {}. The protocols differ, so compare the order of strategies, not their values.\n\n{}\n{}\nSources:\n{sources}",
        against.title,
        averages.lines(),
        protocols.wrapped(),
    )
}
