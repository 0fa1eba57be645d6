//! File formats of slides by the extensions of their names: those that are TIFF, those that are not read, and those that the C library
//! OpenSlide reads where it is built in.

use medcoss_formats::slide::{is_known_to_openslide, is_read_by_openslide};

/// Extensions of slides that are TIFF.
const TIFF: [&str; 5] = [".svs", ".scn", ".ndpi", ".btf", ".tf8"];

/// Extensions of slides that are not read without OpenSlide, and the names of their formats.
const UNREAD: [(&str, &str); 15] = [
    (".svslide", "Sakura SVSLIDE"),
    (".mrxs", "MIRAX"),
    (".vsi", "Olympus VSI"),
    (".czi", "Zeiss CZI"),
    (".zvi", "Zeiss ZVI"),
    (".bif", "Ventana BIF"),
    (".vms", "Hamamatsu VMS"),
    (".vmu", "Hamamatsu VMU"),
    (".isyntax", "Philips iSyntax"),
    (".qptiff", "Akoya QPTIFF"),
    (".lif", "Leica LIF"),
    (".nd2", "Nikon ND2"),
    (".tmap", "TissueGnostics TMAP"),
    (".kfb", "KFBIO KFB"),
    (".sdpc", "Sqray SDPC"),
];

/// What to do with a slide that is not read.
pub const REMEDY: &str = "convert it to a tiled TIFF with a pyramid, with vips or bioformats2raw and raw2ometiff";

/// Whether a lower-case file name is that of a slide whatever its size.
pub fn is_slide(lower_case_name: &str) -> bool {
    TIFF.iter().any(|extension| lower_case_name.ends_with(extension)) || is_read_by_openslide(lower_case_name)
}

/// The format of a slide that is not read, by its lower-case file name.
pub fn unread(lower_case_name: &str) -> Option<&'static str> {
    let (_, format) = UNREAD.iter().find(|(extension, _)| lower_case_name.ends_with(extension))?;
    (!is_read_by_openslide(lower_case_name)).then_some(*format)
}

/// What to do with a slide that is not read, by its lower-case file name.
pub fn remedy(lower_case_name: &str) -> String {
    match is_known_to_openslide(lower_case_name) {
        true => format!("build with the feature openslide, or {REMEDY}"),
        false => REMEDY.into(),
    }
}
