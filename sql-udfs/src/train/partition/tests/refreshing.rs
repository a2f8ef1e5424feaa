//! A refresh trains the groups that changed and carries the others over.

use super::*;

/// The groups of some rows.
fn keys(rows: &RecordBatch) -> KeySet {
    let mut keys = KeySet::new(rows.schema_ref(), &["site".to_owned()]).unwrap();
    keys.add(rows).unwrap();
    keys
}

fn refreshed(request: &Request, older: &Trained, changed: &KeySet, rows: &RecordBatch) -> Result<Trained> {
    let parts: Vec<(String, Vec<u8>)> =
        older.parts.iter().map(|part| (part.sha256.clone(), part.bytes.clone())).collect();
    let older = Refresh { manifest: &older.artifact, parts: &parts, changed };
    let rows = vec![changed.filter(rows).unwrap()];
    refresh(request, rows[0].schema_ref(), rows.clone(), &older, &Patient)
}

#[test]
fn a_refresh_trains_what_changed_and_carries_the_rest_over() {
    let all = sites_for("number");
    let request = without_fallback(request("linear_regression", "number", &["site"]));
    // The older version knows neither `c`, nor the last rows of `a`; it knows `z`, whose rows are gone.
    let sites = all.column_by_name("site").unwrap().as_string::<i32>();
    let kept = |row: usize, site: Option<&str>| site != Some("c") && (site != Some("a") || row < 200);
    let mask: BooleanArray = sites.iter().enumerate().map(|(row, site)| Some(kept(row, site))).collect();
    let before = filter_record_batch(&all, &mask).unwrap();
    let gone = {
        let mut columns = of_site(&all, Some("b")).columns().to_vec();
        columns.insert(2, Arc::new(StringArray::from(vec!["z"; columns[0].len()])));
        RecordBatch::try_new(before.schema(), columns).unwrap()
    };
    let before = arrow::compute::concat_batches(&before.schema(), [&before, &gone]).unwrap();
    let older = run(&request, &before).unwrap();
    assert_eq!(older.partitions.unwrap().groups, 5);
    let changed: BooleanArray = sites.iter().map(|site| Some(matches!(site, Some("a" | "c")))).collect();
    let mut changed = keys(&filter_record_batch(&all, &changed).unwrap());
    changed.add(&gone).unwrap();
    let fresh = refreshed(&request, &older, &changed, &all).unwrap();
    assert_eq!(fresh.partitions.map(|p| (p.groups, p.fitted)), Some((5, 2)));
    // Without a model over all groups, nothing is left of the older version: it is a training of all rows.
    let anew = run(&request, &all).unwrap();
    assert_eq!(String::from_utf8(fresh.artifact).unwrap(), String::from_utf8(anew.artifact).unwrap());
    assert_eq!(fresh.parts, anew.parts);
}

#[test]
fn a_refresh_keeps_the_model_over_all_and_learns_new_classes() {
    let all = sites_for("name");
    let request = request("decision_tree", "name", &["site"]);
    let names = all.column_by_name("name").unwrap().as_string::<i32>();
    let site = all.column_by_name("site").unwrap().as_string::<i32>();
    // In the older version `a` has no `y`, and no other site has one either.
    let mask: BooleanArray = names.iter().map(|name| Some(name != Some("y"))).collect();
    let older = run(&request, &filter_record_batch(&all, &mask).unwrap()).unwrap();
    assert_eq!(older.signature.classes.len(), 2);
    let mask: BooleanArray =
        names.iter().zip(site).map(|(name, site)| Some(name != Some("y") || site == Some("a"))).collect();
    let rows = filter_record_batch(&all, &mask).unwrap();
    let changed: BooleanArray =
        rows.column_by_name("site").unwrap().as_string::<i32>().iter().map(|site| Some(site == Some("a"))).collect();
    let changed = keys(&filter_record_batch(&rows, &changed).unwrap());
    let fresh = refreshed(&request, &older, &changed, &rows).unwrap();
    assert_eq!(fresh.signature.classes.len(), 3);
    for site in SITES {
        let lone = run(&alone(&request), &of_site(&rows, site)).unwrap();
        assert!(onnx(&fresh, &key(site)) == lone.artifact, "{site:?}");
    }
    let unseen = key(Some("unseen"));
    assert!(onnx(&fresh, &unseen) == onnx(&older, &unseen));
    let other = Request { parameters: vec![("max_depth".into(), Value::Integer(1))], ..request };
    let error = refreshed(&other, &older, &changed, &rows).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Input);
}
