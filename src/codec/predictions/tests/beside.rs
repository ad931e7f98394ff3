//! What stands beside the features: probabilities of classes, attributions, and features that the reference lacks.

use super::*;

const CLASSES: [&str; 3] = ["blue", "green", "red"];

fn classifying(fixed: bool) -> PredictionDecoder {
    let names = [("value".to_owned(), Numeric)].into_iter();
    let beside = CLASSES.map(|class| (format!("prediction.scores.{class}"), Numeric)).into_iter();
    let attributed = [("attributions.value".to_owned(), Numeric)].into_iter();
    let schema = if fixed {
        SchemaMode::Fixed(FeatureSchema::new(names.chain(beside).chain(attributed)))
    } else {
        SchemaMode::Growing(FeatureSchema::default())
    };
    PredictionDecoder::new(vec![DecoderModel { task: Task::Multiclass, ..model("loan", schema) }])
}

/// Values of the columns, by name, of events that must all be good.
fn columns_of(decoder: &mut PredictionDecoder, events: &[String]) -> Vec<(String, Vec<Option<f64>>)> {
    let decoded = decode(decoder, &events.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(decoded.rejected, []);
    let batch = &decoded.batches[0].rows;
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).skip(column::FEATURES);
    columns
        .map(|(field, values)| (field.name().clone(), values.as_primitive::<Float64Type>().iter().collect()))
        .collect()
}

#[test]
fn the_probabilities_of_all_classes_are_read_in_any_order() {
    let events = [
        event(r#""features":{"value":1.0},"prediction":{"label":"red","scores":{"red":0.7,"blue":0.2,"green":0.1}}"#),
        // The scores before the features, and a class that is not known.
        event(r#""prediction":{"scores":{"green":0.5,"pink":0.5},"label":"green"},"features":{"value":2.0}"#),
        event(r#""prediction":{"label":"blue","scores":null}"#),
        event(r#""prediction":"blue""#),
    ];
    let columns = columns_of(&mut classifying(true), &events);
    let expected = [
        ("value", [Some(1.0), Some(2.0), None, None]),
        ("prediction.scores.blue", [Some(0.2), None, None, None]),
        ("prediction.scores.green", [Some(0.1), Some(0.5), None, None]),
        ("prediction.scores.red", [Some(0.7), None, None, None]),
        ("attributions.value", [None; 4]),
    ];
    assert_eq!(columns, expected.map(|(name, values)| (name.to_owned(), values.to_vec())));
    let decoded = decode(&mut classifying(true), &events.each_ref().map(String::as_str));
    assert_eq!(decoded.unknown_fields, 1, "the unknown class");
}

#[test]
fn classes_and_attributions_are_learnt_while_nothing_is_known() {
    let events = [
        event(r#""prediction":{"label":"a","scores":{"a":1}},"attributions":{"value":-0.5}"#),
        event(r#""features":{"value":3},"prediction":{"label":"b","scores":{"b":0.9,"a":0.1}}"#),
    ];
    let mut decoder = classifying(false);
    let columns = columns_of(&mut decoder, &events);
    let expected = [
        ("prediction.scores.a", [Some(1.0), Some(0.1)]),
        ("attributions.value", [Some(-0.5), None]),
        ("value", [None, Some(3.0)]),
        ("prediction.scores.b", [None, Some(0.9)]),
    ];
    assert_eq!(columns, expected.map(|(name, values)| (name.to_owned(), values.to_vec())));
    let classes: Vec<_> = decoder.schema(0).unwrap().beside("prediction.scores.").collect();
    assert_eq!(classes, [("a", 0), ("b", 3)]);
}

#[test]
fn attributions_are_read_wherever_they_stand_and_judged_like_all_fields() {
    let good = [
        event(r#""attributions":{"value":0.25,"other":9},"features":{"value":1},"prediction":"red""#),
        event(r#""features":{"value":1},"prediction":"red","attributions":null"#),
    ];
    let columns = columns_of(&mut classifying(true), &good);
    assert_eq!(columns[4], ("attributions.value".to_owned(), vec![Some(0.25), None]));
    for (fields, field) in [
        (r#""prediction":"red","attributions":{"value":"much"}"#, "attributions.value"),
        (r#""prediction":"red","attributions":[1]"#, "attributions"),
        (r#""prediction":{"label":"red","scores":{"blue":true}}"#, "prediction.scores.blue"),
        (r#""prediction":{"label":"red","scores":0.5}"#, "prediction.scores"),
    ] {
        let decoded = decode(&mut classifying(true), &[&event(fields)]);
        let found: Vec<_> =
            decoded.rejected.iter().map(|rejected| (rejected.reason, rejected.field.as_deref())).collect();
        assert_eq!(found, [(Reason::WrongType, Some(field))], "{fields}");
    }
    // A model whose reference has none does not look at them.
    let decoded = decode(&mut decoder(), &[&event(r#""prediction":"1","attributions":["anything"]"#)]);
    assert_eq!((decoded.rejected.len(), decoded.unknown_fields), (0, 0));
}

#[test]
fn features_that_the_reference_has_not_are_named() {
    let events = [with_features(r#"{"value":1,"new/one":2,"old":null,"second":[1]}"#), with_features(r#"{"value":1}"#)];
    let decoded = decode(&mut decoder(), &events.each_ref().map(String::as_str));
    assert_eq!((decoded.rejected.len(), decoded.unknown_fields), (0, 3));
    let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!(crate::event::parts_of(rows.extra().value(0)), ["new/one", "second"]);
    assert!(rows.extra().is_null(1));
}
