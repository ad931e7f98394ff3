use super::*;
use crate::codec::files::samples::{EXTENSIONS, batch, loan_model, loans, write};
use crate::model::FeatureSpec;

fn read(dataset: &Dataset) -> Vec<DatasetBatch> {
    dataset.batches().unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn every_format_gives_the_same_batches() {
    let folder = tempfile::tempdir().unwrap();
    let model = loan_model();
    let datasets: Vec<(Dataset, DatasetBatch)> = EXTENSIONS
        .iter()
        .map(|extension| {
            let path = write(&folder, &format!("loans.{extension}"), &loans());
            let dataset = Dataset::open(&path, &model).unwrap();
            let batch = by_name(&dataset, read(&dataset).remove(0));
            (dataset, batch)
        })
        .collect();
    let (_, parquet) = &datasets[0];
    assert_eq!(parquet.time.as_ref().unwrap().values()[1], 1_514_768_400_000);
    assert_eq!(parquet.label.as_ref().unwrap(), &StringArray::from(vec!["1", "0", "1"]));
    assert_eq!(parquet.outcome.as_ref().unwrap(), &StringArray::from(vec![Some("1"), Some("0"), None]));
    assert_eq!(parquet.version, None);
    for (dataset, batch) in &datasets[1..] {
        assert_eq!(batch, parquet, "{}", dataset.file().name());
    }
}

/// NDJSON has no order of columns, so features are compared in the order of their names.
fn by_name(dataset: &Dataset, mut batch: DatasetBatch) -> DatasetBatch {
    let names = dataset.feature_names_and_kinds().map(|(name, _)| name.to_owned());
    let mut named: Vec<(String, FeatureColumn)> = names.zip(batch.features).collect();
    named.sort_by(|left, right| left.0.cmp(&right.0));
    batch.features = named.into_iter().map(|(_, column)| column).collect();
    batch
}

#[test]
fn features_come_in_the_order_of_their_names_and_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = Dataset::open(&write(&folder, "loans.parquet", &loans()), &loan_model()).unwrap();
    let names: Vec<&str> = dataset.feature_names_and_kinds().map(|(name, _)| name).collect();
    assert_eq!(names, ["car_value", "tenure", "salary", "repaid_before"]);
    let features = read(&dataset).remove(0).features;
    assert_eq!(features[1], FeatureColumn::Numeric(Float64Array::from(vec![3.0, 5.0, 7.0])));
    assert_eq!(features[3], FeatureColumn::Categorical(StringArray::from(vec![Some("true"), Some("false"), None])));
}

#[test]
fn a_value_that_is_no_number_is_named_with_file_column_and_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "loans.csv", &loans());
    let mut model = loan_model();
    let numeric = FeatureSpec { kind: Some(crate::model::FeatureKind::Numeric), ..FeatureSpec::default() };
    model.features.insert("salary".into(), numeric);
    let error = Dataset::open(&path, &model).unwrap().batches().unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("loans.csv', column 'salary', row 1: '0 - 20K €' is no number"), "{error}");
}

#[test]
fn ids_and_versions_of_csv_stay_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let rows = batch(vec![
        ("id", Arc::new(StringArray::from(vec!["007", "8"])) as ArrayRef),
        ("release", Arc::new(StringArray::from(vec!["1.10", "1.9"]))),
        ("label", Arc::new(StringArray::from(vec!["1.0", "0.0"]))),
    ]);
    let mut model = Model::new("m", crate::model::Task::Binary, crate::model::ReferenceSource::First(1));
    model.columns.version = Some("release".into());
    let dataset = Dataset::open(&write(&folder, "ids.csv", &rows), &model).unwrap();
    let read = read(&dataset).remove(0);
    assert_eq!(read.id.unwrap(), StringArray::from(vec!["007", "8"]));
    assert_eq!(read.version.unwrap(), StringArray::from(vec!["1.10", "1.9"]));
    assert_eq!(read.label.unwrap(), StringArray::from(vec!["1", "0"]));
}
