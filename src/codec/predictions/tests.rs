mod beside;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use proptest::prelude::*;

use super::super::{PredictionRows, Rejection, column};
use super::*;
use crate::event::Reason;
use crate::model::FeatureKind::{Categorical, Numeric};

const GOOD: &str = r#"{"id":"7f3c","model":"loan","version":"2","time":"2018-10-30T18:00:00Z","features":{"value":12638.0,"range":"0 - 20K €","repaid":false},"prediction":{"label":"1","score":0.99},"variant":"stable","tags":{"region":"eu"},"latency_ms":3.1,"error":null}"#;
const KAFKA_TIME: i64 = 1_600_000_000_000;

fn schema() -> FeatureSchema {
    let columns = [("value", Numeric), ("range", Categorical), ("repaid", Categorical)];
    FeatureSchema::new(columns.map(|(name, kind)| (name.to_owned(), kind)))
}

fn model(name: &str, schema: SchemaMode) -> DecoderModel {
    let positive = Some("yes".to_owned());
    DecoderModel { name: name.to_owned(), task: Task::Binary, positive, mapping: Mapping::default(), schema }
}

fn decoder() -> PredictionDecoder {
    let other = FeatureSchema::new([("other".to_owned(), Numeric)]);
    PredictionDecoder::new(vec![model("loan", SchemaMode::Fixed(schema())), model("other", SchemaMode::Fixed(other))])
}

fn growing() -> PredictionDecoder {
    let configured = FeatureSchema::new([("code".to_owned(), Categorical)]);
    PredictionDecoder::new(vec![model("loan", SchemaMode::Growing(configured))])
}

fn records<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Records {
    let mut records = Records::default();
    for (offset, payload) in (0..).zip(payloads) {
        records.push(offset, Some(KAFKA_TIME), None, Some(payload));
    }
    records
}

fn decode(decoder: &mut PredictionDecoder, events: &[&str]) -> Decoded {
    let records = records(events.iter().map(|event| event.as_bytes()));
    decoder.decode(&records, &DecodeLimits::default()).unwrap()
}

/// Decodes one event that must be good and returns its row as text, column by column.
fn row(event: &str) -> Vec<String> {
    let decoded = decode(&mut decoder(), &[event]);
    assert_eq!(decoded.rejected, [], "{event}");
    let batch = &decoded.batches[0].rows;
    (0..batch.num_columns())
        .map(|position| {
            let value = batch.column(position);
            if value.is_null(0) {
                return "null".to_owned();
            }
            arrow::util::display::array_value_to_string(value, 0).unwrap()
        })
        .collect()
}

fn rejection(event: &str) -> Rejection {
    let decoded = decode(&mut decoder(), &[event]);
    assert!(decoded.batches.is_empty(), "{event}");
    decoded.rejected.into_iter().next().unwrap()
}

/// An event of the given fields besides id and model.
fn event(fields: &str) -> String {
    format!(r#"{{"id":"a","model":"loan",{fields}}}"#)
}

fn with_features(features: &str) -> String {
    event(&format!(r#""features":{features},"prediction":"1""#))
}

fn with_prediction(prediction: &str) -> String {
    event(&format!(r#""prediction":{prediction}"#))
}

#[test]
fn every_field_reaches_its_column() {
    let expected = [
        "0",
        "7f3c",
        "1540922400000",
        "2",
        "stable",
        "1",
        "0.99",
        "3.1",
        "false",
        "null",
        "12638.0",
        "0 - 20K €",
        "false",
    ];
    assert_eq!(row(GOOD), expected);
}

#[test]
fn typed_rows_offer_the_same_columns() {
    let decoded = decode(&mut decoder(), &[GOOD]);
    let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!((rows.len(), rows.is_empty(), decoded.rows()), (1, false, 1));
    assert_eq!(rows.id().value(0), "7f3c");
    assert_eq!(rows.time().value(0), 1_540_922_400_000);
    assert_eq!((rows.version().value(0), rows.variant().value(0)), ("2", "stable"));
    assert_eq!((rows.label().value(0), rows.score().value(0)), ("1", 0.99));
    assert!(!rows.error().value(0));
    assert_eq!(rows.numeric(0).unwrap().iter().collect::<Vec<_>>(), [Some(12_638.0)]);
    assert_eq!(rows.categorical(2).unwrap().value(0), "false");
    assert!(rows.numeric(1).is_none() && rows.categorical(0).is_none() && rows.numeric(9).is_none());
}

#[test]
fn a_batch_of_something_else_has_no_rows() {
    let batch = decode(&mut decoder(), &[GOOD]).batches.remove(0).rows;
    let shorter = batch.project(&[0, 2]).unwrap();
    assert!(PredictionRows::new(&shorter).is_err());
}

#[test]
fn fields_that_are_not_there_have_defaults() {
    let row = row(&with_prediction("1"));
    let expected = ["0", "a", "1600000000000", "unversioned", "default", "1", "null", "null", "false", "null"];
    assert_eq!(row[..column::FEATURES], expected);
    assert_eq!(row[column::FEATURES..], ["null", "null", "null"]);
}

#[test]
fn null_is_as_good_as_absent() {
    let nulls = r#""time":null,"version":null,"variant":"","features":null,"latency_ms":null,"prediction":{"label":"1","score":null,"scores":null}"#;
    assert_eq!(row(&event(nulls)), row(&with_prediction("1")));
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let reordered = r#" { "error" : null, "prediction" : { "score" : 0.99, "label" : "1" },
        "features" : { "repaid" : false, "range" : "0 - 20K \u20ac", "value" : 1.2638e4 },
        "latency_ms" : 3.1, "variant" : "stable", "time" : 1540922400000, "version" : 2, "tags":[], "id" : "7f3c",
        "model" : "loan" } "#;
    assert_eq!(row(reordered), row(GOOD));
}

#[test]
fn ids_are_texts_or_integers() {
    for (id, text) in
        [("\"a\\nb\"", "a\nb"), ("17", "17"), ("123456789012345678901234567890", "123456789012345678901234567890")]
    {
        let decoded = decode(&mut decoder(), &[&format!(r#"{{"id":{id},"model":"loan","prediction":1}}"#)]);
        assert_eq!(decoded.batches[0].rows.column(column::ID).as_string::<i32>().value(0), text);
    }
}

#[test]
fn times_are_texts_or_milliseconds() {
    for time in [
        "\"2018-10-30T18:00:00Z\"",
        "\"2018-10-30T20:00:00.000+02:00\"",
        "1540922400000",
        "1540922400000.7",
        "1.5409224e12",
    ] {
        assert_eq!(row(&event(&format!(r#""time":{time},"prediction":1"#)))[column::TIME], "1540922400000", "{time}");
    }
}

#[test]
fn predictions_come_in_several_shapes() {
    let cases = [
        (r#"{"label":"yes","score":0.25}"#, "yes", "0.25"),
        (r#"{"label":1}"#, "1", "null"),
        (r#"{"label":1.0}"#, "1", "null"),
        (r#"{"label":true}"#, "true", "null"),
        (r#"{"score":1}"#, "null", "1.0"),
        (r#""yes""#, "yes", "null"),
        ("0", "0", "null"),
        ("1.0", "1", "null"),
        ("0.75", "null", "0.75"),
        ("false", "false", "null"),
        (r#"{"label":"no","scores":{"no":0.7,"yes":0.3}}"#, "no", "0.3"),
        (r#"{"scores":{"yes":0.3},"score":0.4}"#, "null", "0.4"),
        (r#"{"label":"no","scores":{"no":0.7}}"#, "no", "null"),
    ];
    for (prediction, label, score) in cases {
        let row = row(&with_prediction(prediction));
        assert_eq!((row[column::LABEL].as_str(), row[column::SCORE].as_str()), (label, score), "{prediction}");
    }
}

#[test]
fn a_failed_prediction_needs_no_label() {
    let row = row(&event(r#""error":{"code":500}"#));
    assert_eq!((row[column::LABEL].as_str(), row[column::ERROR].as_str()), ("null", "true"));
    assert_eq!(rejection(&event(r#""error":false"#)).reason, Reason::MissingField);
}

#[test]
fn categories_may_be_written_as_numbers_and_booleans() {
    for (value, text) in
        [("7", "7"), ("7.0", "7"), ("-0.0", "0"), ("0.5", "0.5"), ("true", "true"), ("\"\"", ""), ("null", "null")]
    {
        assert_eq!(row(&with_features(&format!(r#"{{"range":{value}}}"#)))[column::FEATURES + 1], text, "{value}");
    }
}

#[test]
fn numbers_are_read_as_the_nearest_float() {
    for (value, number) in
        [("0", 0.0), ("-3", -3.0), ("9007199254740993", 9_007_199_254_740_992.0), ("1E-400", 0.0), ("1e+2", 100.0)]
    {
        let decoded = decode(&mut decoder(), &[&with_features(&format!(r#"{{"value":{value}}}"#))]);
        let column = decoded.batches[0].rows.column(column::FEATURES).as_primitive::<Float64Type>().clone();
        assert_eq!(column.value(0).to_bits(), f64::to_bits(number), "{value}");
    }
}

#[test]
fn of_a_key_that_occurs_twice_the_last_counts() {
    let twice = r#"{"model":"other","features":{"other":1},"id":"x","id":"a","model":"loan",
        "features":{"value":1,"value":2,"range":"r"},"prediction":{"label":"no","score":0.5},"prediction":{"label":"1"}}"#;
    let row = row(twice);
    assert_eq!((row[column::ID].as_str(), row[column::LABEL].as_str()), ("a", "1"));
    assert_eq!((row[column::SCORE].as_str(), row[10].as_str(), row[11].as_str()), ("null", "2.0", "r"));
}

#[test]
fn a_model_named_again_reads_its_own_features() {
    let renamed = r#"{"model":"other","id":"a","features":{"value":2,"other":1},"model":"loan","prediction":1}"#;
    assert_eq!(row(renamed)[column::FEATURES], "2.0");
}

#[test]
fn unknown_fields_are_counted_in_events_that_are_taken() {
    let unknown = r#"{"id":"a","model":"loan","colour":[1,{"x":null}],"features":{"value":1,"new":[]},"prediction":{"label":"1","why":{}},"tags":{},"attributions":{"value":1}}"#;
    let decoded = decode(&mut decoder(), &[unknown, r#"{"colour":1}"#, GOOD]);
    assert_eq!((decoded.unknown_fields, decoded.rows()), (3, 2));
}

#[test]
fn wrong_fields_are_named() {
    use Reason::{MissingField, NotFinite, UnknownModel, WrongType};
    let cases = [
        (r#"{"model":"loan","prediction":1}"#.to_owned(), MissingField, "id"),
        (r#"{"id":"","model":"loan","prediction":1}"#.to_owned(), MissingField, "id"),
        (r#"{"id":null,"model":"loan","prediction":1}"#.to_owned(), MissingField, "id"),
        (r#"{"id":1.5,"model":"loan","prediction":1}"#.to_owned(), WrongType, "id"),
        (r#"{"id":["a"],"model":"loan","prediction":1}"#.to_owned(), WrongType, "id"),
        (r#"{"id":"a","prediction":1}"#.to_owned(), MissingField, "model"),
        (r#"{"id":"a","model":null,"prediction":1}"#.to_owned(), MissingField, "model"),
        (r#"{"id":"a","model":3,"prediction":1}"#.to_owned(), WrongType, "model"),
        (r#"{"id":"a","model":"lone","prediction":1}"#.to_owned(), UnknownModel, "model"),
        (event(r#""time":"noon","prediction":1"#), WrongType, "time"),
        (event(r#""time":"2019-02-29T00:00:00Z","prediction":1"#), WrongType, "time"),
        (event(r#""time":1540922400000000000,"prediction":1"#), WrongType, "time"),
        (event(r#""time":99999999999999999999999,"prediction":1"#), WrongType, "time"),
        (event(r#""time":1e999,"prediction":1"#), NotFinite, "time"),
        (event(r#""time":true,"prediction":1"#), WrongType, "time"),
        (event(r#""version":{},"prediction":1"#), WrongType, "version"),
        (event(r#""variant":false,"prediction":1"#), WrongType, "variant"),
        (event(r#""latency_ms":"3","prediction":1"#), WrongType, "latency_ms"),
        (event(r#""features":{}"#), MissingField, "prediction"),
        (with_prediction("null"), MissingField, "prediction"),
        (with_prediction("{}"), MissingField, "prediction"),
        (with_prediction("[1]"), WrongType, "prediction"),
        (with_prediction("1e999"), NotFinite, "prediction"),
        (with_prediction(r#"{"label":{}}"#), WrongType, "prediction.label"),
        (with_prediction(r#"{"label":0.5}"#), WrongType, "prediction.label"),
        (with_prediction(r#"{"score":"0.5"}"#), WrongType, "prediction.score"),
        (with_prediction(r#"{"score":-1e999}"#), NotFinite, "prediction.score"),
        (with_prediction(r#"{"scores":{"yes":"0.3"}}"#), WrongType, "prediction.scores.yes"),
        (with_prediction(r#"{"scores":[0.3]}"#), WrongType, "prediction.scores"),
        (with_features("[1]"), WrongType, "features"),
        (with_features(r#"{"value":true}"#), WrongType, "features.value"),
        (with_features(r#"{"value":"1"}"#), WrongType, "features.value"),
        (with_features(r#"{"value":[1]}"#), WrongType, "features.value"),
        (with_features(r#"{"value":1e999}"#), NotFinite, "features.value"),
        (with_features(&format!(r#"{{"value":{}}}"#, "9".repeat(400))), NotFinite, "features.value"),
        (with_features(r#"{"range":{"a":1}}"#), WrongType, "features.range"),
        (with_features(r#"{"range":["a"]}"#), WrongType, "features.range"),
        (with_features(r#"{"range":1e999}"#), NotFinite, "features.range"),
    ];
    for (event, reason, field) in cases {
        let rejection = rejection(&event);
        assert_eq!((rejection.reason, rejection.field.as_deref()), (reason, Some(field)), "{event}");
        assert!(!rejection.detail.is_empty());
    }
}

#[test]
fn an_event_without_any_time_is_rejected() {
    for timestamp in [None, Some(-1), Some(i64::MAX)] {
        let mut records = Records::default();
        records.push(0, timestamp, None, Some(with_prediction("1").as_bytes()));
        let decoded = decoder().decode(&records, &DecodeLimits::default()).unwrap();
        assert_eq!(decoded.rejected[0].reason, Reason::MissingField);
        assert_eq!(decoded.rejected[0].field.as_deref(), Some("time"));
    }
}

#[test]
fn what_is_no_json_object_is_malformed() {
    let deep = format!(r#"{{"deep":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let mut cases =
        vec![deep.as_str(), "x", " ", "[]", "\"a\"", "1", "{", "{}x", "{\"id\"}", "{\"id\":1,}", "{'id':1}"];
    let good_twice = format!("{GOOD}{GOOD}");
    cases.push(&good_twice);
    cases.extend(["\u{feff}{}", "{\"tags\":NaN}", "{\"id\":01}", "{\"id\":\"\\ud800\"}", "{\"id\":\"a\nb\"}"]);
    let (nan, infinity) = (with_features(r#"{"value":NaN}"#), with_features(r#"{"value":-Infinity}"#));
    cases.extend([nan.as_str(), infinity.as_str()]);
    for case in cases {
        let rejection = rejection(case);
        assert_eq!((rejection.reason, rejection.field), (Reason::MalformedJson, None), "{case:.80}");
    }
}

#[test]
fn every_beginning_of_an_event_is_malformed() {
    for end in (1..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        assert_eq!(rejection(&GOOD[..end]).reason, Reason::MalformedJson, "{}", &GOOD[..end]);
    }
}

#[test]
fn the_place_of_malformed_json_is_told() {
    let late_model = "{\"id\":\"a\",\n\"features\":{\"value\":nil},\"model\":\"loan\"}";
    assert_eq!(rejection(late_model).detail, "expected ident at line 2 column 22");
}

#[test]
fn payloads_that_are_not_worth_parsing_are_told_apart() {
    let mut records = Records::default();
    let limits = DecodeLimits { max_message_bytes: 16 };
    records.push(0, None, None, None);
    records.push(1, None, None, Some(b""));
    records.push(2, None, None, Some(b"\xff{}"));
    records.push(3, None, None, Some(GOOD.as_bytes()));
    records.push(4, None, None, Some(b"{\"tags\":\"\xc3\"}"));
    let decoded = decoder().decode(&records, &limits).unwrap();
    let reasons: Vec<Reason> = decoded.rejected.iter().map(|rejection| rejection.reason).collect();
    assert_eq!(reasons, [Reason::Empty, Reason::Empty, Reason::NotUtf8, Reason::TooLarge, Reason::NotUtf8]);
}

#[test]
fn rejected_events_leave_the_rows_around_them_alone() {
    let half_right = with_features(r#"{"value":5,"range":"x","repaid":[]}"#);
    let other = r#"{"id":"o","model":"other","features":{"other":4},"prediction":1}"#;
    let decoded = decode(&mut decoder(), &[GOOD, &half_right, other, "{", &with_features("{}")]);
    let indices: Vec<usize> = decoded.rejected.iter().map(|rejection| rejection.index).collect();
    assert_eq!(indices, [1, 3]);
    let [loan, other] = decoded.batches.as_slice() else { panic!("two models") };
    assert_eq!((loan.model, other.model), (0, 1));
    let loan = PredictionRows::new(&loan.rows).unwrap();
    assert_eq!(loan.index().values(), &[0, 4]);
    assert_eq!(loan.categorical(1).unwrap().iter().collect::<Vec<_>>(), [Some("0 - 20K €"), None]);
    assert_eq!(PredictionRows::new(&other.rows).unwrap().index().values(), &[2]);
}

#[test]
fn a_decoder_starts_each_batch_anew() {
    let mut decoder = decoder();
    assert_eq!(decode(&mut decoder, &[GOOD, GOOD]).rows(), 2);
    assert!(decode(&mut decoder, &[]).batches.is_empty());
    assert_eq!(decode(&mut decoder, &[GOOD]).rows(), 1);
}

#[test]
fn a_growing_schema_learns_from_values() {
    let mut decoder = growing();
    let events = [
        with_features(r#"{"code":7,"later":null}"#),
        with_features(r#"{"never":1,"broken":[]}"#),
        with_features(r#"{"flag":true,"amount":3}"#),
        with_features(r#"{"amount":4.5,"later":"x"}"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let decoded = decode(&mut decoder, &events);
    let grown: Vec<_> =
        decoder.schema(0).unwrap().columns().iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    assert_eq!(grown, [("code", Categorical), ("flag", Categorical), ("amount", Numeric), ("later", Categorical)]);
    assert_eq!(decoded.rejected[0].field.as_deref(), Some("features.broken"));
    let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!(rows.categorical(0).unwrap().iter().collect::<Vec<_>>(), [Some("7"), None, None]);
    assert_eq!(rows.numeric(2).unwrap().iter().collect::<Vec<_>>(), [None, Some(3.0), Some(4.5)]);
    assert_eq!(rows.categorical(3).unwrap().iter().collect::<Vec<_>>(), [None, None, Some("x")]);
}

#[test]
fn a_grown_feature_keeps_its_kind() {
    let mut decoder = growing();
    let decoded = decode(&mut decoder, &[&with_features(r#"{"a":1}"#), &with_features(r#"{"a":"x"}"#)]);
    assert_eq!(decoded.rejected[0].field.as_deref(), Some("features.a"));
    let decoded = decode(&mut decoder, &[&with_features(r#"{"b":"x","b":2}"#)]);
    let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!(rows.numeric(2).unwrap().iter().collect::<Vec<_>>(), [Some(2.0)]);
}

#[test]
fn growth_ends_before_memory_does() {
    let mut decoder = growing();
    let many: Vec<String> = (0..3_000).map(|index| format!(r#""f{index}":{index}"#)).collect();
    let decoded = decode(&mut decoder, &[&with_features(&format!("{{{}}}", many.join(",")))]);
    assert_eq!(decoder.schema(0).unwrap().len(), 2_048);
    assert_eq!(decoded.unknown_fields, 3_000 - 2_047);
}

#[test]
fn a_schema_that_is_set_no_longer_grows() {
    let mut decoder = growing();
    decode(&mut decoder, &[&with_features(r#"{"a":1}"#)]);
    decoder.set_schema("loan", schema());
    decoder.set_schema("nobody", FeatureSchema::default());
    let decoded = decode(&mut decoder, &[GOOD, &with_features(r#"{"a":1}"#)]);
    assert_eq!((decoded.rows(), decoded.unknown_fields), (2, 1));
    assert_eq!(decoded.batches[0].rows.num_columns(), column::FEATURES + 3);
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(usize, u8),
    Remove(usize),
    Insert(usize, u8),
    Swap(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = 0..GOOD.len();
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(br#"{}[]",:\e-.0u1"#.to_vec())];
    prop_oneof![
        (place.clone(), byte.clone()).prop_map(|(place, byte)| Mutation::Replace(place, byte)),
        place.clone().prop_map(Mutation::Remove),
        (place.clone(), byte).prop_map(|(place, byte)| Mutation::Insert(place, byte)),
        (place.clone(), place).prop_map(|(one, other)| Mutation::Swap(one, other)),
    ]
}

fn mutated(mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = GOOD.as_bytes().to_vec();
    for mutation in mutations {
        let length = bytes.len();
        match *mutation {
            Mutation::Replace(place, byte) => bytes[place % length] = byte,
            Mutation::Remove(place) => drop(bytes.remove(place % length)),
            Mutation::Insert(place, byte) => bytes.insert(place % length, byte),
            Mutation::Swap(one, other) => bytes.swap(one % length, other % length),
        }
    }
    bytes
}

/// Every record is a row or a rejection, once, in order; rows of good events are what they are without the bad ones.
fn accounts_for_all(decoder: &mut PredictionDecoder, payloads: &[Vec<u8>]) {
    let records = records(payloads.iter().map(Vec::as_slice));
    let decoded = decoder.decode(&records, &DecodeLimits::default()).unwrap();
    let mut seen: Vec<usize> = decoded.rejected.iter().map(|rejection| rejection.index).collect();
    assert!(seen.is_sorted());
    for batch in &decoded.batches {
        let rows = PredictionRows::new(&batch.rows).unwrap();
        assert!(rows.index().values().is_sorted());
        seen.extend(rows.index().values().iter().map(|index| *index as usize));
        for (row, index) in rows.index().values().iter().enumerate() {
            if payloads[*index as usize] == GOOD.as_bytes() {
                assert_eq!(rows.id().value(row), "7f3c");
                assert_eq!(batch.rows.column(column::TIME).as_primitive::<Int64Type>().value(row), 1_540_922_400_000);
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..payloads.len()).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_accounted_for(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        accounts_for_all(&mut decoder(), &payloads);
        accounts_for_all(&mut growing(), &payloads);
    }

    #[test]
    fn mutated_events_are_accounted_for(mutations in prop::collection::vec(prop::collection::vec(mutation(), 0..4), 1..8)) {
        let payloads: Vec<Vec<u8>> = mutations.iter().map(|mutations| mutated(mutations)).collect();
        accounts_for_all(&mut decoder(), &payloads);
        accounts_for_all(&mut growing(), &payloads);
    }

    #[test]
    fn numbers_are_read_as_rust_reads_them(number in r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,25})?") {
        let expected: f64 = number.parse().unwrap();
        let decoded = decode(&mut decoder(), &[&with_features(&format!(r#"{{"value":{number},"range":{number}}}"#))]);
        if expected.is_finite() {
            let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
            prop_assert_eq!(rows.numeric(0).unwrap().iter().collect::<Vec<_>>(), [Some(expected)]);
        } else {
            prop_assert_eq!(decoded.rejected[0].reason, Reason::NotFinite);
        }
    }
}
