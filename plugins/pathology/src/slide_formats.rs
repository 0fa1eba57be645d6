//! File formats of slides by the extensions of their names: those that are TIFF, and those that are not read.

/// Extensions of slides that are TIFF.
const TIFF: [&str; 5] = [".svs", ".scn", ".ndpi", ".btf", ".tf8"];

/// Extensions of slides that are not read, and the names of their formats.
const UNREAD: [(&str, &str); 14] = [
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

/// Whether a lower-case file name is that of a slide in TIFF whatever its size.
pub fn is_slide_in_tiff(lower_case_name: &str) -> bool {
    TIFF.iter().any(|extension| lower_case_name.ends_with(extension))
}

/// The format of a slide that is not read, by its lower-case file name.
pub fn unread(lower_case_name: &str) -> Option<&'static str> {
    UNREAD.iter().find(|(extension, _)| lower_case_name.ends_with(extension)).map(|(_, format)| *format)
}

/// Reason why a file of a format is left out.
pub fn reason(format: &str) -> String {
    format!("a slide in {format}, which is not read ({REMEDY})")
}
