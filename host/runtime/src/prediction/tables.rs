//! Probabilities as tables: a row for each sample, and one for each file, the mean of its samples.

use std::collections::BTreeMap;

use anyhow::Result;
use medcoss_core::finetuning::TargetKind;

/// Rows of samples, in their order.
pub(super) struct Probabilities {
    target: TargetKind,
    rows: Vec<(String, String, Vec<f32>)>,
}

impl Probabilities {
    pub fn new(target: TargetKind) -> Self {
        Self { target, rows: Vec::new() }
    }

    /// Adds a sample of a file.
    pub fn push(&mut self, id: String, file: String, values: Vec<f32>) {
        self.rows.push((id, file, values));
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Number of files.
    pub fn n_files(&self) -> usize {
        self.by_file().len()
    }

    fn header(&self) -> Vec<String> {
        match &self.target {
            TargetKind::Regression { .. } => vec!["value".into()],
            target => target.classes().iter().map(|class| format!("probability_{class}")).collect(),
        }
    }

    /// The class that is predicted, of targets with one.
    fn predicted(&self, values: &[f32]) -> Option<String> {
        let largest = (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best });
        match &self.target {
            TargetKind::Classes { classes } | TargetKind::Ordinal { classes } => Some(classes[largest].clone()),
            _ => None,
        }
    }

    /// A CSV table with a row for each sample.
    ///
    /// # Errors
    /// None for text.
    pub fn of_samples(&self) -> Result<String> {
        self.table("id", self.rows.iter().map(|(id, file, values)| (vec![id.clone(), file.clone()], values.clone())))
    }

    /// A CSV table with a row for each file: the means of the values of its samples.
    ///
    /// # Errors
    /// None for text.
    pub fn of_files(&self) -> Result<String> {
        let files = self.by_file().into_iter().map(|(file, samples)| {
            let n = samples.len();
            let mut sums = vec![0.0f64; samples[0].len()];
            for sample in &samples {
                sums.iter_mut().zip(*sample).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            (vec![file.to_string(), n.to_string()], sums.into_iter().map(|sum| (sum / n as f64) as f32).collect())
        });
        self.table("file", files)
    }

    fn by_file(&self) -> BTreeMap<&str, Vec<&Vec<f32>>> {
        let mut files: BTreeMap<&str, Vec<&Vec<f32>>> = BTreeMap::new();
        for (_, file, values) in &self.rows {
            files.entry(file).or_default().push(values);
        }
        files
    }

    fn table(&self, kind: &str, rows: impl Iterator<Item = (Vec<String>, Vec<f32>)>) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut header = match kind {
            "id" => vec!["id".to_string(), "file".into()],
            _ => vec!["file".to_string(), "n_samples".into()],
        };
        let has_class = matches!(self.target, TargetKind::Classes { .. } | TargetKind::Ordinal { .. });
        header.extend(has_class.then(|| "predicted".to_string()));
        header.extend(self.header());
        writer.write_record(&header)?;
        for (mut cells, values) in rows {
            cells.extend(self.predicted(&values));
            cells.extend(values.iter().map(|value| format!("{value:.6}")));
            writer.write_record(&cells)?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_mean_of_their_samples() {
        let mut table = Probabilities::new(TargetKind::Classes { classes: vec!["no".into(), "yes".into()] });
        table.push("a#1".into(), "a".into(), vec![0.25, 0.75]);
        table.push("a#2".into(), "a".into(), vec![0.5, 0.5]);
        table.push("b#1".into(), "b,c".into(), vec![1.0, 0.0]);
        let lines: Vec<String> = table.of_files().unwrap().lines().map(String::from).collect();
        assert_eq!(lines[0], "file,n_samples,predicted,probability_no,probability_yes");
        assert_eq!(lines[1..], ["a,2,yes,0.375000,0.625000", "\"b,c\",1,no,1.000000,0.000000"]);
        assert!(table.of_samples().unwrap().contains("\na#2,a,no,0.500000,0.500000\n"));
        assert_eq!((table.len(), table.n_files()), (3, 2));
    }
}
