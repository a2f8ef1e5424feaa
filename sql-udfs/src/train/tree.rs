//! The histogram engine for trees: values into at most 255 bins, sums per bin, the best cut between bins, two children.
//!
//! What is summed per bin is [`statistics::Statistics`]' affair, so that forests and boosting grow their trees here too.
//! A feature with no more values than bins is cut exactly, midway between neighbours, as CART does. Missing values have a
//! bin of their own and go where they fit best. Ties go to the first feature and the lowest threshold.

pub(super) mod bins;
pub(super) mod cut;
pub(super) mod grow;
pub(super) mod statistics;
