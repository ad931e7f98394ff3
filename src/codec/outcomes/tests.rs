use proptest::prelude::*;

use super::super::{OutcomeRows, Rejection};
use super::*;
use crate::event::Reason;

fn decoder() -> OutcomeDecoder {
    let model = |name: &str| OutcomeModel { name: name.to_owned(), mapping: Mapping::default() };
    OutcomeDecoder::new(vec![model("loan"), model("price")])
}

fn decode(decoder: &mut OutcomeDecoder, events: &[&[u8]]) -> Decoded {
    let mut records = Records::default();
    for (offset, event) in (0..).zip(events) {
        records.push(offset, Some(1_600_000_000_000), None, Some(event));
    }
    decoder.decode(&records, &DecodeLimits::default()).unwrap()
}

fn label(event: &str) -> String {
    let decoded = decode(&mut decoder(), &[event.as_bytes()]);
    assert_eq!(decoded.rejected, [], "{event}");
    OutcomeRows::new(&decoded.batches[0].rows).unwrap().label().value(0).to_owned()
}

fn rejection(event: &str) -> Rejection {
    decode(&mut decoder(), &[event.as_bytes()]).rejected.remove(0)
}

#[test]
fn every_field_reaches_its_column() {
    let event =
        r#"{"id":"7f3c","model":"price","time":"2018-11-30T00:00:00Z","label":"1","version":"1","source":"crm"}"#;
    let decoded = decode(&mut decoder(), &[b"{", event.as_bytes()]);
    assert_eq!((decoded.batches[0].model, decoded.unknown_fields, decoded.rejected.len()), (1, 1, 1));
    let rows = OutcomeRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!((rows.len(), rows.is_empty()), (1, false));
    assert_eq!((rows.index().value(0), rows.id().value(0), rows.label().value(0)), (1, "7f3c", "1"));
    assert_eq!(rows.time().value(0), 1_543_536_000_000);
}

#[test]
fn labels_and_values_are_kept_as_text() {
    for (truth, text) in [
        (r#""label":"yes""#, "yes"),
        (r#""label":1"#, "1"),
        (r#""label":1.0"#, "1"),
        (r#""label":true"#, "true"),
        (r#""value":12.5"#, "12.5"),
        (r#""value":12"#, "12"),
        (r#""value":12.5,"label":"yes""#, "yes"),
        (r#""label":null,"value":3"#, "3"),
    ] {
        assert_eq!(label(&format!(r#"{{"id":1,{truth},"model":"loan"}}"#)), text, "{truth}");
    }
}

#[test]
fn wrong_fields_are_named() {
    use Reason::{MissingField, NotFinite, UnknownModel, WrongType};
    let cases = [
        (r#"{"model":"loan","label":1}"#, MissingField, "id"),
        (r#"{"id":1,"label":1}"#, MissingField, "model"),
        (r#"{"id":1,"label":1,"model":"x"}"#, UnknownModel, "model"),
        (r#"{"id":1,"model":"loan"}"#, MissingField, "label"),
        (r#"{"id":1,"model":"loan","label":null}"#, MissingField, "label"),
        (r#"{"id":1,"model":"loan","label":0.5}"#, WrongType, "label"),
        (r#"{"id":1,"model":"loan","label":[1]}"#, WrongType, "label"),
        (r#"{"id":1,"model":"loan","value":{}}"#, WrongType, "value"),
        (r#"{"id":1,"model":"loan","value":1e999}"#, NotFinite, "value"),
        (r#"{"id":1,"model":"loan","label":1,"time":"soon"}"#, WrongType, "time"),
    ];
    for (event, reason, field) in cases {
        let rejection = rejection(event);
        assert_eq!((rejection.reason, rejection.field.as_deref()), (reason, Some(field)), "{event}");
    }
    assert_eq!(rejection(r#"{"id":1,"model":"loan","label":1} 2"#).reason, Reason::MalformedJson);
}

#[test]
fn mapped_outcomes_are_found_by_pointer_or_by_the_usual_name() {
    let mapping = Mapping {
        id: Some("/request/id".into()),
        label: Some("/response/class".into()),
        features: Some("/request/input".into()),
        ..Mapping::default()
    };
    let mut decoder = OutcomeDecoder::new(vec![OutcomeModel { name: "golf".into(), mapping }]);
    let by_pointer = br#"{"request":{"id":5},"response":{"class":"a"},"time":0}"#;
    let by_name = br#"{"id":6,"value":2.5}"#;
    let decoded = decode(&mut decoder, &[by_pointer, by_name, b"{}"]);
    let rows = OutcomeRows::new(&decoded.batches[0].rows).unwrap();
    assert_eq!(rows.id().iter().flatten().collect::<Vec<_>>(), ["5", "6"]);
    assert_eq!(rows.label().iter().flatten().collect::<Vec<_>>(), ["a", "2.5"]);
    assert_eq!(rows.time().values(), &[0, 1_600_000_000_000]);
    assert_eq!(decoded.rejected[0].field.as_deref(), Some("id"));
}

proptest! {
    #[test]
    fn all_records_are_accounted_for(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let decoded = decode(&mut decoder(), &payloads);
        prop_assert_eq!(decoded.rows() + decoded.rejected.len(), payloads.len());
    }
}
