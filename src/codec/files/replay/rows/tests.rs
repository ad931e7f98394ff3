use super::*;
use crate::codec::files::samples::{loan_model, loans, write};
use crate::codec::files::{DataFile, Required};

#[test]
fn a_file_too_large_to_be_sorted_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let model = loan_model();
    let open = || DataFile::open(&write(&folder, "loans.parquet", &loans())).unwrap();
    let reader = || {
        let dataset = Dataset::new(open(), &model, &Required::default()).unwrap();
        Reader::open(dataset, model.task, &ReplayOptions::default()).unwrap()
    };
    assert_eq!(Rows::sort(reader(), SORT_LIMIT_BYTES).unwrap().count(), 3);
    let error = Rows::sort(reader(), 10).unwrap_err().to_string();
    assert!(error.contains("not in the order of its column 'timestamp'") && error.contains("sort it first"), "{error}");
}
