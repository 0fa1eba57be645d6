//! A token family whose embedder is made from the patch embedding of images in a file.

use serde::{Deserialize, Serialize};

use crate::{Result, SettingError};

/// Token family whose embedder is made from a file's patch embedding of images. The default is a family of images like the file's.
///
/// One channel of three has the weights of the three added up: it sees a grey image as three equal channels would. Each of three channels of one has a
/// third of its weight. A volume repeats the weights over the slices of a patch and divides them by the number of slices, so that a volume of equal
/// slices gives what one of them gave (inflation; Carreira and Zisserman, CVPR 2017).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DerivedFamily {
    /// Number of channels; `None` for that of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Number of slices of a patch of a volume; `None` for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Number of patches along the depth that have positions of their own, at first equal ones. Other numbers are interpolated.
    pub planes: usize,
    /// Values of the samples that are black and white: 0 and 1 in the file's terms.
    pub value_range: [f64; 2],
}

impl Default for DerivedFamily {
    fn default() -> Self {
        Self { channels: None, depth: None, planes: 1, value_range: [0.0, 1.0] }
    }
}

impl DerivedFamily {
    /// Checks the ranges; `family` is the family's name.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn check(&self, family: &str) -> Result<()> {
        let wrong = |name: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(SettingError::out_of_range(format!("model.init_families.{family}.{name}"), found, expected).into())
        };
        for (name, size) in [("channels", self.channels), ("depth", self.depth), ("planes", Some(self.planes))] {
            if size == Some(0) {
                return wrong(name, &0, "at least 1");
            }
        }
        if self.depth.is_none() && self.planes != 1 {
            return wrong("planes", &self.planes, "1 for a family of images, which has no depth");
        }
        let [low, high] = self.value_range;
        if !(low.is_finite() && high.is_finite() && low < high) {
            let found = format!("[{low}, {high}]");
            return wrong("value_range", &found, "two finite numbers, the lower first");
        }
        Ok(())
    }
}
