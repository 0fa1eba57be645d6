use medcoss_pathology::{Options, Pathology};
use medcoss_sdk::*;
use std::path::PathBuf;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    // base data options-json out n
    let options: Options = serde_json::from_str(&a[3]).unwrap();
    let t = std::time::Instant::now();
    let d = Pathology::open(OpenRequest {
        base: PathBuf::from(&a[1]),
        data: a[2].split(',').map(PathBuf::from).collect(),
        options,
        assets: None,
    })
    .unwrap();
    println!("open {:?} {} samples", t.elapsed(), d.len());
    let Geometry::Continuous { grid, d_token, n_masked } = d.geometry() else { panic!() };
    let n = grid[0] * grid[1];
    println!("{grid:?} {n_masked}");
    let size = grid[0] * 16;
    let cols = 8;
    let n_show: usize = a[5].parse().unwrap();
    let step = (d.len() / (n_show)).max(1);
    let rows = 2 * n_show.div_ceil(cols);
    let mut sheet = vec![0.5f32; rows * size * cols * size * 3];
    for k in 0..n_show {
        let index = (k * step).min(d.len() - 1);
        for (v, view) in [View::Plain, View::Train].into_iter().enumerate() {
            let mut tok = vec![0.0; n * d_token];
            let mut m = vec![0; n];
            if let Err(e) =
                d.load(index, view, &mut sample_rng(k as u64), Sample::Continuous { tokens: &mut tok, mask: &mut m })
            {
                println!("{} {e}", d.id(index));
                continue;
            }
            let mut px = vec![0.0; size * size * 3];
            patch::unpatchify_2d(&tok, [size, size, 3], 16, &mut px);
            let (r0, c0) = ((2 * (k / cols) + v) * size, (k % cols) * size);
            for y in 0..size {
                let o = ((r0 + y) * cols * size + c0) * 3;
                sheet[o..o + size * 3].copy_from_slice(&px[y * size * 3..(y + 1) * size * 3]);
            }
        }
        println!("{} {:?}", d.id(index), d.label(index));
    }
    std::fs::write(&a[4], encode_png(&sheet, cols * size, rows * size, 3).unwrap()).unwrap();
    if a.len() > 6 {
        let total: usize = a[6].parse().unwrap();
        for view in [View::Plain, View::Train] {
            let t = std::time::Instant::now();
            let mut tok = vec![0.0; n * d_token];
            let mut m = vec![0; n];
            for i in 0..total {
                d.load(
                    i * 7919 % d.len(),
                    view,
                    &mut sample_rng(i as u64),
                    Sample::Continuous { tokens: &mut tok, mask: &mut m },
                )
                .unwrap();
            }
            println!("{view:?} {:.1} samples/s", total as f64 / t.elapsed().as_secs_f64());
        }
    }
}
