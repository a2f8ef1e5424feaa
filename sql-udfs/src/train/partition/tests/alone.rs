//! Each group as if it were alone: its model, its predictions, its bytes.

use super::*;

#[test]
fn a_groups_model_is_the_one_of_its_rows_alone_byte_for_byte() {
    for (algorithm, target) in CASES {
        for split in splits() {
            let rows = sites_for(target);
            let request = Request { split, ..request(algorithm, target, &["site"]) };
            let trained = run(&request, &rows).unwrap();
            assert_eq!(trained.partitions.unwrap().groups, 5);
            assert_eq!(trained.partitions.unwrap().fallback, 0);
            for site in SITES {
                let lone = run(&alone(&request), &of_site(&rows, site)).unwrap();
                assert!(onnx(&trained, &key(site)) == lone.artifact, "{algorithm} of {target} for {site:?}");
            }
        }
    }
}

#[test]
fn predictions_are_those_of_each_groups_model_for_runs_and_for_scattered_rows() {
    for (algorithm, target) in CASES {
        let rows = sites_for(target);
        let request = request(algorithm, target, &["site"]);
        let trained = run(&request, &rows).unwrap();
        let model = model(&trained);
        // Scattered, as they are; then by group.
        let by_site = UInt32Array::from_iter_values((0..300).map(|i| i % 60 * 5 + i / 60));
        for rows in [rows.clone(), take_record_batch(&rows, &by_site).unwrap()] {
            let all = model.predict(&features(&model, &rows), rows.num_rows()).unwrap();
            let proba =
                (target != "number").then(|| model.predict_proba(&features(&model, &rows), rows.num_rows()).unwrap());
            let found = batch(vec![("all", all), ("site", rows.column_by_name("site").unwrap().clone())]);
            for site in SITES {
                let own = of_site(&rows, site);
                let lone = load(&run(&alone(&request), &own).unwrap().artifact).unwrap();
                let expected = lone.predict(&features(lone.as_ref(), &own), own.num_rows()).unwrap();
                assert_eq!(of_site(&found, site).column(0), &expected, "{algorithm} of {target} for {site:?}");
                if let Some(proba) = &proba {
                    let all = batch(vec![("p", proba.clone()), ("site", found.column(1).clone())]);
                    let expected = lone.predict_proba(&features(lone.as_ref(), &own), own.num_rows()).unwrap();
                    assert_eq!(of_site(&all, site).column(0), &expected);
                }
            }
        }
    }
}

fn shas(request: &Request, batches: Vec<RecordBatch>, threads: usize) -> Vec<String> {
    let schema = batches[0].schema();
    let trained = train(request, &schema, batches, &Threads(threads)).unwrap();
    let mut shas: Vec<String> = trained.parts.iter().map(|part| part.sha256.clone()).collect();
    shas.push(String::from_utf8(trained.artifact).unwrap());
    shas.extend(trained.metrics.iter().map(|metric| format!("{} {:?}", metric.name, metric.value)));
    shas
}

#[test]
fn order_batches_and_threads_do_not_matter() {
    for (algorithm, target) in CASES {
        for split in splits() {
            for columns in [&["site"][..], &["site", "flag"]] {
                if columns.contains(&"flag") && split == Split::Column("flag".into()) {
                    continue;
                }
                let rows = sites_for(target);
                let request = Request { split: split.clone(), ..request(algorithm, target, columns) };
                let expected = shas(&request, vec![rows.clone()], 1);
                let shuffled = UInt32Array::from_iter_values((0..300).map(|i| i * 7 % 300));
                let shuffled = take_record_batch(&rows, &shuffled).unwrap();
                for (size, threads) in [(300, 2), (1, 1), (7, 8)] {
                    let batches = (0..300).step_by(size).map(|start| shuffled.slice(start, size.min(300 - start)));
                    assert_eq!(shas(&request, batches.collect(), threads), expected, "{request:?} {size} {threads}");
                }
            }
        }
    }
}
