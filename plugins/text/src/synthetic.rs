//! Sample files: reports and abstracts from a small grammar, in every layout that the plugin reads.
//!
//! Words depend on each other as they do in reports (a finding decides where it can be, its severity decides the
//! advice), so that a model has something to learn from the words around a mask.

use std::path::Path;

use medcoss_sdk::{
    Error, SampleRng, Synthesised,
    rand::{RngExt, seq::IndexedRandom},
    sample_rng,
};
use serde_json::json;

/// A finding with the places where it occurs, and whether these have two sides.
struct Finding {
    name: &'static str,
    label: &'static str,
    places: &'static [&'static str],
    paired: bool,
}

const FINDINGS: &[Finding] = &[
    Finding {
        name: "pleural effusion",
        label: "effusion",
        places: &["costophrenic angle", "hemithorax"],
        paired: true,
    },
    Finding {
        name: "consolidation",
        label: "pneumonia",
        places: &["lower lobe", "upper lobe", "lung base"],
        paired: true,
    },
    Finding { name: "pneumothorax", label: "pneumothorax", places: &["lung apex", "pleural space"], paired: true },
    Finding { name: "pulmonary nodule", label: "nodule", places: &["upper lobe", "lower lobe", "hilum"], paired: true },
    Finding {
        name: "enlargement",
        label: "cardiomegaly",
        places: &["cardiac silhouette", "left ventricle"],
        paired: false,
    },
    Finding {
        name: "calcification",
        label: "atherosclerosis",
        places: &["aortic arch", "thoracic aorta"],
        paired: false,
    },
];

/// Severity and the advice that goes with it.
const SEVERITIES: &[(&str, &str)] = &[
    ("minimal", "no follow-up is needed."),
    ("mild", "follow-up in twelve months is suggested."),
    ("moderate", "follow-up in six weeks is recommended."),
    ("severe", "urgent clinical review is required."),
];

const NORMAL: &[&str] = &[
    "the lungs are clear.",
    "the heart size is normal.",
    "the mediastinal contours are unremarkable.",
    "the osseous structures are intact.",
    "the trachea is midline.",
];

/// Writes five files of `n_samples / 5` samples each, rounded up.
///
/// # Errors
/// Files that cannot be written.
pub fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut rng = sample_rng(seed);
    let each = n_samples.div_ceil(5).max(1);
    let files = [
        ("reports.txt", lines(&mut rng, each)),
        ("labelled.csv", table(&mut rng, each)),
        ("labelled.jsonl", json_lines(&mut rng, each)),
        ("abstracts.txt", abstracts(&mut rng, each)),
        ("questions.xml", questions(&mut rng, each)),
    ];
    for (name, content) in &files {
        let path = folder.join(name);
        std::fs::write(&path, content)
            .map_err(|error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error))?;
    }
    Ok(Synthesised {
        data: files.iter().map(|(name, _)| name.into()).collect(),
        // Rows are named whatever a preset asks for.
        options: json!({
            "max_length": 32, "vocab_size": 512, "text_column": "report", "label_column": "finding", "keep_rows": {}
        }),
    })
}

fn lines(rng: &mut SampleRng, n: usize) -> String {
    (0..n).map(|_| report(rng).1 + "\n").collect()
}

fn table(rng: &mut SampleRng, n: usize) -> String {
    let rows = (0..n).map(|_| {
        let (label, text) = report(rng);
        // No report of the grammar has a quotation mark in it.
        format!("{label},\"{text}\"\n")
    });
    std::iter::once("finding,report\n".into()).chain(rows).collect()
}

fn json_lines(rng: &mut SampleRng, n: usize) -> String {
    let objects = (0..n).map(|_| {
        let (label, text) = report(rng);
        json!({ "report": text, "finding": label }).to_string() + "\n"
    });
    objects.collect()
}

fn abstracts(rng: &mut SampleRng, n: usize) -> String {
    let blocks = (0..n).map(|number| {
        let finding = pick(rng, FINDINGS);
        let (n_patients, n_found) = (rng.random_range(20..200), rng.random_range(2..20));
        let (severity, advice) = *pick(rng, SEVERITIES);
        format!(
            "###{}\nOBJECTIVE\tto study {} on chest radiographs.\nMETHODS\tradiographs of {n_patients} patients were \
             reviewed.\nRESULTS\t{severity} {} was seen in {n_found} patients.\nCONCLUSIONS\tin {severity} {}, {advice}\n\n",
            1_000_001 + number,
            finding.name,
            finding.name,
            finding.name,
        )
    });
    blocks.collect()
}

fn questions(rng: &mut SampleRng, n: usize) -> String {
    let pairs = (1..=n).map(|number| {
        let finding = pick(rng, FINDINGS);
        let (severity, advice) = *pick(rng, SEVERITIES);
        let place = *pick(rng, finding.places);
        let (kind, question, answer) = match rng.random_range(0..2) {
            0 => ("location", format!("where is {} seen?", finding.name), format!("it is seen at the {place}.")),
            _ => ("treatment", format!("what is done about {severity} {}?", finding.name), advice.to_owned()),
        };
        // No character of the grammar needs an entity.
        format!(
            "<QAPair pid=\"{number}\">\n<Question qtype=\"{kind}\">{question}</Question>\n<Answer>{answer}</Answer>\n\
             </QAPair>\n"
        )
    });
    let pairs: String = pairs.collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document id=\"1\">\n<QAPairs>\n{pairs}</QAPairs>\n</Document>\n"
    )
}

/// Label and text of a report: normal in one of four cases, otherwise with one finding.
fn report(rng: &mut SampleRng) -> (&'static str, String) {
    let absent = pick(rng, FINDINGS).name;
    let normal = *pick(rng, NORMAL);
    if rng.random_range(0..4) == 0 {
        return ("normal", format!("{normal} there is no evidence of {absent}. no acute abnormality."));
    }
    let finding = pick(rng, FINDINGS);
    let place = *pick(rng, finding.places);
    let side = if finding.paired { *pick(rng, &["left ", "right "]) } else { "" };
    let (severity, advice) = *pick(rng, SEVERITIES);
    let change = *pick(rng, &["unchanged", "new", "improved", "worse"]);
    let text = match rng.random_range(0..3) {
        0 => format!(
            "there is {severity} {} of the {side}{place}, {change} since the prior study. {advice}",
            finding.name
        ),
        1 => format!("{normal} {severity} {} is seen at the {side}{place}. {advice}", finding.name),
        _ => format!("{change} {severity} {} in the {side}{place}. no {absent} elsewhere. {advice}", finding.name),
    };
    (finding.label, text)
}

/// One of a list that is not empty, as all lists above are.
fn pick<'a, T>(rng: &mut SampleRng, list: &'a [T]) -> &'a T {
    list.choose(rng).unwrap_or(&list[0])
}
