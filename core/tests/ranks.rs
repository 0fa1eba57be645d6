//! Training on several ranks: the same bytes as on one, and an end for all when one of them fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::synthetic::{Impatient, Synthetic, metrics, run_as, settings};
use medcoss_core::Error;
use medcoss_core::continual::Strategy;
use medcoss_core::data::LoaderOptions;
use medcoss_core::device;
use medcoss_core::model::Precision;
use medcoss_core::ranks::{Communicator, Ranks, ThreadRank};
use medcoss_core::run::{RunLayout, StageFolder, StageState, StoredModel};
use medcoss_core::stage::{Encoding, FeaturePass, Observer, Silent, StageSettings, extract_features};

/// Runs two stages on ranks that are threads, each with its own observer; returns what each rank ended with.
fn run_on<O: Observer + Send>(
    folder: &Path,
    data: [&Synthetic; 2],
    settings: &StageSettings,
    observers: Vec<O>,
) -> Vec<Result<Vec<StageState>, Error>> {
    std::thread::scope(|scope| {
        let ranks = ThreadRank::connect(observers.len()).into_iter().zip(observers);
        let threads: Vec<_> = ranks
            .map(|(rank, mut observer)| {
                scope.spawn(move || run_as(&Ranks::new(rank), folder, data, settings, &mut observer))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// All files of a run by name, without times.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    found.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
    }
    found
}

fn silent(n_ranks: usize) -> Vec<Silent> {
    vec![Silent; n_ranks]
}

#[test]
fn the_number_of_ranks_changes_no_byte() {
    let data = [&Synthetic::waves(60), &Synthetic::counting(50)];
    // 7 batches an epoch, 9 with those of the buffer: the last update of an epoch has fewer than 6.
    for strategy in [Strategy::Medcoss, Strategy::Packnet, Strategy::Ewc, Strategy::Joint] {
        let mut settings = StageSettings { epochs: 3, gradient_accumulation: 6, ..settings(1) };
        settings.strategy.name = strategy;
        let mut expected = BTreeMap::new();
        for n_ranks in [1, 2, 3, 6] {
            let folder = tempfile::tempdir().unwrap();
            let ended = run_on(folder.path(), data, &settings, silent(n_ranks));
            let states: Vec<_> = ended.into_iter().map(Result::unwrap).collect();
            assert!(states.iter().all(|state| *state == states[0]));
            let found = files(folder.path());
            assert!(found.len() >= 8, "{:?}", found.keys());
            if n_ranks == 1 {
                expected = found;
            } else {
                assert!(found == expected, "{strategy:?} on {n_ranks} ranks differs");
            }
        }
    }
}

#[test]
fn gradients_in_16_bits_give_other_bytes_that_do_not_depend_on_the_number_of_ranks_either() {
    let data = [&Synthetic::waves(60), &Synthetic::counting(50)];
    let of = |n_ranks: usize, gradient_precision: Precision| {
        let folder = tempfile::tempdir().unwrap();
        let settings = StageSettings { epochs: 2, gradient_accumulation: 6, gradient_precision, ..settings(1) };
        run_on(folder.path(), data, &settings, silent(n_ranks)).into_iter().for_each(|state| drop(state.unwrap()));
        let losses = metrics(folder.path(), "02-counting")
            .into_iter()
            .map(|epoch| epoch.pretext["counting"])
            .collect::<Vec<_>>();
        (files(folder.path()), losses)
    };
    let (expected, rounded) = of(1, Precision::Bfloat16);
    for n_ranks in [2, 3, 6] {
        assert!(of(n_ranks, Precision::Bfloat16).0 == expected, "{n_ranks} ranks differ");
    }
    let (_, exact) = of(1, Precision::Float32);
    assert!(exact != rounded);
    for (exact, rounded) in exact.iter().zip(&rounded) {
        assert!((exact - rounded).abs() < 0.01 * exact, "{exact} and {rounded}");
    }
}

#[test]
fn all_ranks_get_the_features_of_all_samples() {
    let folder = tempfile::tempdir().unwrap();
    let mut waves = Synthetic::waves(150);
    let states = run_on(folder.path(), [&waves, &Synthetic::counting(50)], &settings(1), silent(1)).remove(0).unwrap();
    waves.unreadable = vec![3, 77];
    let layout = RunLayout::open(folder.path()).unwrap();
    let device = device::by_name("cpu").unwrap();
    let model = StoredModel::of_stage(&StageFolder::new(&layout, 1, "waves"), &states[0]).load(&device).unwrap();
    let (encoding, options) = (Encoding::default(), LoaderOptions { num_workers: 1, max_invalid_fraction: 0.1 });
    let expected = extract_features(&model, 0, &waves, encoding, options, &device, &mut |_| Ok(())).unwrap();
    assert_eq!((expected.rows.len(), expected.invalid.len()), (148, 2));
    // More ranks than batches among them: some encode nothing.
    for n_ranks in [1, 2, 4, 7] {
        std::thread::scope(|scope| {
            for rank in ThreadRank::connect(n_ranks) {
                let (model, waves, device, expected) = (&model, &waves, &device, &expected);
                scope.spawn(move || {
                    let mut done = 0;
                    let pass = FeaturePass { model, family: 0, dataset: waves, encoding, options, device };
                    let features = pass.on_all_ranks(&Ranks::new(rank), &mut |n| {
                        assert!(n >= done && n <= 150, "{n} samples after {done}");
                        done = n;
                        Ok(())
                    });
                    assert!(features.unwrap() == *expected, "{n_ranks} ranks");
                });
            }
        });
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_with_another_number_of_ranks() {
    let data = [&Synthetic::waves(60), &Synthetic::counting(50)];
    let settings = StageSettings { epochs: 4, gradient_accumulation: 4, ..settings(1) };
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run_on(whole.path(), data, &settings, silent(1)).remove(0).unwrap();
    // Whichever rank is asked to stop, all do, with one checkpoint.
    for (n_ranks, asked, patience) in [(2, 1, 6), (4, 0, 9), (1, 0, 12)] {
        let mut observers: Vec<_> =
            (0..n_ranks).map(|_| Impatient { patience: 10_000, ..Impatient::default() }).collect();
        observers[asked].patience = patience;
        for ended in run_on(parts.path(), data, &settings, observers) {
            assert!(matches!(ended, Err(Error::Interrupted { .. })), "{ended:?}");
        }
    }
    for ended in run_on(parts.path(), data, &settings, silent(2)) {
        ended.unwrap();
    }
    assert!(files(parts.path()) == files(whole.path()));
}

#[test]
fn a_rank_that_fails_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut waves = Synthetic::waves(60);
    // No rank can read the sample, one of them meets it.
    waves.unreadable = vec![13];
    let settings = StageSettings { epochs: 3, gradient_accumulation: 2, max_invalid_fraction: 0.0, ..settings(1) };
    let data = [&waves, &Synthetic::counting(50)];
    for ended in run_on(folder.path(), data, &settings, silent(2)) {
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("1 of 60"), "{error}");
    }

    // A dataset that fails as a whole, on a single rank.
    let data = [&Synthetic::waves(60), &Synthetic::counting(50)];
    data[0].patience.store(5, Ordering::Relaxed);
    let ended = run_on(folder.path(), data, &settings, silent(2));
    let errors: Vec<String> = ended.into_iter().map(|ended| ended.unwrap_err().to_string()).collect();
    let is_reported = |error: &String| error.starts_with("rank ");
    assert!(errors.iter().any(|error| !is_reported(error)), "{errors:?}");
}

/// A rank on a processor that rounds differently: the last bit of a sum of gradients is another one.
struct OtherProcessor(ThreadRank);

impl Communicator for OtherProcessor {
    fn rank(&self) -> usize {
        self.0.rank()
    }
    fn n_ranks(&self) -> usize {
        self.0.n_ranks()
    }
    fn all_gather(&self, own: &[u8], sizes: &[usize]) -> Result<Vec<u8>, Error> {
        let mut bytes = self.0.all_gather(own, sizes)?;
        let is_of_gradients = bytes.len() > 20_000;
        if is_of_gradients {
            bytes[0] ^= 1;
        }
        Ok(bytes)
    }
    fn all_to_all(&self, own: &[u8], sent: &[usize], received: &[usize]) -> Result<Vec<u8>, Error> {
        self.0.all_to_all(own, sent, received)
    }
}

#[test]
fn ranks_whose_parameters_drift_apart_are_reported_at_the_next_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StageSettings { gradient_accumulation: 2, ..settings(1) };
    let data = [&Synthetic::waves(60), &Synthetic::counting(50)];
    let mut ranks = ThreadRank::connect(2).into_iter();
    let usual = Ranks::new(ranks.next().unwrap());
    let other = ranks.next().unwrap();
    let ended = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let other = Ranks::new(OtherProcessor(other));
            run_as(&other, folder.path(), data, &settings, &mut Silent).unwrap_err().to_string()
        });
        [run_as(&usual, folder.path(), data, &settings, &mut Silent).unwrap_err().to_string(), other.join().unwrap()]
    });
    for error in ended {
        assert!(error.contains("parameters") && error.contains("rank 1"), "{error}");
    }
}

#[test]
fn a_number_of_ranks_that_does_not_divide_is_refused_with_those_that_do() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StageSettings { gradient_accumulation: 4, ..settings(1) };
    let data = [&Synthetic::waves(60), &Synthetic::counting(50)];
    for ended in run_on(folder.path(), data, &settings, silent(3)) {
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("the number of ranks is 3") && error.contains("1, 2, 4"), "{error}");
    }
}
