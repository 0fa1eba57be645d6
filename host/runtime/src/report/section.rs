//! A section of a report: its content, and notes on missing parts.

use maud::{Markup, html};

/// One section of a report about a run.
pub(crate) struct Section {
    /// Id of the section in links and in the summary.
    pub id: &'static str,
    pub title: &'static str,
    /// Introduction for readers of the section.
    pub lead: &'static str,
    /// Content of the section; `None` when no part can be shown.
    pub body: Option<Markup>,
    /// Missing parts, one line for each.
    pub gaps: Vec<String>,
}

impl Section {
    pub(crate) fn draw(&self, run: usize) -> Markup {
        html! {
            section id=(self.anchor(run)) {
                h3 { (self.title) }
                @if let Some(body) = &self.body {
                    p.lead { (self.lead) }
                    (body)
                }
                @for gap in &self.gaps { p.gap { (gap) } }
            }
        }
    }

    /// Target of links to the section.
    pub(crate) fn anchor(&self, run: usize) -> String {
        format!("run{}-{}", run + 1, self.id)
    }
}

/// Notes about missing parts, with stages of the same reason in one line: `text, ct: the reason`.
pub(crate) fn gaps<'a>(missing: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for (stage, reason) in missing {
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, stages)) => stages.push(stage),
            None => by_reason.push((reason, vec![stage])),
        }
    }
    by_reason.into_iter().map(|(reason, stages)| format!("{}: {reason}", stages.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_given_once() {
        let missing = [("text", "no data"), ("gait", "no plugin"), ("walk", "no data")];
        assert_eq!(gaps(missing.into_iter()), ["text, walk: no data", "gait: no plugin"]);
    }
}
