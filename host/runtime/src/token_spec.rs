//! What core knows of a plugin's samples.

use std::sync::Arc;

use medcoss_abi::message::Geometry;
use medcoss_core::data::{GridAxis, GridLayout, TargetSpec, TokenSpec};
use medcoss_plugin_host::Shape;

/// Core's token specification of a plugin's samples: number and size of tokens.
pub fn spec_of(shape: &Shape) -> TokenSpec {
    match *shape {
        Shape::Continuous { n_tokens, d_token, n_masked, .. } => TokenSpec::Continuous { n_tokens, d_token, n_masked },
        Shape::Discrete { length, vocabulary, .. } => TokenSpec::Discrete { length, vocabulary },
    }
}

/// Grid of a plugin's samples, and the meaning of its axes; none for ids.
pub fn layout_of(geometry: &Geometry) -> Option<Arc<GridLayout>> {
    let Geometry::Continuous(own) = geometry else { return None };
    let axis = |axis: &medcoss_abi::message::Axis| GridAxis {
        name: axis.name.clone(),
        step: axis.step.zip(axis.unit.clone()),
        places: axis.places.clone(),
    };
    let axes = own.axes.iter().map(axis).collect();
    Some(Arc::new(GridLayout { grid: own.grid.clone(), patch: own.patch.clone(), axes }))
}

/// Targets of a plugin's samples.
pub fn targets_of(geometry: &Geometry) -> TargetSpec {
    match geometry {
        Geometry::Continuous(own) => TargetSpec { d_target: own.targets.d_target, normalise: own.targets.normalise },
        Geometry::Discrete(_) => TargetSpec::default(),
    }
}

/// Digest of a plugin's vocabulary, where it states one.
pub fn vocabulary_digest_of(geometry: &Geometry) -> Option<&str> {
    match geometry {
        Geometry::Discrete(own) => own.vocabulary_digest.as_deref(),
        Geometry::Continuous(_) => None,
    }
}
