//! Electrodes of the 10-20 and the 10-10 system: their names, and their places on a head that is a sphere.
//!
//! Angles are those of BioSemi's caps, which measure the system on a sphere: the inclination from the vertex Cz and the
//! azimuth from the right ear, in degrees.

/// The nineteen electrodes of the 10-20 system, from the front to the back and from the left to the right.
pub(crate) const TEN_TWENTY: [&str; 19] = [
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
];

/// The longitudinal bipolar montage, "double banana", in the order of the TCP montage of the TUH corpus, without its
/// channels at the ears.
pub(crate) const DOUBLE_BANANA: [&str; 18] = [
    "Fp1-F7", "F7-T7", "T7-P7", "P7-O1", "Fp2-F8", "F8-T8", "T8-P8", "P8-O2", "Fp1-F3", "F3-C3", "C3-P3", "P3-O1",
    "Fp2-F4", "F4-C4", "C4-P4", "P4-O2", "Fz-Cz", "Cz-Pz",
];

/// Names, inclinations and azimuths.
const PLACES: [(&str, f64, f64); 75] = [
    ("Fp1", -92.0, -72.0),
    ("Fpz", 92.0, 90.0),
    ("Fp2", 92.0, 72.0),
    ("AF7", -92.0, -54.0),
    ("AF3", -74.0, -65.0),
    ("AFz", 69.0, 90.0),
    ("AF4", 74.0, 65.0),
    ("AF8", 92.0, 54.0),
    ("F9", -115.0, -36.0),
    ("F7", -92.0, -36.0),
    ("F5", -75.0, -41.0),
    ("F3", -60.0, -51.0),
    ("F1", -50.0, -68.0),
    ("Fz", 46.0, 90.0),
    ("F2", 50.0, 68.0),
    ("F4", 60.0, 51.0),
    ("F6", 75.0, 41.0),
    ("F8", 92.0, 36.0),
    ("F10", 115.0, 36.0),
    ("FT9", -115.0, -18.0),
    ("FT7", -92.0, -18.0),
    ("FC5", -72.0, -21.0),
    ("FC3", -50.0, -28.0),
    ("FC1", -32.0, -45.0),
    ("FCz", 23.0, 90.0),
    ("FC2", 32.0, 45.0),
    ("FC4", 50.0, 28.0),
    ("FC6", 72.0, 21.0),
    ("FT8", 92.0, 18.0),
    ("FT10", 115.0, 18.0),
    ("T9", -115.0, 0.0),
    ("T7", -92.0, 0.0),
    ("C5", -69.0, 0.0),
    ("C3", -46.0, 0.0),
    ("C1", -23.0, 0.0),
    ("Cz", 0.0, 0.0),
    ("C2", 23.0, 0.0),
    ("C4", 46.0, 0.0),
    ("C6", 69.0, 0.0),
    ("T8", 92.0, 0.0),
    ("T10", 115.0, 0.0),
    ("TP9", -115.0, 18.0),
    ("TP7", -92.0, 18.0),
    ("CP5", -72.0, 21.0),
    ("CP3", -50.0, 28.0),
    ("CP1", -32.0, 45.0),
    ("CPz", 23.0, -90.0),
    ("CP2", 32.0, -45.0),
    ("CP4", 50.0, -28.0),
    ("CP6", 72.0, -21.0),
    ("TP8", 92.0, -18.0),
    ("TP10", 115.0, -18.0),
    ("P9", -115.0, 36.0),
    ("P7", -92.0, 36.0),
    ("P5", -75.0, 41.0),
    ("P3", -60.0, 51.0),
    ("P1", -50.0, 68.0),
    ("Pz", 46.0, -90.0),
    ("P2", 50.0, -68.0),
    ("P4", 60.0, -51.0),
    ("P6", 75.0, -41.0),
    ("P8", 92.0, -36.0),
    ("P10", 115.0, -36.0),
    ("PO7", -92.0, 54.0),
    ("PO3", -74.0, 65.0),
    ("POz", 69.0, -90.0),
    ("PO4", 74.0, -65.0),
    ("PO8", 92.0, -54.0),
    ("O1", -92.0, 72.0),
    ("Oz", 92.0, -90.0),
    ("O2", 92.0, -72.0),
    ("I1", -115.0, 72.0),
    ("Iz", 115.0, -90.0),
    ("I2", 115.0, -72.0),
    ("Nz", 115.0, 90.0),
];

/// Names that the 10-20 system had before the 10-10 system.
const FORMER: [(&str, &str); 4] = [("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8")];

/// What stands behind an electrode's name where it was recorded against a common reference: the reference itself, ears,
/// mastoids, averages.
const REFERENCES: [&str; 10] = ["REF", "LE", "AR", "A1A2", "A1+A2", "AVG", "AV", "CAR", "MASTOIDS", "LINKED"];
/// Ears and mastoids: references of other electrodes, and electrodes themselves.
const EARS: [&str; 4] = ["A1", "A2", "M1", "M2"];

/// A signal's name in the form in which names are compared: `EEG Fp1-REF`, `FP1`, `Fp1.` and `Fp1-A2` are `Fp1`, `T3`
/// is `T7`, `EEG Fpz-Cz` is the difference `Fpz-Cz`. Names of no electrode are in upper case.
pub(crate) fn canonical(name: &str) -> String {
    let mut rest = name.trim();
    for prefix in ["EEG", "POL"] {
        let behind = rest.get(..prefix.len()).filter(|begin| begin.eq_ignore_ascii_case(prefix));
        let behind = behind.map(|begin| rest[begin.len()..].trim_start_matches([' ', '-', '_', ':']));
        rest = behind.filter(|behind| !behind.is_empty() && behind.len() < rest.len() - prefix.len()).unwrap_or(rest);
    }
    let mut parts: Vec<String> = rest.split('-').map(electrode).filter(|part| !part.is_empty()).collect();
    // MNE numbers channels of one name.
    if parts.len() > 2 && parts[2..].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        parts.truncate(2);
    }
    if let [electrode, reference] = parts.as_slice() {
        let is_ear = |name: &String| EARS.contains(&name.as_str());
        if REFERENCES.contains(&reference.as_str()) || is_ear(reference) && !is_ear(electrode) {
            parts.truncate(1);
        }
    }
    parts.join("-")
}

/// The name of one electrode.
fn electrode(name: &str) -> String {
    let name = name.trim().trim_end_matches('.').to_uppercase();
    let name = FORMER.iter().find(|(former, _)| *former == name).map_or(name, |(_, present)| (*present).into());
    PLACES.iter().find(|(place, ..)| place.eq_ignore_ascii_case(&name)).map_or(name, |(place, ..)| (*place).into())
}

/// Place of a channel by its canonical name, `[x, y, z]` with radii of the head as the unit: to the right, to the
/// front, upwards. That of a difference is between its electrodes. `None` for what is no electrode of the 10-10 system.
pub(crate) fn place(channel: &str) -> Option<[f64; 3]> {
    let places: Option<Vec<[f64; 3]>> = channel.split('-').map(of_electrode).collect();
    match places?.as_slice() {
        [one] => Some(*one),
        [one, other] => Some([0, 1, 2].map(|axis| (one[axis] + other[axis]) / 2.0)),
        _ => None,
    }
}

fn of_electrode(name: &str) -> Option<[f64; 3]> {
    let (_, inclination, azimuth) = PLACES.iter().find(|(place, ..)| *place == name)?;
    let ((sin, z), (y, x)) = (inclination.to_radians().sin_cos(), azimuth.to_radians().sin_cos());
    Some([sin * x, sin * y, z])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_devices_are_the_same_electrodes() {
        for name in ["EEG Fp1-REF", "FP1", "Fp1.", "fp1-LE", "EEG FP1-A2", "POL Fp1", "EEG_Fp1", "Fp1-AVG", " Fp1.. "] {
            assert_eq!(canonical(name), "Fp1", "{name}");
        }
        for (name, expected) in [
            ("T3", "T7"),
            ("EEG T6-REF", "P8"),
            ("C3-A2", "C3"),
            ("EEG Fpz-Cz", "Fpz-Cz"),
            ("FP1-F7", "Fp1-F7"),
            ("T8-P8-1", "T8-P8"),
            ("EEG A1-REF", "A1"),
            ("A1-A2", "A1-A2"),
            ("EEG", "EEG"),
            ("EEG1", "EEG1"),
            ("ecg ii", "ECG II"),
            ("", ""),
            ("ä-ö", "Ä-Ö"),
        ] {
            assert_eq!(canonical(name), expected, "{name}");
        }
    }

    #[test]
    fn electrodes_lie_on_a_sphere_and_face_each_other() {
        for (name, ..) in PLACES {
            let [x, y, z] = place(name).unwrap();
            assert!((x * x + y * y + z * z - 1.0).abs() < 1e-12, "{name}");
            // An even number is the mirror of the odd one before it; z lies in the middle.
            let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            match digits.parse::<usize>() {
                Ok(number) if number % 2 == 1 => {
                    let [x2, y2, z2] = place(&name.replace(digits, &(number + 1).to_string())).unwrap();
                    assert!(x < 0.0 && (x + x2).abs() < 1e-12 && (y - y2).abs() < 1e-12 && (z - z2).abs() < 1e-12);
                }
                Ok(_) => assert!(x > 0.0, "{name}"),
                Err(_) => assert!(x.abs() < 1e-12, "{name}"),
            }
        }
        let close = |found: [f64; 3], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(close(place("Cz").unwrap(), [0.0, 0.0, 1.0]));
        // sin 92 cos 72, sin 92 sin 72, cos 92.
        assert!(close(place("Fp2").unwrap(), [0.3088, 0.9505, -0.0349]));
        assert!(close(place("C3-Cz").unwrap(), [-0.3597, 0.0, 0.8473]));
        assert_eq!((place("A1"), place("Fp1-A1"), place("")), (None, None, None));
    }
}
