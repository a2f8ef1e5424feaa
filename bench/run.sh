#!/usr/bin/env bash
# Measures Limn beside pyarrow, scikit-learn, XGBoost, LightGBM, ONNX Runtime, pysail, DataFusion, DuckDB, deltalake and a
# bare arrow-flight server: bench/run.sh [ROWS], 10 million if not given; TPC-H is at scale factor 1.
# Builds in release, which takes about an hour the first time on 2 cores; prints a Markdown table.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked --workspace --bins
cargo run --quiet --release --locked --package limn-tests --bin bench -- engine "$@"
echo
cargo run --quiet --release --locked --package limn-tests --bin bench -- flight "$@"
echo
cargo run --quiet --release --locked --package limn-tests --bin bench -- lake 1
echo
exec cargo run --quiet --release --locked --package limn-tests --bin bench -- models "$@"
