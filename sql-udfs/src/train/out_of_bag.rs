//! How well a forest predicts each row by the trees that did not learn from it.

use super::algorithm::Context;
use super::rows::Rows;
use super::sample::Sample;
use super::target::Target;
use crate::Result;
use crate::limits::ROWS_PER_BLOCK;
use crate::model::kernel::argmax;
use crate::model::trees::{Tree, Trees};

/// Measures over the rows that some tree did not learn from, unweighted; nothing where there are none.
pub(super) fn measure(
    trees: &[Tree],
    rows: &Rows,
    leaf_width: usize,
    sample: &(dyn Fn(usize) -> Sample + Sync),
    context: &Context<'_>,
) -> Result<Vec<(&'static str, f64)>> {
    let (count, words) = (rows.len(), rows.len().div_ceil(64));
    context.watch.reserve(trees.len() * words * size_of::<u64>() + count * leaf_width * size_of::<f64>())?;
    let learned: Vec<Vec<u64>> = context.workers.map(trees.len(), |tree| {
        let mut bits = vec![0; words];
        sample(tree).rows.iter().for_each(|row| bits[*row as usize / 64] |= 1 << (row % 64));
        bits
    });
    let blocks = context.workers.try_map(count.div_ceil(ROWS_PER_BLOCK), |block| {
        context.check_cancelled()?;
        let start = block * ROWS_PER_BLOCK;
        let block_rows = start..count.min(start + ROWS_PER_BLOCK);
        let predict = |row: usize| {
            let (mut sums, mut voters) = (vec![0.0; leaf_width], 0.0);
            for (tree, learned) in trees.iter().zip(&learned) {
                if learned[row / 64] >> (row % 64) & 1 == 0 && rows.weight(row) > 0.0 {
                    let leaf = Trees::leaf(tree, &|column| rows.features[column][row]) * leaf_width;
                    sums.iter_mut().zip(&tree.leaves[leaf..]).for_each(|(sum, part)| *sum += part);
                    voters += 1.0;
                }
            }
            sums.iter_mut().for_each(|sum| *sum /= voters);
            (voters > 0.0).then_some(sums)
        };
        Ok(block_rows.map(predict).collect::<Vec<_>>())
    })?;
    let predicted = blocks.into_iter().flatten().enumerate().filter_map(|(row, sums)| Some((row, sums?)));
    match &rows.target {
        Target::Classes(codes) => {
            let (mut right, mut all) = (0_u64, 0_u64);
            for (row, sums) in predicted {
                right += u64::from(argmax(&sums) == codes[row] as usize);
                all += 1;
            }
            Ok(if all > 0 { vec![("oob_accuracy", right as f64 / all as f64)] } else { vec![] })
        }
        Target::Numbers(target) => {
            let (seen, errors): (Vec<f64>, Vec<f64>) =
                predicted.map(|(row, sums)| (target[row], target[row] - sums[0])).unzip();
            let mean = super::dense::mean(&seen);
            let spread: f64 = seen.iter().map(|value| (value - mean) * (value - mean)).sum();
            let squares: f64 = errors.iter().map(|error| error * error).sum();
            Ok(if spread > 0.0 { vec![("oob_r2", 1.0 - squares / spread)] } else { vec![] })
        }
        Target::None(_) => Ok(vec![]),
    }
}
