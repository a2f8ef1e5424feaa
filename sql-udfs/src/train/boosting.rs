//! What gradient boosting computes with: losses and their gradients, leaf values, and the iterations.
//!
//! - `loss`: a loss by score and target, and what a model begins with; `order`: medians and quantiles
//! - `state`: scores, gradients and leaves of all rows, and the passes over them
//! - `run`: the iterations, early stopping, and the trees that they give

pub(super) mod loss;
mod order;
pub(super) mod run;
mod state;
