//! How much memory a slide of 50 000 x 50 000 pixels without a pyramid takes: the peak of a process that runs one test,
//! while the slide is surveyed and while tiles of it are read.

use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use medcoss_pathology::{Options, Pathology, Tissue};
use medcoss_sdk::{
    Continuous, Dataset, Geometry, Modality, OpenRequest, Patches, Sample, View, sample_rng, serde_json,
};
use medcoss_test_support::process::is_alone;

const SIDE: u32 = 50_000;
const TILE: u32 = 256;

/// Peak of the memory of this process in MiB, or `None` on systems that do not report it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
}

/// A tile in the colours of a stained section, or nearly white.
fn jpeg(tissue: bool) -> Vec<u8> {
    let image = RgbImage::from_fn(TILE, TILE, |x, y| {
        let texture = ((x * 7 + y * 13) % 23 + (x * y) % 17) as u8;
        if tissue { Rgb([200 - texture, 110 - texture, 170 - texture]) } else { Rgb([245 - texture / 8; 3]) }
    });
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 80).encode_image(&image).unwrap();
    file
}

/// A BigTIFF of one level whose tiles are two pieces of the file, one of tissue and one of glass: tissue in a disc
/// about the middle.
fn write(path: &Path) {
    let across = SIDE.div_ceil(TILE);
    let pieces = [jpeg(true), jpeg(false)];
    let mut file = Cursor::new(Vec::new());
    file.write_all(b"II\x2b\0\x08\0\0\0").unwrap();
    file.write_all(&0_u64.to_le_bytes()).unwrap();
    let places = pieces.each_ref().map(|piece| {
        let place = file.position();
        file.write_all(piece).unwrap();
        place
    });
    let kinds: Vec<usize> = (0..across * across)
        .map(|tile| {
            let [x, y] = [tile % across, tile / across].map(|at| f64::from(at) / f64::from(across) - 0.5);
            usize::from(x.hypot(y) > 0.4)
        })
        .collect();
    let offsets = file.position();
    kinds.iter().for_each(|&kind| file.write_all(&places[kind].to_le_bytes()).unwrap());
    let lengths = file.position();
    kinds.iter().for_each(|&kind| file.write_all(&(pieces[kind].len() as u32).to_le_bytes()).unwrap());
    // 39 000 pixels to the centimetre are 0.2564 microns a pixel.
    let resolution = u64::from(39_000_u32) | 1 << 32;
    let entries: [(u16, u16, u64, u64); 14] = [
        (256, 4, 1, SIDE.into()),
        (257, 4, 1, SIDE.into()),
        (258, 3, 3, 8 | 8 << 16 | 8 << 32),
        (259, 3, 1, 7),
        (262, 3, 1, 6),
        (277, 3, 1, 3),
        (282, 5, 1, resolution),
        (284, 3, 1, 1),
        (296, 3, 1, 3),
        (322, 4, 1, TILE.into()),
        (323, 4, 1, TILE.into()),
        (324, 16, kinds.len() as u64, offsets),
        (325, 4, kinds.len() as u64, lengths),
        (530, 3, 2, 1 | 1 << 16),
    ];
    let directory = file.position();
    file.write_all(&(entries.len() as u64).to_le_bytes()).unwrap();
    for (tag, kind, n, value) in entries {
        for bytes in [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &n.to_le_bytes(), &value.to_le_bytes()] {
            file.write_all(bytes).unwrap();
        }
    }
    file.write_all(&0_u64.to_le_bytes()).unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    file.write_all(&directory.to_le_bytes()).unwrap();
    std::fs::write(path, file.into_inner()).unwrap();
}

fn open(folder: &Path, options: serde_json::Value) -> Tissue {
    let options: Options = serde_json::from_value(options).unwrap();
    let data = vec![PathBuf::from("slide.tif")];
    Pathology::open(OpenRequest { base: folder.to_owned(), data, options, assets: None }).unwrap()
}

/// Reads some samples in four threads, as a loader does.
fn read_some(tissue: &Tissue, n_samples: usize) {
    let Geometry::Continuous(Continuous { grid, d_token, .. }) = tissue.geometry() else {
        panic!("tokens are continuous")
    };
    let n_tokens: usize = grid.iter().product();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for index in (0..n_samples).filter(|index| index % 4 == thread) {
                    let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
                    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
                    let index = index * 7919 % tissue.len();
                    tissue.load(index, View::Training, &mut sample_rng(index as u64), sample).unwrap();
                }
            });
        }
    });
}

#[test]
#[ignore = "a minute: decodes a third of a slide of 2.5 thousand million pixels, several times"]
fn a_slide_of_50_000_by_50_000_pixels_stays_below_a_gigabyte() {
    if !is_alone("memory::a_slide_of_50_000_by_50_000_pixels_stays_below_a_gigabyte") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.tif");
    write(&path);
    println!("file of {} KiB", std::fs::metadata(&path).unwrap().len() >> 10);
    // Full resolution; 20x, half of it; an overview, for which much more than a tile is read; glass as well.
    for (options, n_samples) in [
        (serde_json::json!({}), 64),
        (serde_json::json!({ "mpp": 0.5 }), 64),
        (serde_json::json!({ "mpp": 5.0 }), 8),
        (serde_json::json!({ "min_tissue_ratio": 0.0, "tile_size": 1024 }), 64),
    ] {
        let started = Instant::now();
        let tissue = open(folder.path(), options.clone());
        let surveyed = started.elapsed().as_secs_f64();
        let started = Instant::now();
        read_some(&tissue, n_samples);
        let read = started.elapsed().as_secs_f64();
        let peak = peak_mib();
        println!(
            "{options}: {} tiles after {surveyed:.1} s, {n_samples} of them read in {read:.1} s, peak {peak:?} MiB",
            tissue.len()
        );
        assert!(peak.is_none_or(|peak| peak < 1024));
        if options == serde_json::json!({}) {
            // A disc of 0.4 of the side: half of the 111 x 111 tiles.
            assert!((5900..6500).contains(&tissue.len()), "{}", tissue.len());
        }
    }
}
