//! Every limit of this crate, with its unit and why it is what it is.
//!
//! They are constants, not settings: a caller that wants less says so through [`crate::train::Watch`].

/// Bytes of an artifact that [`crate::model::evaluator::load`] reads; prost's own message limit is 2 GiB.
pub const ARTIFACT_BYTES_MAX: usize = 512 << 20;

/// Rows of one training, after the query: row numbers are 32-bit so that sorting 10 million of them stays cheap.
pub const TRAINING_ROWS_MAX: usize = u32::MAX as usize - 1;

/// Features of one model: the Gram matrix of a linear model is quadratic in them (32 MiB at 2 000).
pub const FEATURES_MAX: usize = 2_000;

/// Classes of a classifier: a target with more is an identifier or a number, not a class.
pub const CLASSES_MAX: usize = 1_000;

/// Texts of one feature that a model tells apart, the most frequent ones; a tree has a bin for each.
pub const CATEGORIES_MAX: usize = 254;

/// Clusters of one model: a prediction has a number for each.
pub const CLUSTERS_MAX: usize = 2_000;

/// Numbers of the core points of a density clustering, rows times columns: all are in the artifact, 128 MiB of it.
pub const DBSCAN_CORE_VALUES_MAX: usize = 16 << 20;

/// Training rows of a support vector machine: its time grows with their square, and they all can be in the model.
pub const SVM_ROWS_MAX: usize = 20_000;

/// Bytes that a support vector machine keeps of how alike its rows are; what does not fit is computed anew.
pub const SVM_CACHE_BYTES_MAX: usize = 256 << 20;

/// Weights of support vectors, one for each pair of classes: 128 MiB of an artifact.
pub const SVM_COEFFICIENTS_MAX: usize = 16 << 20;

/// Rows between two questions whether to stop.
pub const ROWS_PER_BLOCK: usize = 4_096;

/// Rows of one piece of work where rows are read and measured in parallel: 16 blocks.
pub const ROWS_PER_PIECE: usize = 16 * ROWS_PER_BLOCK;

/// Rows of a block of standardised features: 20 of them fit in the second-level cache, tiles of them in the first.
pub const STANDARD_ROWS_PER_BLOCK: usize = 512;

/// Pieces that standardised rows are cut into at most: enough to keep many threads busy to the end.
pub const PIECES_MAX: usize = 64;

/// Bytes of the sums that all pieces of standardised rows have together, at most.
pub const PARTIAL_BYTES_MAX: usize = 256 << 20;

/// Unknowns (classes × (features + 1)) up to which logistic regression solves Newton steps; above, L-BFGS.
pub const NEWTON_UNKNOWNS_MAX: usize = 512;

/// Depth of a decision tree where `max_depth` is NULL; also the deepest that `max_depth` may ask for.
pub const TREE_DEPTH_MAX: usize = 64;

/// Nodes and leaves of one decision tree; the artifact takes about 60 bytes for each.
pub const TREE_NODES_MAX: usize = 1 << 20;

/// Trees of a forest, and iterations of boosting: metrics have a row for each.
pub const TREES_MAX: usize = 100_000;

/// Rows in which evaluators walk their inputs: a block of each column stays in the first-level cache.
pub const SCORE_ROWS_PER_BLOCK: usize = 1_024;

/// Columns of `PARTITION BY`.
pub const PARTITION_COLUMNS_MAX: usize = 16;

/// Groups of one partitioned model.
pub const GROUPS_MAX: usize = 1_000_000;

/// Rows that a group needs for a model of its own, where `MIN ROWS` does not say.
pub const GROUP_ROWS_MIN: u64 = 10;

/// Rows that the model over all groups is fitted on, of those that the groups' models learn from.
pub const FALLBACK_ROWS_MAX: usize = 200_000;

/// Groups that are fitted before the first of them is written: their constants are held until then.
pub const GROUPS_PER_ROUND: usize = 256;

/// Groups in a block of a partitioned model's file, which is read as a whole.
pub const GROUPS_PER_BLOCK_MAX: usize = 4_096;

/// Bytes of constants in a block of a partitioned model's file.
pub const GROUP_BLOCK_BYTES: usize = 4 << 20;

/// Bytes of groups' models that a partitioned model keeps ready; the others are read again when a row needs them.
pub const GROUP_CACHE_BYTES: usize = 512 << 20;

/// Rows that show what is in the models of a partitioned model's groups: weights, or nodes of trees.
pub const CONTENTS_ROWS_MAX: usize = 4_000_000;

/// Arrays and objects within each other in a JSON text.
pub const JSON_DEPTH_MAX: usize = 128;

/// Characters of a JSON text that an error shows.
pub const JSON_SHOWN_CHARS_MAX: usize = 64;
