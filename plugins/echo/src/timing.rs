//! Which frames of a clip are a sample.

use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng};

use crate::clip::ClipInfo;
use crate::options::{Options, ShortClips};

/// The frames of a sample, in rising order: those in the middle of the clip, or, with a generator, anywhere in it. A
/// clip that is shorter gives those that it has, at least one.
///
/// # Errors
/// A clip that is shorter than a sample where that is refused, or that does not say how long a frame is shown where
/// that counts.
pub(crate) fn frames(info: &ClipInfo, options: &Options, rng: Option<&mut SampleRng>) -> Result<Vec<usize>, Error> {
    let step = match (options.frame_seconds, info.frame_seconds) {
        (None, _) => options.frame_stride as f64,
        (Some(wanted), Some(found)) => wanted / found,
        (Some(_), None) => {
            return Err(Error::unsupported(
                "the clip does not state its frame rate\nhint: leave out option frame_seconds, and set frame_stride",
            ));
        }
    };
    let last = (options.num_frames - 1) as f64 * step;
    let spare = (info.n_frames.saturating_sub(1)) as f64 - last;
    if spare < 0.0 && options.short_clips == ShortClips::Refuse {
        let needed = last.ceil() as usize + 1;
        return Err(Error::unsupported(format!(
            "the clip has {} frames, but a sample needs {needed}\nhint: lower option num_frames, or set short_clips = \"mark\"",
            info.n_frames
        )));
    }
    // A whole number of frames, so that a sample begins at one.
    let spare = spare.max(0.0) as usize;
    let first = rng.map_or(spare / 2, |rng| rng.random_range(0..=spare));
    let frames = (0..options.num_frames).map(|frame| first + (frame as f64 * step).round() as usize);
    Ok(frames.take_while(|&frame| frame < info.n_frames).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::sample_rng;

    fn info(n_frames: usize, frame_seconds: Option<f64>) -> ClipInfo {
        ClipInfo { n_frames, width: 8, height: 8, frame_seconds, region: None }
    }

    #[test]
    fn frames_are_every_nth_or_nearest_in_time() {
        let every_third = Options { num_frames: 4, frame_stride: 3, ..Options::default() };
        assert_eq!(frames(&info(13, None), &every_third, None).unwrap(), [1, 4, 7, 10]);
        // A clip of 50 frames a second, of which 30 are wanted: 0, 1.67, 3.33, 5 frames from the first.
        let in_time = Options { frame_seconds: Some(1.0 / 30.0), ..every_third.clone() };
        assert_eq!(frames(&info(10, Some(0.02)), &in_time, None).unwrap(), [2, 4, 5, 7]);
        // And one of 10 frames a second, whose frames are shown three times.
        assert_eq!(frames(&info(9, Some(0.1)), &in_time, None).unwrap(), [3, 3, 4, 4]);
        assert!(
            frames(&info(9, None), &in_time, None).unwrap_err().message().contains("does not state its frame rate")
        );
    }

    #[test]
    fn any_frame_may_be_first_that_leaves_room_for_the_last() {
        let options = Options { num_frames: 4, frame_seconds: Some(0.05), ..Options::default() };
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let frames = frames(&info(10, Some(0.03)), &options, Some(&mut sample_rng(seed))).unwrap();
            assert_eq!(frames.len(), 4);
            firsts.insert(frames[0]);
        }
        assert_eq!(firsts, (0..=4).collect());
    }

    #[test]
    fn a_short_clip_gives_what_it_has_or_is_refused() {
        let options = Options { num_frames: 8, frame_stride: 2, ..Options::default() };
        assert_eq!(frames(&info(5, None), &options, Some(&mut sample_rng(1))).unwrap(), [0, 2, 4]);
        assert_eq!(frames(&info(1, None), &options, None).unwrap(), [0]);
        let options = Options { short_clips: ShortClips::Refuse, ..options };
        let error = frames(&info(14, None), &options, None).unwrap_err();
        assert!(error.message().starts_with("the clip has 14 frames, but a sample needs 15"), "{error}");
        assert_eq!(frames(&info(15, None), &options, None).unwrap().len(), 8);
    }
}
