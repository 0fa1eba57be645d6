//! The page around the sections: one file without scripts and external resources, which its content security policy
//! also forbids.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::comparison;
use super::history::RunHistory;
use super::section::Section;

/// Style sheet with colours, columns and print layout.
const STYLE: &str = include_str!("page.css");
/// Content security policy of the page, which allows nothing but to show it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
/// Text that identifies a file as a report.
pub const MARK: &str = concat!("medcoss report ", env!("CARGO_PKG_VERSION"));

/// A page of its own about something else than runs.
pub(crate) fn alone(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                header { p.program { "medcoss" } h1 { (title) } }
                main { (body) }
                footer { p { "Made by " (MARK) "." } }
            }
        }
    };
    page.into_string()
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="generator" content=(MARK);
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// Draws the whole page: the sections of every run, preceded by the comparison of several runs.
pub fn draw(runs: &[RunHistory], sections: &[Vec<Section>]) -> String {
    let title = match runs {
        [run] => format!("Run {}", run.title()),
        runs => {
            format!("{} runs: {}", runs.len(), runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "))
        }
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&title))
            body {
                header { p.program { "medcoss report" } h1 { (title) } }
                (contents(runs, sections))
                @if runs.iter().any(|run| run.anonymous) {
                    p.gap {
                        "An anonymous report: figures, curves and counts of samples. Ids, names, words, paths and examples of samples are left out; \
                         runs, tasks, classes and labels have numbers."
                    }
                }
                main {
                    @if runs.len() > 1 { (comparison::draw(runs)) }
                    @for (at, (run, sections)) in runs.iter().zip(sections).enumerate() {
                        article id=(format!("run{}", at + 1)) {
                            @if runs.len() > 1 { h2 { "Run " (run.title()) } }
                            @for section in sections { (section.draw(at)) }
                        }
                    }
                }
                footer { p { "Made by " (MARK) " from what the " (if runs.len() > 1 { "runs" } else { "run" }) " left behind." } }
            }
        }
    };
    page.into_string()
}

fn contents(runs: &[RunHistory], sections: &[Vec<Section>]) -> Markup {
    let of_run = |at: usize| {
        html! {
            ul { @for section in &sections[at] { li { a href=(format!("#{}", section.anchor(at))) { (section.title) } } } }
        }
    };
    html! {
        nav aria-label="sections" {
            @if runs.len() == 1 { (of_run(0)) } @else {
                ul { li { a href="#comparison" { "Comparison" } } }
                @for (at, run) in runs.iter().enumerate() {
                    details { summary { "Run " (run.name) } (of_run(at)) }
                }
            }
        }
    }
}
