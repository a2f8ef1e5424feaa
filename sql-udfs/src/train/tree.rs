//! The tree engine: features in bins, exact sums in whole numbers, the best cut of a node, and two ways to grow.
//!
//! Sums over rows are sums of whole numbers, which have one result in any order, so that work may be cut up freely among
//! threads. It knows nothing of parameters, losses or of how trees are evaluated after they are grown.
//!
//! - `bins`: features as codes of one or two bytes, `edges`: where their bins end; `cells`: what is summed up per bin
//! - `cut`, `classes`: the best cut of a feature, of two sums or of many classes
//! - `direct`: one tree depth first or best first, one feature at a time: decision trees and forests
//! - `boosted`: one tree from histograms of all features, a child's being its parent's less its sibling's: boosting
//! - `sums`, `leaves`: what is summed up for `direct`, and what its leaves hold; `histogram`: the same for `boosted`
//! - `part`: rows into two sides; `draft`: a tree while it grows

pub(crate) mod bins;
pub(crate) mod boosted;
pub(crate) mod cells;
pub(crate) mod classes;
pub(crate) mod cut;
pub(crate) mod direct;
pub(crate) mod draft;
mod edges;
pub(crate) mod histogram;
pub(crate) mod leaves;
mod part;
pub(crate) mod sums;
