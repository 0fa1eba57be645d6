use medcoss_mri::{Mri, Options};
use medcoss_sdk::*;
use std::path::{Path, PathBuf};
use std::time::Instant;
fn main() {
    let out = PathBuf::from("/tmp/vol_png");
    std::fs::create_dir_all(&out).unwrap();
    let go = |tag: &str, base: &Path, data: Vec<PathBuf>, options: Options, picks: &[usize]| {
        let t = Instant::now();
        let ds = Mri::open(OpenRequest { base: base.to_owned(), data, options, assets: None }).unwrap();
        println!("{tag}: {} samples, opened in {:?}", ds.len(), t.elapsed());
        let Geometry::Continuous { grid, d_token, .. } = ds.geometry() else { panic!() };
        let n: usize = grid.iter().product();
        let mut tokens = vec![0.0; n * d_token];
        let mut mask = vec![0; n];
        for (view, name) in [(View::Plain, "plain"), (View::Train, "train")] {
            for &i in picks {
                if i >= ds.len() {
                    continue;
                }
                ds.load(
                    i,
                    view,
                    &mut sample_rng(i as u64 + 2),
                    Sample::Continuous { tokens: &mut tokens, mask: &mut mask },
                )
                .unwrap();
                let png = ds.render(Tokens::Continuous(&tokens)).unwrap();
                println!("{i} {}", ds.id(i));
                std::fs::write(out.join(format!("mri_{tag}_{name}_{i:03}.png")), png).unwrap();
            }
        }
        for pass in 0..2 {
            let t = Instant::now();
            for i in 0..ds.len() {
                ds.load(
                    i,
                    View::Train,
                    &mut sample_rng(i as u64),
                    Sample::Continuous { tokens: &mut tokens, mask: &mut mask },
                )
                .unwrap();
            }
            println!("{tag} pass {pass}: {:.1} samples/s", ds.len() as f64 / t.elapsed().as_secs_f64());
        }
    };
    let real = PathBuf::from("/work/shared/data");
    let data: Vec<PathBuf> = ["mri/hippocampus/images"].iter().map(PathBuf::from).collect();
    let picks = [0, 1, 2, 3, 60, 151, 300, 401];
    go("real", &real, data.clone(), Options::default(), &picks);
    go("real_nocache", &real, data.clone(), Options { cache_mb: 0, ..Options::default() }, &[]);
    go(
        "spacing",
        &real,
        data.clone(),
        Options { spacing_mm: Some([2.0, 2.0, 2.0]), size: [16, 192, 192], ..Options::default() },
        &[1, 9, 15],
    );
    let folder = PathBuf::from("/tmp/vol_synth_mri");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let t = Instant::now();
    let made = Mri::synthesise(&folder, 24, 7).unwrap();
    println!("synthesised in {:?}", t.elapsed());
    go(
        "synth",
        &folder,
        made.data,
        serde_json::from_value(made.options).unwrap(),
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
