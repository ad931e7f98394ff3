use proptest::prelude::*;

use super::super::{DecodeLimits, Decoded, DecoderModel, FeatureSchema, PredictionDecoder, PredictionRows, SchemaMode};
use super::*;
use crate::bus::Records;
use crate::event::Reason;
use crate::model::FeatureKind::{Categorical, Numeric};
use crate::model::Task;

fn model(name: &str, mapping: Mapping, schema: SchemaMode) -> DecoderModel {
    DecoderModel { name: name.into(), task: Task::Binary, positive: Some("1".into()), mapping, schema }
}

fn schema() -> FeatureSchema {
    FeatureSchema::new([("age".to_owned(), Numeric), ("job".to_owned(), Categorical)])
}

fn nested() -> Mapping {
    Mapping {
        id: Some("/request/id".into()),
        time: Some("/at".into()),
        version: Some("/model/revision".into()),
        features: Some("/request/inputs/0".into()),
        label: Some("/response/class".into()),
        score: Some("/response/probability".into()),
        ..Mapping::default()
    }
}

fn decoder(mapping: Mapping) -> PredictionDecoder {
    PredictionDecoder::new(vec![
        model("plain", Mapping::default(), SchemaMode::Fixed(schema())),
        model("mapped", mapping, SchemaMode::Fixed(schema())),
    ])
}

fn decode(decoder: &mut PredictionDecoder, events: &[&[u8]]) -> Decoded {
    let mut records = Records::default();
    for (offset, event) in (0..).zip(events) {
        records.push(offset, Some(5), None, Some(event));
    }
    decoder.decode(&records, &DecodeLimits::default()).unwrap()
}

const NESTED: &str = r#"{"request":{"id":9,"inputs":[{"age":30,"job":"baker"}]},"at":"1970-01-01T00:00:01Z",
    "model":{"revision":"3"},"response":{"class":1,"probability":0.8}}"#;

#[test]
fn pointers_follow_rfc_6901() {
    let document = JsonValue::parse(br#"{"a/b":{"m~n":[10,{"":7}]},"x":1,"x":2}"#, false).unwrap();
    let find = |text: &str| text.parse::<Pointer>().unwrap().find(&document).cloned();
    assert_eq!(find(""), Some(document.clone()));
    assert_eq!(find("/a~1b/m~0n/0"), Some(JsonValue::Int(10)));
    assert_eq!(find("/a~1b/m~0n/1/"), Some(JsonValue::Int(7)));
    assert_eq!(find("/x"), Some(JsonValue::Int(2)));
    for nowhere in ["/y", "/x/0", "/a~1b/m~0n/2", "/a~1b/m~0n/00", "/a~1b/m~0n/-", "/a~1b/m~0n/+1", "/"] {
        assert_eq!(find(nowhere), None, "{nowhere}");
    }
    assert_eq!("a".parse::<Pointer>(), Err(PointerError::NoSlash("a".into())));
    assert_eq!("/a~2".parse::<Pointer>(), Err(PointerError::Escape("/a~2".into())));
    assert!("/a~".parse::<Pointer>().is_err());
}

#[test]
fn events_with_other_field_names_are_read_through_the_mapping() {
    let decoded = decode(&mut decoder(nested()), &[NESTED.as_bytes()]);
    assert_eq!((decoded.rejected.as_slice(), decoded.batches[0].model), ([].as_slice(), 1));
    let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!((rows.id().value(0), rows.time().value(0), rows.version().value(0)), ("9", 1_000, "3"));
    assert_eq!((rows.label().value(0), rows.score().value(0)), ("1", 0.8));
    assert_eq!((rows.numeric(0).unwrap().value(0), rows.categorical(1).unwrap().value(0)), (30.0, "baker"));
}

#[test]
fn events_that_name_a_configured_model_are_its_own() {
    let plain = br#"{"id":1,"model":"plain","prediction":1}"#;
    let named = br#"{"request":{"id":2},"model":"mapped","response":{"class":"1"}}"#;
    let stray = br#"{"request":{"id":3},"model":"stray","response":{"class":"1"}}"#;
    let decoded = decode(&mut decoder(nested()), &[plain, named, stray]);
    let models: Vec<(usize, usize)> =
        decoded.batches.iter().map(|batch| (batch.model, batch.rows.num_rows())).collect();
    assert_eq!(models, [(0, 1), (1, 2)]);
}

#[test]
fn with_two_mapped_models_events_must_name_theirs() {
    let mapped = |name: &str| model(name, nested(), SchemaMode::Fixed(schema()));
    let mut decoder = PredictionDecoder::new(vec![mapped("a"), mapped("b")]);
    let named = br#"{"request":{"id":2},"model":"b","response":{"class":"1"}}"#;
    let decoded = decode(&mut decoder, &[named, br#"{"request":{"id":2},"response":{"class":"1"}}"#]);
    assert_eq!(decoded.batches[0].model, 1);
    assert_eq!(
        (decoded.rejected[0].reason, decoded.rejected[0].field.as_deref()),
        (Reason::MissingField, Some("model"))
    );
}

#[test]
fn mapped_events_are_judged_by_the_same_rules() {
    let cases: [(&[u8], Reason, Option<&str>); 8] = [
        (br#"{"request":{"inputs":[]},"response":{"class":1}}"#, Reason::MissingField, Some("id")),
        (br#"{"request":{"id":1},"response":{}}"#, Reason::MissingField, Some("prediction")),
        (br#"{"request":{"id":1},"response":{"class":[]}}"#, Reason::WrongType, Some("prediction.label")),
        (br#"{"request":{"id":1},"response":{"probability":1e999}}"#, Reason::NotFinite, Some("prediction.score")),
        (
            br#"{"request":{"id":1,"inputs":[{"age":"x"}]},"response":{"class":1}}"#,
            Reason::WrongType,
            Some("features.age"),
        ),
        (br#"{"request":{"id":1,"inputs":["x"]},"response":{"class":1}}"#, Reason::WrongType, Some("features")),
        (br#"{"request":{"id":1},"at":NaN}"#, Reason::MalformedJson, None),
        (b"[1]", Reason::MalformedJson, None),
    ];
    for (event, reason, field) in cases {
        let rejection = decode(&mut decoder(nested()), &[event]).rejected.remove(0);
        assert_eq!((rejection.reason, rejection.field.as_deref()), (reason, field), "{rejection:?}");
    }
}

#[test]
fn the_usual_prediction_is_read_where_the_mapping_is_silent() {
    let mapping = Mapping { id: Some("/key".into()), ..Mapping::default() };
    let events: [&[u8]; 3] = [
        br#"{"key":1,"prediction":{"label":"0","scores":{"0":0.9,"1":0.1},"more":1},"features":{"age":1,"x":2}}"#,
        br#"{"key":2,"prediction":0.25,"features":null}"#,
        br#"{"key":3,"error":"down"}"#,
    ];
    let decoded = decode(&mut decoder(mapping), &events);
    let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!(rows.label().iter().collect::<Vec<_>>(), [Some("0"), None, None]);
    assert_eq!(rows.score().iter().collect::<Vec<_>>(), [Some(0.1), Some(0.25), None]);
    assert_eq!((rows.error().value(2), rows.time().value(2), decoded.unknown_fields), (true, 5, 2));
}

#[test]
fn features_of_flat_events_are_what_no_other_field_is() {
    let mapping = Mapping {
        id: Some("/key".into()),
        features: Some(String::new()),
        label: Some("/answer/label".into()),
        ..Mapping::default()
    };
    let growing = SchemaMode::Growing(FeatureSchema::default());
    let mut decoder = PredictionDecoder::new(vec![model("flat", mapping, growing)]);
    let event = br#"{"key":"k","time":7,"age":3,"answer":{"label":"1"},"job":"baker","model":"any","tags":{}}"#;
    let decoded = decode(&mut decoder, &[event]);
    assert_eq!(decoded.rejected, []);
    assert_eq!(decoder.schema(0).unwrap().columns(), schema().columns());
}

#[test]
fn a_pointer_that_cannot_be_read_finds_nothing() {
    let mapping = Mapping { id: Some("key".into()), ..Mapping::default() };
    let decoded = decode(&mut decoder(mapping), &[br#"{"key":1,"id":2,"prediction":1}"#]);
    assert_eq!(decoded.rejected[0].field.as_deref(), Some("id"));
}

proptest! {
    #[test]
    fn the_mapping_of_the_usual_names_reads_what_the_pull_parser_reads(
        id in prop_oneof!["\"[a-zé]{0,3}\"", "-?[0-9]{1,25}", Just("null".to_owned()), Just("[1]".to_owned())],
        age in prop_oneof!["-?[1-9][0-9]{0,20}(\\.[0-9]{1,5})?(e[0-9]{1,3})?", "\"[a-z]\"", Just("null".to_owned())],
        job in prop_oneof!["\"[a-z\\\\n]{0,3}\"", "[1-9][0-9]{0,22}(\\.[0-9]{1,3})?", Just("true".to_owned())],
        prediction in prop_oneof![
            Just("0.5".to_owned()),
            Just("1".to_owned()),
            Just(r#"{"label":1.0,"score":0.3}"#.to_owned()),
            Just(r#"{"scores":{"1":0.3},"x":1}"#.to_owned()),
            Just(r#"{"scores":3}"#.to_owned()),
            Just("[]".to_owned()),
        ],
        broken in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let mut event = format!(
            r#"{{"id":{id},"model":"plain","features":{{"job":{job},"age":{age},"more":1}},"prediction":{prediction}}}"#
        );
        if !keep {
            let end = event.floor_char_boundary(broken.index(event.len()));
            event.truncate(end);
        }
        let usual = Mapping { id: Some("/id".into()), label: Some("/nowhere".into()), ..Mapping::default() };
        let mut plain = decoder(Mapping::default());
        let mut mapped = PredictionDecoder::new(vec![model("plain", usual, SchemaMode::Fixed(schema()))]);
        let (plain, mapped) = (decode(&mut plain, &[event.as_bytes()]), decode(&mut mapped, &[event.as_bytes()]));
        prop_assert_eq!(plain.rows(), mapped.rows());
        prop_assert_eq!(plain.batches.first().map(|batch| &batch.rows), mapped.batches.first().map(|batch| &batch.rows));
        if plain.rows() == 1 {
            prop_assert_eq!(plain.unknown_fields, mapped.unknown_fields);
        }
    }
}
