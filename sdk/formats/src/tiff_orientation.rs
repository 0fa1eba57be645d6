//! The orientation tag of TIFF: a page as it is displayed, from pixels as they are stored.

use medcoss_sdk::Error;
use medcoss_sdk::image::{Image, Region};

/// How a page is turned for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TiffOrientation {
    /// Whether rows and columns change places.
    transposed: bool,
    /// Whether columns are stored from right to left, and rows from bottom to top.
    reversed: [bool; 2],
}

impl TiffOrientation {
    /// The orientation of a value of the tag; one that has no meaning counts as upright.
    pub(crate) fn of(tag: Option<u64>) -> Self {
        let tag = tag.filter(|tag| (1..=8).contains(tag)).unwrap_or(1);
        Self { transposed: tag >= 5, reversed: [matches!(tag, 2 | 3 | 7 | 8), matches!(tag, 3 | 4 | 6 | 7)] }
    }

    /// Whether pixels are displayed as they are stored.
    pub(crate) fn is_upright(self) -> bool {
        self == Self::of(None)
    }

    /// Columns and rows of what is displayed, of those that are stored, and the reverse.
    pub(crate) fn sides(self, [width, height]: [usize; 2]) -> [usize; 2] {
        if self.transposed { [height, width] } else { [width, height] }
    }

    /// The stored region of a displayed one that lies within a page of these stored sides.
    pub(crate) fn stored(self, region: Region, stored_sides: [usize; 2]) -> Region {
        let [mut left, mut top] = self.sides([region.left, region.top]);
        let [width, height] = self.sides([region.width, region.height]);
        if self.reversed[0] {
            left = stored_sides[0] - left - width;
        }
        if self.reversed[1] {
            top = stored_sides[1] - top - height;
        }
        Region { left, top, width, height }
    }

    /// A stored image as it is displayed.
    ///
    /// # Errors
    /// None that a valid image gives.
    pub(crate) fn displayed(self, stored: Image) -> Result<Image, Error> {
        if self.is_upright() {
            return Ok(stored);
        }
        let (stored_width, stored_height, channels) = (stored.width(), stored.height(), stored.channels());
        let [width, height] = self.sides([stored_width, stored_height]);
        let mut pixels = Vec::with_capacity(stored.pixels().len());
        for y in 0..height {
            for x in 0..width {
                let [mut column, mut row] = self.sides([x, y]);
                if self.reversed[0] {
                    column = stored_width - 1 - column;
                }
                if self.reversed[1] {
                    row = stored_height - 1 - row;
                }
                let at = (row * stored_width + column) * channels;
                pixels.extend_from_slice(&stored.pixels()[at..at + channels]);
            }
        }
        Image::new([height, width, channels], pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The image `1 2 3 / 4 5 6` in sixteenths, as it is displayed.
    fn displayed(tag: u64) -> (usize, Vec<u8>) {
        let stored = Image::new([2, 3, 1], (1..=6).map(|value| value as f32 / 16.0).collect()).unwrap();
        let image = TiffOrientation::of(Some(tag)).displayed(stored).unwrap();
        (image.width(), image.pixels().iter().map(|value| (value * 16.0) as u8).collect())
    }

    #[test]
    fn each_value_of_the_tag_turns_the_page_as_the_specification_says() {
        assert_eq!(displayed(1), (3, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(displayed(2), (3, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(displayed(3), (3, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(displayed(4), (3, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(displayed(5), (2, vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(displayed(6), (2, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(displayed(7), (2, vec![6, 3, 5, 2, 4, 1]));
        assert_eq!(displayed(8), (2, vec![3, 6, 2, 5, 1, 4]));
        assert_eq!(displayed(0), displayed(1));
        assert_eq!(displayed(9), displayed(1));
    }

    #[test]
    fn a_region_is_stored_where_the_whole_page_says() {
        let whole = Image::new([5, 7, 1], (0..35).map(|value| value as f32 / 64.0).collect()).unwrap();
        for tag in 1..=8 {
            let orientation = TiffOrientation::of(Some(tag));
            let page = orientation.displayed(whole.clone()).unwrap();
            let region = Region { left: 1, top: 2, width: 3, height: 2 };
            let stored = orientation.stored(region, [7, 5]);
            let cut = |image: &Image, region: Region| {
                let rows = image.pixels().chunks_exact(image.width()).skip(region.top).take(region.height);
                let pixels = rows.flat_map(|row| row[region.left..region.left + region.width].to_vec()).collect();
                Image::new([region.height, region.width, 1], pixels).unwrap()
            };
            assert_eq!(orientation.displayed(cut(&whole, stored)).unwrap(), cut(&page, region), "{tag}");
        }
    }
}
