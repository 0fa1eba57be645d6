//! Connected components of masks.
//!
//! A mask is read once as runs of voxels along its last axis; runs of neighbouring lines that touch are joined in a disjoint-set forest. Time is linear
//! in the voxels, and memory follows the number of runs (8 bytes each, and 4 for its component), not the number of voxels.

use super::shape::{check_length, three_axes};
use crate::{EvaluationError, Result};

/// Voxels that count as connected: those that share a face, an edge or a corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Neighbourhood {
    /// Voxels that share a face: 6 neighbours in a volume, 4 in an image.
    Faces,
    /// Voxels that share a face or an edge: 18 neighbours in a volume, 8 in an image. The reference's.
    Edges,
    /// Voxels that share a face, an edge or a corner: 26 neighbours in a volume, 8 in an image.
    Corners,
}

/// Voxels `start..end` of a line along the last axis.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u32,
    end: u32,
}

/// Connected components of a mask, numbered from 0 in the order of their first voxels.
#[derive(Debug, Clone)]
pub struct Components {
    shape: Vec<usize>,
    /// Runs of each line: `lines[l]..lines[l + 1]`.
    lines: Vec<usize>,
    runs: Vec<Run>,
    /// Component of each run.
    numbers: Vec<u32>,
    sizes: Vec<usize>,
}

impl Components {
    /// Finds the components of a mask `[rows, columns]` or `[depth, rows, columns]`.
    ///
    /// # Errors
    /// A shape without two or three axes, a mask of another length, more than 4,294,967,295 runs of voxels.
    pub fn find(mask: &[bool], shape: &[usize], neighbourhood: Neighbourhood) -> Result<Self> {
        let [depth, rows, columns] = three_axes("the mask", shape)?;
        check_length("the mask", mask.len(), 1, shape)?;
        let (mut lines, mut runs) = (Vec::with_capacity(depth * rows + 1), Vec::new());
        for line in mask.chunks_exact(columns) {
            lines.push(runs.len());
            push_runs(line, &mut runs);
        }
        lines.push(runs.len());
        let n_runs = u32::try_from(runs.len()).map_err(|_| {
            EvaluationError::array(
                "the mask",
                format!("{} runs of voxels", runs.len()),
                format!("at most {}", u32::MAX),
            )
        })?;

        let mut forest = Forest { parents: (0..n_runs).collect() };
        // By how many voxels runs may miss each other: in lines that share a face, and in lines that share an edge.
        let (beside, across) = match neighbourhood {
            Neighbourhood::Faces => (0, None),
            Neighbourhood::Edges => (1, Some(0)),
            Neighbourhood::Corners => (1, Some(1)),
        };
        for z in 0..depth {
            for y in 0..rows {
                let line = z * rows + y;
                let mut join = |other: usize, reach: u32| {
                    forest.join_lines(&runs, lines[line]..lines[line + 1], lines[other]..lines[other + 1], reach);
                };
                if y > 0 {
                    join(line - 1, beside);
                }
                if z > 0 {
                    join(line - rows, beside);
                    if let Some(reach) = across {
                        (y > 0).then(|| join(line - rows - 1, reach));
                        (y + 1 < rows).then(|| join(line - rows + 1, reach));
                    }
                }
            }
        }

        // A root is the first run of its component, so that it has its number before the others ask.
        let (mut numbers, mut sizes) = (vec![0; runs.len()], Vec::new());
        for nth in 0..n_runs {
            let root = forest.root(nth);
            let number = if root == nth { sizes.len() as u32 } else { numbers[root as usize] };
            if root == nth {
                sizes.push(0);
            }
            let run = runs[nth as usize];
            numbers[nth as usize] = number;
            sizes[number as usize] += (run.end - run.start) as usize;
        }
        Ok(Self { shape: shape.to_vec(), lines, runs, numbers, sizes })
    }

    /// Number of voxels of each component.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The largest component, of equal ones the first; none where the mask is empty.
    pub fn largest(&self) -> Option<usize> {
        (0..self.sizes.len()).rev().max_by_key(|at| self.sizes[*at])
    }

    /// Removes components from the mask that they were found in. Returns the number of removed voxels.
    ///
    /// # Errors
    /// A mask of another length.
    pub fn retain(&self, mask: &mut [bool], keep: impl Fn(usize) -> bool) -> Result<usize> {
        check_length("the mask", mask.len(), 1, &self.shape)?;
        let mut n_removed = 0;
        self.for_each_run(|component, voxels| {
            if !keep(component) {
                n_removed += voxels.len();
                mask[voxels].fill(false);
            }
        });
        Ok(n_removed)
    }

    /// Number of each voxel's component, from 1; 0 outside of the mask.
    pub fn labels(&self) -> Vec<u32> {
        let mut labels = vec![0; self.shape.iter().product()];
        self.for_each_run(|component, voxels| labels[voxels].fill(component as u32 + 1));
        labels
    }

    /// Calls with the component and the voxels of each run.
    fn for_each_run(&self, mut of_run: impl FnMut(usize, std::ops::Range<usize>)) {
        let n_columns = self.shape.last().copied().unwrap_or_default();
        for (line, ends) in self.lines.windows(2).enumerate() {
            for nth in ends[0]..ends[1] {
                let (run, start) = (self.runs[nth], line * n_columns);
                of_run(self.numbers[nth] as usize, start + run.start as usize..start + run.end as usize);
            }
        }
    }
}

/// Adds the runs of a line.
fn push_runs(line: &[bool], runs: &mut Vec<Run>) {
    let mut at = 0;
    while let Some(start) = line[at..].iter().position(|set| *set).map(|n| at + n) {
        let end = line[start..].iter().position(|set| !set).map_or(line.len(), |n| start + n);
        // A line has at most 2^24 voxels.
        runs.push(Run { start: start as u32, end: end as u32 });
        at = end;
    }
}

/// Disjoint sets of runs. The root of a set is its first run.
struct Forest {
    parents: Vec<u32>,
}

impl Forest {
    fn root(&mut self, mut nth: u32) -> u32 {
        while self.parents[nth as usize] != nth {
            let above = self.parents[self.parents[nth as usize] as usize];
            self.parents[nth as usize] = above;
            nth = above;
        }
        nth
    }

    /// Joins the runs of two lines that overlap, or miss each other by less than `reach` voxels.
    fn join_lines(&mut self, runs: &[Run], a: std::ops::Range<usize>, b: std::ops::Range<usize>, reach: u32) {
        let (mut at_a, mut at_b) = (a.start, b.start);
        while at_a < a.end && at_b < b.end {
            let (run_a, run_b) = (runs[at_a], runs[at_b]);
            if run_a.start < run_b.end + reach && run_b.start < run_a.end + reach {
                let (a, b) = (self.root(at_a as u32), self.root(at_b as u32));
                self.parents[a.max(b) as usize] = a.min(b);
            }
            // Runs of a line are at least a voxel apart: the one that ends first touches no later one of the other line.
            if run_a.end < run_b.end { at_a += 1 } else { at_b += 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(mask: &[bool], shape: &[usize], neighbourhood: Neighbourhood) -> Components {
        Components::find(mask, shape, neighbourhood).unwrap()
    }

    /// Two voxels of a 3 x 3 x 3 volume, the first in its centre.
    fn pair(dz: usize, dy: usize, dx: usize) -> Vec<bool> {
        let mut mask = vec![false; 27];
        mask[13] = true;
        mask[(dz * 3 + dy) * 3 + dx] = true;
        mask
    }

    #[test]
    fn each_of_26_neighbours_touches_as_its_shared_side_says() {
        for at in (0..27).filter(|at| *at != 13) {
            let place = [at / 9, at / 3 % 3, at % 3];
            let n_steps = place.iter().filter(|at| **at != 1).count();
            let mask = pair(place[0], place[1], place[2]);
            let n = [Neighbourhood::Faces, Neighbourhood::Edges, Neighbourhood::Corners]
                .map(|neighbourhood| find(&mask, &[3, 3, 3], neighbourhood).sizes().len());
            assert_eq!(n, [1, 2, 3].map(|reach| if n_steps <= reach { 1 } else { 2 }), "{place:?}");
        }
        let diagonal = [true, false, false, true];
        let n = [Neighbourhood::Faces, Neighbourhood::Edges, Neighbourhood::Corners]
            .map(|neighbourhood| find(&diagonal, &[2, 2], neighbourhood).sizes().len());
        assert_eq!(n, [2, 1, 1]);
    }

    /// Floods from each voxel in turn.
    fn flooded(mask: &[bool], shape: [usize; 3], reach: usize) -> Vec<u32> {
        let mut labels = vec![0; mask.len()];
        let mut n = 0;
        for seed in 0..mask.len() {
            if !mask[seed] || labels[seed] != 0 {
                continue;
            }
            n += 1;
            labels[seed] = n;
            let mut open = vec![seed];
            while let Some(at) = open.pop() {
                let place = [at / (shape[1] * shape[2]), at / shape[2] % shape[1], at % shape[2]];
                for step in 0..27usize {
                    let step = [step / 9, step / 3 % 3, step % 3];
                    let next = [0, 1, 2].map(|axis| (place[axis] + step[axis]).wrapping_sub(1));
                    let apart = step.iter().filter(|step| **step != 1).count();
                    if apart > reach || (0..3).any(|axis| next[axis] >= shape[axis]) {
                        continue;
                    }
                    let next = (next[0] * shape[1] + next[1]) * shape[2] + next[2];
                    if mask[next] && labels[next] == 0 {
                        labels[next] = n;
                        open.push(next);
                    }
                }
            }
        }
        labels
    }

    proptest::proptest! {
        #[test]
        fn components_are_those_of_flooding(
            seed in proptest::collection::vec(0.0f64..1.0, 5 * 6 * 7), density in 0.05f64..0.9,
        ) {
            let mask: Vec<bool> = seed.iter().map(|value| *value < density).collect();
            for (neighbourhood, apart) in
                [(Neighbourhood::Faces, 1), (Neighbourhood::Edges, 2), (Neighbourhood::Corners, 3)]
            {
                let found = find(&mask, &[5, 6, 7], neighbourhood);
                let labels = flooded(&mask, [5, 6, 7], apart);
                assert_eq!(found.labels(), labels);
                let sizes: Vec<usize> =
                    (1..=labels.iter().max().copied().unwrap()).map(|of| labels.iter().filter(|label| **label == of).count()).collect();
                assert_eq!(found.sizes(), sizes);
                let image = find(&mask, &[30, 7], neighbourhood).labels();
                assert_eq!(image, flooded(&mask, [1, 30, 7], apart));
            }
        }
    }

    #[test]
    fn components_are_kept_by_their_number() {
        let mask = [true, true, false, true, false, true, true, false, true];
        let components = find(&mask, &[1, 9], Neighbourhood::Faces);
        assert_eq!(components.sizes(), [2, 1, 2, 1]);
        // Of equal ones the first.
        assert_eq!(components.largest(), Some(0));
        let mut kept = mask;
        assert_eq!(components.retain(&mut kept, |component| component == 2).unwrap(), 4);
        assert_eq!(kept, [false, false, false, false, false, true, true, false, false]);
        assert_eq!(components.labels(), [1, 1, 0, 2, 0, 3, 3, 0, 4]);
        assert!(components.retain(&mut [true; 4], |_| true).is_err());

        let empty = find(&[false; 6], &[1, 2, 3], Neighbourhood::Corners);
        assert_eq!((empty.sizes(), empty.largest()), (&[][..], None));
        let error = Components::find(&mask, &[2, 4], Neighbourhood::Faces).unwrap_err().to_string();
        assert_eq!(error, "the mask has 9 values, expected 1 channels of the shape [2, 4]");
    }
}
