//! Microns per pixel of a slide, as its file states them: Aperio's description, OME-XML, or the resolution tags of
//! TIFF.
//!
//! They are tried in this order, because descriptions are written by the scanner, and tags often by a program that does
//! not know the resolution. Values that no microscope gives, such as the 72 points per inch of a screen, count as not
//! stated.

use tiff::tags::Tag;

use crate::tiff_file::TiffFile;

/// Plausible microns per pixel: from beyond the resolution of light to an overview of the glass.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.01..=20.0;

/// Microns per pixel of the file's current page, along its columns.
pub(crate) fn microns_per_pixel(file: &mut TiffFile) -> Option<f64> {
    let description = file.text(Tag::ImageDescription).unwrap_or_default();
    let stated = from_aperio(&description).or_else(|| from_ome(&description));
    stated.filter(is_plausible).or_else(|| from_tags(file).filter(is_plausible))
}

/// Whether a microscope can give so many microns per pixel.
pub(crate) fn is_plausible(mpp: &f64) -> bool {
    PLAUSIBLE.contains(mpp)
}

/// Reads Aperio's description: `Aperio Image Library ...|AppMag = 20|MPP = 0.4990|...`
fn from_aperio(description: &str) -> Option<f64> {
    let fields = description.split('|').filter_map(|field| field.split_once('='));
    let (_, value) = fields.into_iter().find(|(name, _)| name.trim() == "MPP")?;
    value.trim().parse().ok()
}

/// Reads OME-XML: `<Pixels ... PhysicalSizeX="0.25" PhysicalSizeXUnit="µm" ...>` of the first image.
fn from_ome(description: &str) -> Option<f64> {
    let (_, pixels) = description.split_once("<OME")?.1.split_once("<Pixels")?;
    let (pixels, _) = pixels.split_once('>')?;
    let size: f64 = attribute(pixels, "PhysicalSizeX")?.parse().ok()?;
    let microns = match attribute(pixels, "PhysicalSizeXUnit").unwrap_or("µm") {
        // Micro sign, Greek letter, both as character references, and the ASCII substitute.
        "µm" | "μm" | "&#181;m" | "&#xB5;m" | "&#956;m" | "um" => 1.0,
        "nm" => 1e-3,
        "mm" => 1e3,
        "cm" => 1e4,
        _ => return None,
    };
    Some(size * microns)
}

/// Value of an attribute in the text of an element.
pub(crate) fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = element;
    while let Some((before, after)) = rest.split_once(name) {
        let value = after.trim_start().strip_prefix('=').map(str::trim_start);
        if before.ends_with(char::is_whitespace)
            && let Some(value) = value
        {
            let quote = value.chars().next().filter(|&quote| quote == '"' || quote == '\'')?;
            return value[1..].split_once(quote).map(|(value, _)| value);
        }
        rest = after;
    }
    None
}

/// Reads the resolution tags: `XResolution` pixels per inch or centimetre.
fn from_tags(file: &mut TiffFile) -> Option<f64> {
    let resolution = file.fraction(Tag::XResolution)?;
    let unit_microns = match file.number(Tag::ResolutionUnit) {
        // Inches also where the unit is not stated.
        None | Some(2) => 25_400.0,
        Some(3) => 10_000.0,
        _ => return None,
    };
    Some(unit_microns / resolution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aperio_states_microns_between_bars() {
        let description =
            "Aperio Image Library v10.0\r\n2220x2967 (256x256) JPEG Q=30|AppMag = 20|MPP = 0.4990|Left = 1";
        assert_eq!(from_aperio(description), Some(0.499));
        assert_eq!(from_aperio("Aperio|AppMag = 20|MPPX = 3"), None);
        assert_eq!(from_aperio("an image"), None);
    }

    #[test]
    fn ome_states_a_size_and_a_unit() {
        let pixels = |attributes: &str| {
            from_ome(&format!(
                "<?xml?><OME xmlns=\"a\"><Image><Pixels {attributes} SizeX=\"9\"><Channel/></Pixels></OME>"
            ))
        };
        assert_eq!(pixels("PhysicalSizeX=\"0.25\""), Some(0.25));
        assert_eq!(pixels("PhysicalSizeXUnit=\"nm\" PhysicalSizeX='250'"), Some(0.25));
        assert_eq!(pixels("PhysicalSizeX = \"0.0005\" PhysicalSizeXUnit=\"mm\""), Some(0.5));
        assert_eq!(pixels("PhysicalSizeX=\"1\" PhysicalSizeXUnit=\"reference frame\""), None);
        assert_eq!(pixels("PhysicalSizeY=\"0.25\""), None);
        assert_eq!(from_ome("<Pixels PhysicalSizeX=\"0.25\">"), None);
    }
}
