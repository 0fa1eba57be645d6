//! Checks of a report's page, and parts of it.

use std::collections::BTreeSet;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use medcoss_test_support::program::text;

/// Asserts that a page is well-formed and self-contained: every element is closed, every link has a target, nothing is
/// loaded from elsewhere, no script runs, and the folder `elsewhere` of this machine is not named.
pub fn stands_alone(page: &str, elsewhere: &Path) {
    let void = ["meta", "img", "br"];
    let mut reader = Reader::from_str(page);
    // HTML closes no void elements, so end tags are compared here.
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let (mut open, mut ids, mut links) = (Vec::new(), BTreeSet::new(), Vec::new());
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("at {}: {error}", reader.buffer_position())) {
            Event::Start(element) => {
                let name = element.name().as_ref().to_string();
                assert!(!["script", "link", "iframe", "object", "base", "form"].contains(&name.as_str()), "{name}");
                for attribute in element.html_attributes() {
                    let attribute = attribute.unwrap();
                    let key = attribute.key.as_ref().to_string();
                    let value = attribute.value.to_string();
                    assert!(!key.starts_with("on"), "{key}");
                    match key.as_str() {
                        "id" => assert!(ids.insert(value.clone()), "{value} is there twice"),
                        "src" => assert!(value.starts_with("data:image/png;base64,"), "{value}"),
                        "href" => links.push(value.strip_prefix('#').expect("a link inside").to_string()),
                        "style" => assert!(!value.contains("url"), "{value}"),
                        _ => {}
                    }
                }
                if !void.contains(&name.as_str()) {
                    open.push(name);
                }
            }
            Event::End(element) => {
                let name = element.name().as_ref().to_string();
                assert_eq!(open.pop(), Some(name), "at {}", reader.buffer_position());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    links.iter().for_each(|link| assert!(ids.contains(link), "#{link} leads nowhere"));
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url("));
    assert!(!page.contains(&text(elsewhere)), "it holds a path of this machine");
    assert!(!page.contains("<script") && !page.contains("<img src=x"));
}

/// A section of a run, by its number from 1.
pub fn section<'a>(page: &'a str, run: usize, id: &str) -> &'a str {
    let start = page.find(&format!("id=\"run{run}-{id}\"")).unwrap_or_else(|| panic!("no {id} of run {run}"));
    &page[start..start + page[start..].find("</section>").unwrap()]
}

/// Whether a section of a run, by its position from 0, is shown, and which of its data are missing.
pub fn missing(summary: &Value, run: usize, id: &str) -> (bool, String) {
    let sections = summary["runs"][run]["sections"].as_array().unwrap();
    let section = sections.iter().find(|section| section["id"] == id).unwrap();
    let lines: Vec<_> = section["missing"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    (section["shown"].as_bool().unwrap(), lines.join("\n"))
}
