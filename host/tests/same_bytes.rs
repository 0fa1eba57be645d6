//! A plugin gives the same bytes whether it is linked in or loaded from its shared library.

use std::path::Path;

use medcoss_abi::message::{Open, Synthesise};
use medcoss_fixture as _;
use medcoss_plugin_host::{Batch, Plugin, PluginLocation, Rendered, Shape, Tokens, View};
#[cfg(feature = "builtin")]
use {medcoss_ct as _, medcoss_mri as _, medcoss_pathology as _, medcoss_text as _, medcoss_xray as _};

/// A built-in plugin, and the same from the folder where cargo leaves its library.
fn pair(id: &str) -> [Plugin; 2] {
    let builtins = medcoss_abi::builtins();
    let builtin = builtins.iter().find(|builtin| builtin.id == id).expect("it is linked in");
    let path = medcoss_test_support::sandbox::build_folder().join(format!("libmedcoss_{id}.so"));
    let [a, b] = [Plugin::from_header(builtin.header, id, PluginLocation::BuiltIn), Plugin::load(&path, id)];
    [a.unwrap(), b.unwrap()]
}

fn open(
    plugin: &Plugin,
    folder: &Path,
    request: &medcoss_abi::message::Synthesised,
) -> medcoss_plugin_host::OpenDataset {
    let (data, options) = (request.data.clone(), request.options.clone());
    plugin.open(&Open { base: folder.into(), data, options, assets: None }).unwrap()
}

/// Everything of a batch, floats by their bits.
fn bytes(batch: &Batch) -> Vec<u8> {
    let tokens = batch.tokens.iter().flat_map(|value| value.to_ne_bytes());
    let words = [&batch.ids, &batch.labels, &batch.lengths].into_iter().flatten().flat_map(|word| word.to_ne_bytes());
    tokens.chain(batch.mask.iter().copied()).chain(words).collect()
}

fn both_give_the_same(id: &str) {
    let plugins = pair(id);
    assert_eq!(plugins[0].description(), plugins[1].description());
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let made: Vec<_> = plugins
        .iter()
        .zip(&folders)
        .map(|(plugin, folder)| {
            plugin.synthesise(&Synthesise { folder: folder.path().into(), n_samples: 5, seed: 3 }).unwrap()
        })
        .collect();
    assert_eq!(made[0], made[1]);
    let [a, b] = [0, 1].map(|at| open(&plugins[at], folders[at].path(), &made[at]));
    assert_eq!((a.samples(), a.shape(), a.fingerprint()), (b.samples(), b.shape(), b.fingerprint()));
    let (mut x, mut y) = (Batch::default(), Batch::default());
    for view in [View::Evaluation, View::Training] {
        assert_eq!(a.fill(view, &[4, 0, 2], &[11, 12, 13], &mut x).unwrap(), []);
        assert_eq!(b.fill(view, &[4, 0, 2], &[11, 12, 13], &mut y).unwrap(), []);
        assert!(bytes(&x) == bytes(&y), "{id}: {view:?} differs");
        let n_values = a.shape().n_values();
        let tokens = match a.shape() {
            Shape::Continuous { .. } => Tokens::Continuous(&x.tokens[..n_values]),
            Shape::Discrete { .. } => Tokens::Discrete(&x.ids[..n_values]),
        };
        let rendered = a.render(tokens, &[]).unwrap();
        assert!(matches!(rendered, Some(Rendered::Png(_) | Rendered::Text(_))));
        assert_eq!(rendered, b.render(tokens, &[]).unwrap());
    }
}

#[test]
fn the_fixture_gives_the_same_bytes_on_both_ways() {
    both_give_the_same("fixture");
}

#[cfg(feature = "builtin")]
#[test]
fn the_projects_own_plugins_give_the_same_bytes_on_both_ways() {
    for id in ["ct", "mri", "pathology", "text", "xray"] {
        both_give_the_same(id);
    }
}

#[test]
fn a_sample_depends_on_its_seed_and_not_on_its_company_or_thread() {
    let [plugin, _] = pair("fixture");
    let folder = tempfile::tempdir().unwrap();
    let made = plugin.synthesise(&Synthesise { folder: folder.path().into(), n_samples: 7, seed: 1 }).unwrap();
    let dataset = open(&plugin, folder.path(), &made);
    let mut together = Batch::default();
    let (indices, seeds) = ([6, 1, 3, 1], [5, 6, 7, 8]);
    dataset.fill(View::Training, &indices, &seeds, &mut together).unwrap();
    let n_values = dataset.shape().n_values();
    std::thread::scope(|scope| {
        for (slot, expected) in together.tokens.chunks(n_values).enumerate() {
            let dataset = &dataset;
            scope.spawn(move || {
                let mut alone = Batch::default();
                dataset.fill(View::Training, &[indices[slot]], &[seeds[slot]], &mut alone).unwrap();
                assert_eq!(alone.tokens, expected);
            });
        }
    });
    assert_ne!(together.tokens[n_values..2 * n_values], together.tokens[3 * n_values..]);
}

#[test]
fn a_bad_line_is_an_invalid_sample_and_the_others_are_delivered() {
    let [_, plugin] = pair("fixture");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "up,1,2,3,4\n,1,x,3,4\ndown,5,6,7,8\n").unwrap();
    let options = serde_json::json!({ "length": 4, "patch": 2 });
    let open = |options| {
        let data = vec!["a.csv".into()];
        plugin.open(&Open { base: folder.path().into(), data, options, assets: None })
    };
    let dataset = open(options).unwrap();
    assert_eq!(dataset.ids(), ["a.csv#row=0", "a.csv#row=1", "a.csv#row=2"]);
    let labels: Vec<_> = (0..3).map(|at| dataset.samples().label(at)).collect();
    assert_eq!(labels, [Some("up"), None, Some("down")]);
    let mut batch = Batch::default();
    let failures = dataset.fill(View::Evaluation, &[0, 1, 2], &[0; 3], &mut batch).unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].slot, failures[0].id.as_str()), (1, "a.csv#row=1"));
    assert_eq!(failures[0].to_string(), "plugin fixture 0.3.1 (fill): a.csv#row=1: column 3 is \"x\", not a number");
    assert_eq!((&batch.tokens[..4], &batch.tokens[8..]), (&[1., 2., 3., 4.][..], &[5., 6., 7., 8.][..]));

    let message = open(serde_json::json!({ "lenght": 4 })).unwrap_err().to_string();
    let expected = "plugin fixture 0.3.1 (open): there is no option \"lenght\"\n\
                    hint: did you mean \"length\"? options are gain, length, mask_ratio, patch";
    assert_eq!(message, expected);
    let message = open(serde_json::json!({ "length": "four" })).unwrap_err().to_string();
    assert!(message.starts_with("plugin fixture 0.3.1 (open): options of fixture: invalid type: string"), "{message}");
    let message = open(serde_json::json!({ "length": 5, "patch": 2 })).unwrap_err().to_string();
    assert!(message.contains("length must be a multiple of patch"), "{message}");
}
