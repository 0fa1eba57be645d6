//! How many bits the numbers of an image use: many files of 16 bits hold numbers of a detector of 12, and the largest of them is white.

use medcoss_sdk::Error;

/// Depths that an image may use, in bits: those of detectors, and of whole numbers in files.
const DEPTHS: [u32; 8] = [8, 10, 12, 14, 16, 20, 24, 32];

/// Bits of the numbers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitDepth {
    /// Bits that the file stores a number in.
    pub stored: u32,
    /// Bits that its numbers use: the largest number of so many bits becomes 1.
    pub used: u32,
}

impl BitDepth {
    /// The depth of an image whose largest number is `largest`. `wanted` is the user's; `significant` is what the file states. Without
    /// either it is the smallest of 8, 10, 12, 14, 16, 20, 24 and 32 bits that holds the largest number, and so is that of a dark image
    /// that uses no more.
    ///
    /// # Errors
    /// A number that does not fit into the user's depth, as the end of "... has".
    pub(crate) fn of(largest: u32, stored: u32, wanted: Option<u32>, significant: Option<u32>) -> Result<Self, String> {
        let holds = |bits: u32| u64::from(largest) < 1 << bits;
        let used = match (wanted, significant) {
            (Some(wanted), _) if holds(wanted) => wanted.min(stored),
            (Some(wanted), _) => {
                return Err(format!(
                    "a number of {largest}, and bit_depth is {wanted}\nhint: raise bit_depth, or leave it out: each file is then \
                     scaled by the bits that it uses"
                ));
            }
            // A file whose numbers were scaled from so many bits to all of its own is complete.
            (None, Some(significant)) => {
                if holds(significant) {
                    significant
                } else {
                    stored
                }
            }
            (None, None) => DEPTHS.into_iter().find(|&bits| holds(bits)).unwrap_or(stored).min(stored),
        };
        Ok(Self { stored, used })
    }

    /// The number that becomes 1.
    pub fn white(self) -> f64 {
        ((1_u64 << self.used) - 1) as f64
    }
}

/// Checks a depth that a user states.
///
/// # Errors
/// One outside of 8 to 32 bits.
pub fn check(name: &str, bits: u32) -> Result<(), Error> {
    medcoss_sdk::options::in_range(name, bits, 8..=32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(largest: u32, wanted: Option<u32>, significant: Option<u32>) -> u32 {
        BitDepth::of(largest, 16, wanted, significant).unwrap().used
    }

    #[test]
    fn the_smallest_depth_that_holds_the_largest_number_is_used() {
        for (largest, expected) in
            [(0, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (4030, 12), (4096, 14), (16383, 14), (16384, 16)]
        {
            assert_eq!(used(largest, None, None), expected, "{largest}");
        }
        assert_eq!(BitDepth::of(70_000, 32, None, None).unwrap().used, 20);
        assert_eq!(BitDepth::of(u32::MAX, 32, None, None).unwrap().white(), 4_294_967_295.0);
    }

    #[test]
    fn what_the_file_or_the_user_states_comes_first() {
        // A dark image of 12 bits, and one that is known to be of 16.
        assert_eq!((used(900, None, Some(12)), used(900, Some(12), None), used(900, None, Some(16))), (12, 12, 16));
        // 12 bits that were scaled to 16, as the specification of PNG wants it.
        assert_eq!(used(65_535, None, Some(12)), 16);
        let refused = BitDepth::of(5000, 16, Some(12), None).unwrap_err();
        assert!(refused.starts_with("a number of 5000, and bit_depth is 12\nhint: "), "{refused}");
    }
}
