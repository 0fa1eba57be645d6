//! The description of a Leica SCN slide: an XML text that states which pages show which area of the glass, and its size.
//!
//! ```text
//! <scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection sizeX="26564529" sizeY="76734090">
//!   <image><pixels sizeX="4737" sizeY="6338"><dimension sizeX="4737" sizeY="6338" r="0" ifd="0"/>...</pixels>
//!          <view sizeX="26564529" sizeY="76734090" offsetX="0" offsetY="0"/></image>
//! ```
//!
//! Sizes of views are in nanometres. The image whose view is the whole collection is the overview.

use crate::slide_resolution::attribute;

/// First part of the name space of the description.
const NAME_SPACE: &str = "www.leica-microsystems.com/scn/";
/// Part of the collection that a view covers at least along both axes where it is the overview of the glass.
const WHOLE: f64 = 0.99;

/// An area of the glass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScnArea {
    /// Numbers of the pages with its levels, in the chain, of the first channel and focal plane.
    pub pages: Vec<usize>,
    n_pixels: u64,
    /// Microns per pixel.
    pub mpp: Option<f64>,
    is_overview: bool,
}

/// The areas that a description states; none where it is not that of an SCN slide.
pub(crate) fn areas(description: &str) -> Vec<ScnArea> {
    let Some((_, collection)) = description.split_once("<collection").filter(|_| description.contains(NAME_SPACE))
    else {
        return Vec::new();
    };
    let whole = size(element(collection));
    collection.split("<image").skip(1).filter_map(|image| area(image, whole)).collect()
}

/// The area with the most pixels that is not the overview; the overview where there is no other.
pub(crate) fn largest(areas: &[ScnArea]) -> Option<&ScnArea> {
    // Of equal ones the first.
    areas.iter().rev().max_by_key(|area| (!area.is_overview, area.n_pixels))
}

/// Number of areas that are not the overview.
pub(crate) fn n_scans(areas: &[ScnArea]) -> usize {
    areas.iter().filter(|area| !area.is_overview).count()
}

fn area(image: &str, whole: Option<[f64; 2]>) -> Option<ScnArea> {
    let (_, pixels) = image.split_once("<pixels")?;
    let [width, height] = size(element(pixels))?;
    let number = |dimension: &str, name: &str| attribute(dimension, name).and_then(|text| text.parse::<usize>().ok());
    let is_first = |dimension: &&str| ["c", "z"].iter().all(|name| number(dimension, name).unwrap_or(0) == 0);
    let dimensions = pixels.split("<dimension").skip(1).map(element);
    let pages: Vec<_> = dimensions.filter(is_first).filter_map(|dimension| number(dimension, "ifd")).collect();
    let view = image.split_once("<view").and_then(|(_, view)| size(element(view)));
    let is_overview = view.zip(whole).is_some_and(|(view, whole)| (0..2).all(|axis| view[axis] >= WHOLE * whole[axis]));
    let mpp = view.filter(|_| width > 0.0).map(|[nanometres, _]| nanometres / width / 1000.0);
    (!pages.is_empty()).then_some(ScnArea { pages, n_pixels: (width * height) as u64, mpp, is_overview })
}

/// The text of an element up to its end.
fn element(text: &str) -> &str {
    text.split_once('>').map_or(text, |(element, _)| element)
}

fn size(element: &str) -> Option<[f64; 2]> {
    let side = |name| attribute(element, name)?.parse::<f64>().ok().filter(|side| side.is_finite() && *side >= 0.0);
    Some([side("sizeX")?, side("sizeY")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_is_distinguished_from_the_overview() {
        let description = r#"<?xml version="1.0"?>
            <scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection name="a" sizeX="26000" sizeY="76000">
            <image name="overview"><pixels sizeX="100" sizeY="300">
              <dimension sizeX="100" sizeY="300" r="0" ifd="0"/><dimension sizeX="25" sizeY="75" r="1" ifd="1" />
            </pixels><view sizeX="26000" sizeY="76000" offsetX="0" offsetY="0"/></image>
            <image name="small"><pixels sizeX="20" sizeY="30"><dimension sizeX="20" sizeY="30" r="0" ifd="2"/></pixels>
              <view sizeX="5000" sizeY="7500" offsetX="1" offsetY="2"/></image>
            <image name="large"><pixels sizeX="40" sizeY="30">
              <dimension r="0" c="0" ifd="4"/><dimension r="0" c="1" ifd="3"/><dimension r="1" c="0" ifd="5"/></pixels>
              <view sizeX="10000" sizeY="7500" offsetX="1" offsetY="2"/></image></collection></scn>"#;
        let found = areas(description);
        assert_eq!((found.len(), n_scans(&found)), (3, 2));
        let scan = largest(&found).unwrap();
        assert_eq!((scan.pages.as_slice(), scan.mpp), (&[4, 5][..], Some(0.25)));
        assert_eq!(largest(&found[..1]).unwrap().pages, [0, 1]);
        assert_eq!(areas(&description.replace("leica", "other")), []);
    }
}
