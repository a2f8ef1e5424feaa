//! A kernel of each form of the algorithms for distances and densities, over two columns.

use super::{ClassLabel, Kernel, Missing, Signature, Task, signature};
use crate::model::dbscan::Dbscan;
use crate::model::filled::Filled;
use crate::model::gaussian_mixture::{Factors, GaussianMixture};
use crate::model::gaussian_nb::GaussianNb;
use crate::model::kmeans::KMeans;
use crate::model::pca::Pca;
use crate::model::svm::{Function, Svm};

fn without_target(task: Task) -> Signature {
    Signature { task, target: None, missing: Missing::Error, ..signature(vec![]) }
}

fn svm(function: Function, sums: usize, classes: usize) -> Box<dyn Kernel> {
    let coefficients = (0..3 * sums).map(|i| i as f64 - 2.5).collect();
    let offsets = (0..sums).map(|i| 0.25 - i as f64).collect();
    let vectors = vec![0.5, 1.0, -1.0, 0.0, 3.0, 2.0];
    Box::new(Svm { filled: filled(), vectors, coefficients, offsets, function, classes })
}

fn filled() -> Filled {
    Filled { means: vec![1.5, -2.0], scales: vec![1.0, 1.0] }
}

/// One of each.
pub(super) fn kernels() -> Vec<(Signature, Box<dyn Kernel>)> {
    let text = || ["a", "b", "ü"].map(|text| ClassLabel::Text(text.to_owned())).to_vec();
    let flags = || vec![ClassLabel::Boolean(false), ClassLabel::Boolean(true)];
    let numbers = || vec![1.0, 0.0, -1.0, 2.0, 4.0, 4.0];
    let offsets = || vec![-1.0, 0.5, f64::NEG_INFINITY];
    let bayes = GaussianNb { filled: filled(), centres: numbers(), inverses: vec![0.5; 6], offsets: offsets() };
    let mixture = |factors: Factors| {
        let offsets = vec![-1.0, 0.5, 0.0];
        Box::new(GaussianMixture { filled: filled(), means: numbers(), factors, offsets })
    };
    let triangles = |count: usize| Factors::Triangles([1.0, 0.5, 0.0, 2.0].repeat(count));
    let directions = vec![vec![0.6, 0.8]];
    let pca = Pca { filled: filled(), centre: vec![1.5, -2.0], directions, factors: vec![0.5] };
    let dbscan = Dbscan::new(filled(), numbers(), vec![0, 1, 0], 4.0).unwrap();
    let polynomial = Function::Polynomial { gamma: 0.5, coef0: 1.0, degree: 3 };
    vec![
        (signature(text()), Box::new(bayes)),
        (without_target(Task::Clustering), Box::new(KMeans { filled: filled(), centres: numbers() })),
        (without_target(Task::Clustering), mixture(Factors::Columns(numbers()))),
        (without_target(Task::Clustering), mixture(triangles(1))),
        (without_target(Task::Clustering), mixture(triangles(3))),
        (without_target(Task::Clustering), Box::new(dbscan)),
        (without_target(Task::Reduction), Box::new(pca)),
        (signature(vec![]), svm(Function::Rbf { gamma: 0.25 }, 1, 0)),
        (signature(flags()), svm(Function::Linear, 1, 2)),
        (signature(flags()), svm(Function::Sigmoid { gamma: 0.5, coef0: -1.0 }, 1, 2)),
        (signature(text()), svm(polynomial, 3, 3)),
    ]
}
