//! Expectations from RFC 8259 and by hand.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Int64Type};

use super::decode::{Rules, column};
use super::parse::parse;
use super::path::Path;
use super::{Json, encode};

const RULES: Rules = Rules { date: |_| None, timestamp: |_| None, instant: |_| None, strict: false };

fn again(text: &str) -> String {
    parse(text).map_or_else(|fault| format!("{}: {fault}", fault.at), |value| value.to_string())
}

#[test]
fn texts_become_values_and_values_the_shortest_text() {
    for (text, expected) in [
        (" { \"a\" : [ 1 , true , null ] } ", r#"{"a":[1,true,null]}"#),
        // Digits that neither 64 bits nor a double hold.
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("-0.0e+5", "-0.0e+5"),
        (r#""\u00e9\ud83d\ude00\/\n""#, "\"é😀/\\n\""),
        (r#""\u0000""#, r#""\u0000""#),
        ("[]", "[]"),
        ("{}", "{}"),
    ] {
        assert_eq!(again(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    for (text, expected) in [
        ("", "0: expected a JSON value, found the end of the text"),
        ("{\"a\":1,}", "7: expected a key in double quotes, found `}`"),
        ("[1 2]", "3: expected `,` or `]`, found `2`"),
        ("{'a':1}", "1: expected a key in double quotes, found `'`"),
        ("01", "1: expected no digit behind a leading zero, found `1`"),
        ("1.", "2: expected a digit, found the end of the text"),
        ("NaN", "0: expected a JSON value, found `N`"),
        ("\"a\nb\"", "2: expected no control character in a text, found `\\n`"),
        (r#""\ud800x""#, "7: expected both halves of a surrogate pair, found `x`"),
        (r#""\x""#, "2: expected an escape of JSON behind `\\`, found `x`"),
        ("1 1", "2: expected the end of the text, found `1`"),
        ("\u{feff}1", "0: expected a JSON value, found `\\u{feff}`"),
    ] {
        assert_eq!(again(text), expected, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(128)).is_ok());
    let fault = parse(&nested(129)).unwrap_err();
    assert_eq!((fault.at, fault.to_string().contains("at most 128")), (128, true));
    assert!(parse(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn paths_name_one_value() {
    let value = parse(r#"{"a":{"b c":[10,{"d":20}]},"k":1,"k":2,"$x":3,"":4}"#).unwrap();
    let found = |path: &str| Path::or_key(path).map(|path| path.find(&value).map(ToString::to_string));
    for (path, expected) in [
        ("$.a['b c'][1].d", Some("20")),
        ("$.a.\"b c\"[0]", Some("10")),
        ("$['a'][\"b c\"][1]", Some(r#"{"d":20}"#)),
        ("k", Some("2")),
        ("$.\"$x\"", Some("3")),
        ("", Some("4")),
        ("$.a.b", None),
        ("$.a[0]", None),
        ("$.k.z", None),
        ("$.A", None),
    ] {
        assert_eq!(found(path).unwrap().as_deref(), expected, "{path}");
    }
    for (path, expected) in [
        ("$.*", "JSON path `$.*`: the wildcard `*` is not supported"),
        ("$..a", "JSON path `$..a`: `..` is not supported"),
        ("$.a[*]", "JSON path `$.a[*]`: the wildcard `[*]` is not supported"),
        ("$.a[0:2]", "JSON path `$.a[0:2]`: a slice or a list of indices is not supported"),
        ("$.a[?(@.x)]", "JSON path `$.a[?(@.x)]`: a filter is not supported"),
        ("$.a[-1]", "JSON path `$.a[-1]`: expected an index from 0 or a key in quotes in `[…]`, found `-1`"),
        ("$.", "JSON path `$.`: expected a key behind `.`"),
        ("$x", "JSON path `$x`: expected `.` or `[`, found `x`"),
        ("$.a[1", "JSON path `$.a[1`: expected a closing `]`"),
    ] {
        assert_eq!(found(path).unwrap_err().message(), expected, "{path}");
    }
    let list = parse("[1,2,3]").unwrap();
    let at = |index| Path::index(index).find(&list).map(ToString::to_string);
    assert_eq!([at(0), at(-1), at(-3), at(3), at(-4)].map(Option::unwrap_or_default), ["1", "3", "1", "", ""]);
}

fn decoded(data_type: &DataType, texts: &[&str]) -> Result<ArrayRef, String> {
    let values: Vec<Json<'_>> = texts.iter().map(|text| parse(text).unwrap()).collect();
    let values: Vec<Option<&Json<'_>>> = values.iter().map(Some).collect();
    column(data_type, &values, &RULES).map_err(|wrong| format!("{} {} {}", wrong.row, wrong.path, wrong.found))
}

#[test]
fn whole_numbers_are_exact_or_refused() {
    let array = decoded(&DataType::Int64, &["9223372036854775807", "7.0", "1e3", "null", "-0"]).unwrap();
    let values: Vec<Option<i64>> = array.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(values, [Some(i64::MAX), Some(7), Some(1000), None, Some(0)]);
    for text in ["9223372036854775808", "7.5", "\"7\"", "true", "1e400", "[1]"] {
        assert_eq!(decoded(&DataType::Int64, &["1", text]).unwrap_err(), format!("1  {text}"));
    }
    let exact = DataType::Decimal128(38, 2);
    let array = decoded(&exact, &["123456789012345678901234567890.125", "\"0.5\"", "1e-400", "-0.005"]).unwrap();
    assert_eq!(
        encode::texts(&array).unwrap().into_iter().flatten().collect::<Vec<_>>(),
        ["123456789012345678901234567890.13", "0.50", "0.00", "-0.01"]
    );
}

#[test]
fn nested_values_go_there_and_back() {
    let item =
        DataType::Struct(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)].into());
    let list = DataType::List(Arc::new(Field::new_list_field(item, true)));
    let texts = [r#"[{"x":1,"y":"a"},null,{"x":null,"y":"[1,2]"}]"#, "null", "[]"];
    let array = decoded(&list, &texts).unwrap();
    assert_eq!(encode::texts(&array).unwrap(), [Some(texts[0].to_string()), None, Some("[]".to_string())]);
    let wrong = decoded(&list, &["[]", r#"[{"x":1},{"X":"a"}]"#]).unwrap_err();
    assert_eq!(wrong, "1 [].x \"a\"");
}
