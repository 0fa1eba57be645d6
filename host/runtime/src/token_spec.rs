//! The token specification of a plugin's samples.

use medcoss_core::data::TokenSpec;
use medcoss_plugin_host::Shape;

/// Core's token specification of a plugin's samples: number and size of tokens, without the axes of their grid.
pub fn spec_of(shape: &Shape) -> TokenSpec {
    match *shape {
        Shape::Continuous { n_tokens, d_token, n_masked, .. } => TokenSpec::Continuous { n_tokens, d_token, n_masked },
        Shape::Discrete { length, vocabulary, .. } => TokenSpec::Discrete { length, vocabulary },
    }
}
