//! The report of an import: tensors that were read, left out and initialised.

use medcoss_core::model::{FamilyTokens, TextAttention};
use medcoss_core::weights::{InitialModel, Origin};

use super::Table;

/// The report of an import as text: the model, then the parts in tables.
pub(crate) fn to_text(initial: &InitialModel) -> String {
    let (sizes, report) = (&initial.model.dimensions, &initial.report);
    let mut text = format!(
        "Imported {} (sha256 {}): encoder {} layers of {} with {} heads, decoder {} of {} with {}; text attends {}.\n",
        initial.source,
        &initial.source_sha256[..12],
        sizes.layers,
        sizes.width,
        sizes.heads,
        sizes.decoder_layers,
        sizes.decoder_width,
        sizes.decoder_heads,
        match initial.model.text_attention {
            TextAttention::Causal => "causally",
            TextAttention::Bidirectional => "bidirectionally",
        }
    );
    let mut families = Table::new(&["family", "tokens", "positions", "decoder positions"]);
    for family in &initial.model.families {
        let decoder = match family.tokens {
            FamilyTokens::Continuous { .. } => family.n_decoder_positions.to_string(),
            FamilyTokens::Discrete { .. } => "-".into(),
        };
        families.row([family.name.clone(), family.tokens.to_string(), family.n_positions.to_string(), decoder]);
    }
    let mut taken = Table::new(&["taken", "tensors", "values"]);
    for part in &report.taken {
        taken.row([part.part.clone(), part.n_tensors.to_string(), part.n_values.to_string()]);
    }
    for table in [families, taken] {
        text.push('\n');
        text.push_str(&table.lines());
    }
    if !report.left.is_empty() {
        let mut left = Table::new(&["left", "tensors", "why"]);
        for entry in &report.left {
            let n = if entry.why.starts_with("no tensor") { "-".into() } else { entry.n.to_string() };
            left.row([entry.key.clone(), n, entry.why.clone()]);
        }
        text.push('\n');
        text.push_str(&left.lines());
    }
    let mut list = |heading: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            text.push_str(&format!("\n{heading}: {}\n", entries.join("; ")));
        }
    };
    list("Not in the file, made afresh", report.fresh.clone());
    list("Assumed", report.assumed.clone());
    list("Converted to float32", report.converted.iter().map(|(dtype, n)| format!("{n} tensors of {dtype}")).collect());
    if !report.remarks.is_empty() {
        text.push_str("\nThe model:\n");
        report.remarks.iter().for_each(|remark| text.push_str(&format!("  {remark}\n")));
    }
    text.push_str(&licence(report.origin));
    text
}

/// Whose terms the weights are under.
fn licence(origin: Option<Origin>) -> String {
    let source = match origin {
        None => "their source".into(),
        Some(Origin::Medcoss) => "MedCoSS, whose weights and code are for non-commercial use".into(),
        Some(Origin::Exported) => "the run that they were exported from, and of the weights that it began with".into(),
        Some(origin @ (Origin::HuggingFaceVit | Origin::HuggingFaceVitMae | Origin::HuggingFaceDinov2)) => {
            format!("their model card (format: {origin})")
        }
        Some(origin) => format!("their source (format: {origin})"),
    };
    format!("\nLicence: the weights, and what is trained from them, keep the terms of {source}.\n")
}
