use super::*;
use crate::codec::files::samples::{loan_model, loans};

fn resolve(columns: &Columns, required: &Required) -> Result<DataColumns, FileError> {
    DataColumns::resolve("loans.csv", &loans().schema(), columns, &BTreeMap::new(), required)
}

#[test]
fn what_has_no_role_is_a_feature() {
    let mut columns = loan_model().columns;
    columns.ignore.push("tenure".into());
    let resolved = resolve(&columns, &Required::default()).unwrap();
    let features: Vec<(&str, FeatureKind)> = resolved.features.iter().map(|f| (f.name.as_str(), f.kind)).collect();
    assert_eq!(
        features,
        [
            ("car_value", FeatureKind::Numeric),
            ("salary", FeatureKind::Categorical),
            ("repaid_before", FeatureKind::Categorical)
        ]
    );
    assert_eq!((resolved.id, resolved.time, resolved.version), (Some(0), Some(1), None));
}

#[test]
fn configured_kinds_go_before_those_of_the_file() {
    let specs = BTreeMap::from([
        ("tenure".into(), FeatureSpec { kind: Some(FeatureKind::Categorical), ..FeatureSpec::default() }),
        ("car_value".into(), FeatureSpec { min: Some(0.0), ..FeatureSpec::default() }),
    ]);
    let columns = loan_model().columns;
    let resolved =
        DataColumns::resolve("loans.csv", &loans().schema(), &columns, &specs, &Required::default()).unwrap();
    let kind = |name: &str| resolved.features.iter().find(|f| f.name == name).unwrap().kind;
    assert_eq!(kind("tenure"), FeatureKind::Categorical);
    assert_eq!(kind("car_value"), FeatureKind::Numeric);
}

#[test]
fn all_missing_columns_are_named_at_once_with_what_was_probably_meant() {
    let mut columns = loan_model().columns;
    columns.score = "y_prob".into();
    columns.id = "loan".into();
    let roles = vec![ColumnRole::Id, ColumnRole::Score, ColumnRole::Time];
    let error = resolve(&columns, &Required { roles, features: false }).unwrap_err().to_string();
    assert!(error.contains("no column 'loan' for the id (set columns.id or --id-column)"), "{error}");
    assert!(error.contains("no column 'y_prob' for the score") && error.contains("did you mean 'y_proba'?"), "{error}");
    assert!(!error.contains("for the time"), "{error}");
    assert!(error.contains("its columns are 'id', 'timestamp'"), "{error}");
}

#[test]
fn a_reference_must_have_the_columns_and_features_that_the_configuration_names() {
    let mut model = loan_model();
    model.columns.id = "loan".into();
    let required = Required::of_reference(&model.columns);
    assert_eq!(required.roles, [ColumnRole::Label, ColumnRole::Score, ColumnRole::Outcome]);
    assert_eq!(Required::of_reference(&Columns::default()).roles, []);

    let specs = BTreeMap::from([("car_valu".to_owned(), FeatureSpec::default())]);
    let error = DataColumns::resolve("r.csv", &loans().schema(), &model.columns, &specs, &required).unwrap_err();
    assert!(error.to_string().contains("no column 'car_valu', which model.features names (did you mean 'car_value'?)"));
}

#[test]
fn times_are_no_features_unless_the_configuration_says_as_what() {
    use arrow::datatypes::{Field, TimeUnit};
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let list = DataType::List(Field::new("item", DataType::Int8, true).into());
    let schema = Schema::new(vec![Field::new("created", time, true), Field::new("tags", list, true)]);
    let columns = Columns::default();

    let error = DataColumns::resolve("x.parquet", &schema, &columns, &BTreeMap::new(), &Required::default());
    let Err(FileError::Unfit { columns: unfit, .. }) = error else { panic!("{error:?}") };
    assert_eq!(unfit.len(), 2);

    let numeric = FeatureSpec { kind: Some(FeatureKind::Numeric), ..FeatureSpec::default() };
    let specs = BTreeMap::from([("created".to_owned(), numeric.clone()), ("tags".to_owned(), numeric)]);
    let error = DataColumns::resolve("x.parquet", &schema, &columns, &specs, &Required::default());
    let Err(FileError::Unfit { columns: unfit, .. }) = error else { panic!("{error:?}") };
    assert_eq!(unfit[0].name, "tags");
}
