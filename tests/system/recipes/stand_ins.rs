//! Tiny stand-ins for the data of the recipes: the folders, names, types and codes of the downloads, with a few synthetic samples in each.

use std::path::Path;

use super::files::{bmp, grey_png, nifti, nrrd, rgb_tiff, write};

/// Noise that is no one's data.
fn noise(seed: usize, at: usize) -> usize {
    let mut state =
        (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 31;
    (state.wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as usize
}

/// Whether a place lies in the disc or ball of a sample.
fn inside<const D: usize>(sample: usize, at: [usize; D], shape: [usize; D], radius: f64) -> bool {
    let least = *shape.iter().min().unwrap() as f64;
    let distance = |axis: usize| {
        let centre = shape[axis] as f64 * (0.35 + 0.3 * (noise(sample, axis) % 100) as f64 / 100.0);
        (at[axis] as f64 - centre).powi(2)
    };
    (0..D).map(distance).sum::<f64>().sqrt() < radius * least
}

/// All nine stand-ins below a folder.
pub fn make(root: &Path) {
    pubmed_rct(root);
    chestxr(root);
    qata_cov19(root);
    ricord(root);
    lits(root);
    vestibular_schwannoma(root);
    left_atrium(root);
    nct_crc_he(root);
    glas(root);
}

fn pubmed_rct(root: &Path) {
    let roles = [
        ("BACKGROUND", "Little is known about @ treatments of this disease ."),
        ("OBJECTIVE", "To assess whether the new drug lowers blood pressure ."),
        ("METHODS", "Patients were randomly assigned to drug or placebo for @ weeks ."),
        ("RESULTS", "Pressure fell by @ mmHg in the treated group ( P < @ ) ."),
        ("CONCLUSIONS", "The drug is safe and lowers blood pressure ."),
    ];
    for (file, first, n) in [("train.txt", 100, 6), ("dev.txt", 200, 3), ("test.txt", 300, 4)] {
        let mut text = String::new();
        for number in first..first + n {
            text.push_str(&format!("###{number}\n"));
            for (role, sentence) in roles {
                text.push_str(&format!("{role}\t{sentence} Study {number} .\n"));
            }
            text.push('\n');
        }
        write(&root.join("PubMed_20k_RCT").join(file), text.as_bytes());
    }
}

fn chestxr(root: &Path) {
    for (side, n) in [("train", 5), ("validation", 3)] {
        for (class, name) in ["covid", "normal", "pneumonia"].iter().enumerate() {
            for sample in 0..n {
                let path = root.join(format!("Chest_XR/{side}/{name}/{name}-{sample}.png"));
                let value = |row, column| {
                    let bright = inside(sample, [row, column], [60, 50], 0.15 + 0.12 * class as f64);
                    (noise(sample, row * 50 + column) % 60 + if bright { 150 } else { 40 }) as u8
                };
                grey_png(&path, [60, 50], value);
            }
        }
    }
}

fn qata_cov19(root: &Path) {
    for (side, n) in [("Train Set", 6), ("Test Set", 3)] {
        for sample in 0..n {
            let folder = root.join("QaTa-COV19-v2").join(side);
            let is = |row: usize, column: usize| inside(sample + n, [row, column], [224, 224], 0.25);
            let name = format!("covid_{sample}.png");
            let value = |row: usize, column: usize| {
                (noise(sample, row * 224 + column) % 60 + if is(row, column) { 150 } else { 40 }) as u8
            };
            grey_png(&folder.join("Images").join(&name), [224, 224], value);
            let mask = |row: usize, column: usize| if is(row, column) { 255 } else { 0 };
            grey_png(&folder.join("Ground-truths").join(format!("mask_{name}")), [224, 224], mask);
        }
    }
}

fn ricord(root: &Path) {
    let mut lists = [String::new(), String::new(), String::new()];
    for (collection, label) in [("MIDRC-RICORD-1A", 1), ("MIDRC-RICORD-1B", 0)] {
        for sample in 0..6 {
            let path = format!(
                "RICORD_nii/{collection}/ID419639-00{label}{sample:02}_date10-23-2002_2.000000-ROUTINE-CHEST-NON-CON-4654{sample}.nii.gz"
            );
            let shape = [40, 36, 20];
            let value = |at: [usize; 3]| {
                let dense = inside(sample, at, shape, 0.2 + 0.15 * label as f64);
                (noise(sample, at[0] + 40 * (at[1] + 36 * at[2])) % 100) as i16 + if dense { 0 } else { -850 }
            };
            nifti(&root.join(&path), shape, [0.8, 0.8, 2.5], value);
            lists[if sample < 3 {
                0
            } else if sample < 4 {
                1
            } else {
                2
            }]
            .push_str(&format!("{path} {label}\n"));
        }
    }
    for (name, list) in ["train", "val", "test"].iter().zip(lists) {
        write(&root.join(format!("RICORD_nii/RICORD_{name}.txt")), list.as_bytes());
    }
}

fn lits(root: &Path) {
    for scan in 0..7 {
        let folder = root.join(format!("LiTS/Training Batch {}", if scan < 4 { 1 } else { 2 }));
        let shape = [44, 40, 20];
        let liver = move |at| inside(scan, at, shape, 0.45);
        let tumour = move |at| inside(scan, at, shape, 0.2);
        let value = |at: [usize; 3]| {
            let tissue = if tumour(at) {
                180
            } else if liver(at) {
                90
            } else {
                -100
            };
            tissue + (noise(scan, at[0] + 44 * (at[1] + 40 * at[2])) % 40) as i16
        };
        let spacing = [0.8, 0.8, 1.5];
        nifti(&folder.join(format!("volume-{scan}.nii")), shape, spacing, value);
        let label = |at| if tumour(at) { 2 } else { i16::from(liver(at)) };
        nifti(&folder.join(format!("segmentation-{scan}.nii")), shape, spacing, label);
    }
}

fn vestibular_schwannoma(root: &Path) {
    for patient in 1..=6 {
        let folder = root.join(format!("VS-SEG/vs_gk_{patient}"));
        let shape = [40, 40, 20];
        let tumour = move |at| inside(patient, at, shape, 0.3);
        let value = |at: [usize; 3]| {
            (noise(patient, at[0] + 40 * (at[1] + 40 * at[2])) % 80) as i16 + if tumour(at) { 400 } else { 120 }
        };
        nifti(&folder.join("vs_gk_t1_refT1.nii.gz"), shape, [0.4, 0.4, 1.5], value);
        nifti(&folder.join("vs_gk_seg_refT1.nii.gz"), shape, [0.4, 0.4, 1.5], |at| i16::from(tumour(at)));
    }
}

fn left_atrium(root: &Path) {
    let cases = [
        "0RZDK210BSMWAA6467LU",
        "1D7CUD1955YZPGK8XHJX",
        "23X6SY44VT9KFHR7S7OC",
        "UPT6DX9IQY9JAZ7HJKA7",
        "V0MZOWJ6MU3RMRCV9EXR",
    ];
    for (number, case) in cases.iter().enumerate() {
        let folder = root.join("Training Set").join(case);
        let shape = [44, 44, 20];
        let atrium = move |at| inside(number, at, shape, 0.35);
        let value = |at: [usize; 3]| {
            (noise(number, at[0] + 44 * (at[1] + 44 * at[2])) % 50) as i16 + if atrium(at) { 150 } else { 40 }
        };
        nrrd(&folder.join("lgemri.nrrd"), shape, 0.625, value);
        nrrd(&folder.join("laendo.nrrd"), shape, 0.625, |at| if atrium(at) { 255 } else { 0 });
    }
}

fn nct_crc_he(root: &Path) {
    for (side, n) in [("NCT-CRC-HE-100K", 5), ("CRC-VAL-HE-7K", 2)] {
        for (class, name) in ["ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM"].iter().enumerate() {
            for sample in 0..n {
                let path = root.join(format!("NCT-CRC-HE/{side}/{name}/{name}-{sample:04}.tif"));
                let value = |row: usize, column: usize| {
                    let grain = noise(sample, row / 4 * 224 + column / 4) % 60;
                    [60 + 20 * class, 200 - 15 * class, 120 + 10 * class].map(|base| (base.min(190) + grain) as u8)
                };
                rgb_tiff(&path, [224, 224], value);
            }
        }
    }
}

fn glas(root: &Path) {
    let folder = root.join("Warwick_QU_Dataset");
    let mut grades = String::from("name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)\n");
    for (part, n) in [("train", 5), ("testA", 2), ("testB", 2)] {
        for sample in 1..=n {
            let shape = [522, 775];
            let gland =
                |number: usize, row: usize, column: usize| inside(sample + 7 * number, [row, column], shape, 0.25);
            let image = |row: usize, column: usize| {
                let grain = noise(sample, row / 8 * 100 + column / 8) % 30;
                let base =
                    if gland(0, row, column) || gland(1, row, column) { [150, 90, 160] } else { [215, 170, 205] };
                base.map(|value| (value + grain) as u8)
            };
            bmp(&folder.join(format!("{part}_{sample}.bmp")), shape, image);
            let mask = |row: usize, column: usize| {
                let number = if gland(0, row, column) { 1 } else { 2 * usize::from(gland(1, row, column)) };
                [number as u8; 3]
            };
            bmp(&folder.join(format!("{part}_{sample}_anno.bmp")), shape, mask);
            grades.push_str(&format!("{part}_{sample},{sample}, benign, adenomatous\n"));
        }
    }
    write(&folder.join("Grade.csv"), grades.as_bytes());
}
