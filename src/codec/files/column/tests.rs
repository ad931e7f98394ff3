use arrow::array::{
    BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray, Float32Array, Int8Array,
    LargeStringArray, NullArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt64Array,
};
use arrow::datatypes::Int32Type;

use super::*;

const NEW_YEAR: i64 = 1_514_764_800_000; // 2018-01-01T00:00:00Z

fn column(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn dictionary() -> ArrayRef {
    let words: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("y"), Some("x")].into_iter().collect();
    column(words)
}

fn numbers(array: &ArrayRef) -> Vec<Option<f64>> {
    as_numeric(array).unwrap().iter().collect()
}

fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    as_text(array).unwrap().iter().map(|text| text.map(str::to_owned)).collect()
}

fn times(array: &ArrayRef) -> Vec<Option<i64>> {
    as_time(array).unwrap().iter().collect()
}

fn some(words: &[&str]) -> Vec<Option<String>> {
    words.iter().map(|word| Some((*word).to_owned())).collect()
}

#[test]
fn every_number_type_is_read_as_a_number() {
    let decimal = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(5, 2).unwrap();
    assert_eq!(numbers(&column(Int8Array::from(vec![Some(-1), None]))), [Some(-1.0), None]);
    assert_eq!(numbers(&column(UInt64Array::from(vec![7]))), [Some(7.0)]);
    assert_eq!(numbers(&column(Float32Array::from(vec![0.5]))), [Some(0.5)]);
    assert_eq!(numbers(&column(decimal)), [Some(1.5), None]);
    assert_eq!(numbers(&column(BooleanArray::from(vec![true, false]))), [Some(1.0), Some(0.0)]);
    assert_eq!(numbers(&column(NullArray::new(2))), [None, None]);
}

#[test]
fn nan_is_missing_and_infinities_stay() {
    let given = Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0]);
    assert_eq!(numbers(&column(given)), [None, Some(f64::INFINITY), Some(f64::NEG_INFINITY), Some(0.0)]);
}

#[test]
fn text_is_read_as_a_number_where_it_is_one() {
    let given = StringArray::from(vec![Some("1.5"), Some(" "), None, Some("NaN"), Some("-inf")]);
    assert_eq!(numbers(&column(given)), [Some(1.5), None, None, None, Some(f64::NEG_INFINITY)]);
    let wrong = as_numeric(&column(StringArray::from(vec!["1", "many"]))).unwrap_err();
    assert_eq!(wrong, ColumnError::at(1, "'many' is no number"));
}

#[test]
fn one_category_has_one_text_whatever_type_holds_it() {
    for array in [
        column(UInt8Array::from(vec![1])),
        column(Int64Array::from(vec![1])),
        column(Float32Array::from(vec![1.0])),
        column(Float64Array::from(vec![1.0])),
        column(Decimal128Array::from(vec![100]).with_precision_and_scale(5, 2).unwrap()),
        column(StringArray::from(vec!["1"])),
        column(LargeStringArray::from(vec!["1"])),
        column(StringViewArray::from(vec!["1"])),
    ] {
        assert_eq!(texts(&array), some(&["1"]), "{}", array.data_type());
    }
}

#[test]
fn text_of_other_types_is_canonical() {
    assert_eq!(texts(&column(BooleanArray::from(vec![true, false]))), some(&["true", "false"]));
    assert_eq!(texts(&column(Float64Array::from(vec![0.1, -0.0, 2.5]))), some(&["0.1", "0", "2.5"]));
    assert_eq!(texts(&column(Float64Array::from(vec![f64::NAN]))), [None]);
    assert_eq!(texts(&dictionary()), [Some("x".into()), None, Some("y".into()), Some("x".into())]);
    assert_eq!(texts(&column(Date32Array::from(vec![17_532]))), some(&["2018-01-01"]));
    assert_eq!(texts(&column(TimestampSecondArray::from(vec![NEW_YEAR / 1_000]))), some(&["2018-01-01T00:00:00Z"]));
    let large = Decimal128Array::from(vec![12_345_678_901_234_567_890]).with_precision_and_scale(20, 0).unwrap();
    assert_eq!(texts(&column(large)), some(&["12345678901234567890"]));
}

#[test]
fn timestamps_of_every_unit_and_zone_are_milliseconds() {
    assert_eq!(times(&column(TimestampSecondArray::from(vec![Some(-1), None]))), [Some(-1_000), None]);
    assert_eq!(times(&column(TimestampMillisecondArray::from(vec![NEW_YEAR]))), [Some(NEW_YEAR)]);
    assert_eq!(times(&column(TimestampMicrosecondArray::from(vec![-1, 1_999]))), [Some(-1), Some(1)]);
    assert_eq!(times(&column(TimestampNanosecondArray::from(vec![NEW_YEAR * 1_000_000]))), [Some(NEW_YEAR)]);
    for zone in ["UTC", "+02:00", "Europe/Paris"] {
        let zoned = TimestampMicrosecondArray::from(vec![NEW_YEAR * 1_000]).with_timezone(zone);
        assert_eq!(times(&column(zoned)), [Some(NEW_YEAR)], "{zone}");
    }
}

#[test]
fn dates_integers_and_text_are_times() {
    assert_eq!(times(&column(Date32Array::from(vec![17_532]))), [Some(NEW_YEAR)]);
    assert_eq!(times(&column(Date64Array::from(vec![NEW_YEAR]))), [Some(NEW_YEAR)]);
    assert_eq!(times(&column(Int64Array::from(vec![NEW_YEAR]))), [Some(NEW_YEAR)]);
    let written = StringArray::from(vec![
        Some("2018-01-01T00:00:00Z"),
        Some("2018-01-01 00:00:00"),
        Some("2018-01-01T02:00:00+02:00"),
        Some("2018-01-01"),
        Some(""),
        None,
    ]);
    let new_year = Some(NEW_YEAR);
    assert_eq!(times(&column(written)), [new_year, new_year, new_year, new_year, None, None]);
}

#[test]
fn what_is_no_time_is_refused_with_its_row() {
    let wrong = as_time(&column(StringArray::from(vec!["2018-01-01", "soon"]))).unwrap_err();
    assert_eq!(wrong.row, Some(1));
    assert!(wrong.reason.contains("'soon' is no time"), "{wrong}");
    assert!(as_time(&column(Float64Array::from(vec![1.5]))).is_err());
    assert!(as_time(&column(UInt64Array::from(vec![u64::MAX]))).is_err());
}

#[test]
fn kinds_follow_from_types() {
    use DataType::{Boolean, Date32, Decimal128, Dictionary, Float32, Int8, Utf8View};
    assert_eq!(feature_kind(&Boolean), Some(FeatureKind::Categorical));
    assert_eq!(feature_kind(&Utf8View), Some(FeatureKind::Categorical));
    assert_eq!(feature_kind(&Dictionary(Box::new(Int8), Box::new(DataType::Utf8))), Some(FeatureKind::Categorical));
    assert_eq!(feature_kind(&Dictionary(Box::new(Int8), Box::new(Float32))), Some(FeatureKind::Numeric));
    assert_eq!(feature_kind(&Decimal128(5, 2)), Some(FeatureKind::Numeric));
    assert_eq!(feature_kind(&Date32), None);
}
