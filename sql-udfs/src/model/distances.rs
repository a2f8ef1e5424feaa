//! Squared distances of rows from points, natively and as ONNX operators.
//!
//! By differences, coordinate by coordinate: the product of matrices that libraries use for speed loses the digits of a
//! distance that is small beside the coordinates. In a graph that takes rows × points × columns numbers at a time.

use super::onnx::builder::GraphBuilder;
use super::onnx::{Attribute, Tensor};

/// The squared distance of each row of a block of columns from a point.
pub(crate) fn squared(block: &[Vec<f64>], point: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (values, coordinate) in block.iter().zip(point) {
        for (sum, value) in out.iter_mut().zip(values) {
            *sum += (value - coordinate) * (value - coordinate);
        }
    }
}

/// Writes the squared distances `[N, points]` of the rows `[N, width]`; the points become the constant `name`.
pub(crate) fn write(graph: &mut GraphBuilder, rows: &str, points: &[f64], width: usize, name: &str) -> String {
    let count = points.len() / width.max(1);
    let middle = graph.constant(Tensor::of_int64s(&[1], &[1]), "limn.middle");
    let last = graph.constant(Tensor::of_int64s(&[1], &[2]), "limn.last");
    let points = graph.constant(Tensor::of_doubles(&[1, count, width], points), name);
    let rows = graph.node("Unsqueeze", &[rows, &middle], vec![], "limn.rows");
    let apart = graph.node("Sub", &[&rows, &points], vec![], "limn.apart");
    let squares = graph.node("Mul", &[&apart, &apart], vec![], "limn.squares");
    graph.node("ReduceSum", &[&squares, &last], vec![Attribute::of_int("keepdims", 0)], "limn.distances")
}
