use std::io::Write;

use super::*;
use crate::codec::files::samples::{EXTENSIONS, loans, write};

fn file_with(name: &str, content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
    (folder, path)
}

#[test]
fn every_format_is_read_in_batches_from_disk_and_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    for extension in EXTENSIONS {
        let name = format!("loans.{extension}");
        let path = write(&folder, &name, &loans());
        let in_memory = DataFile::from_bytes(&name, std::fs::read(&path).unwrap().into()).unwrap();
        for file in [DataFile::open(&path).unwrap(), in_memory] {
            let sizes: Vec<usize> = file.batches(2).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
            assert_eq!(sizes, [2, 1], "{extension}");
            assert_eq!(file.rows(), (extension == "parquet").then_some(3));
        }
    }
}

#[test]
fn chosen_columns_alone_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for extension in EXTENSIONS {
        let file = DataFile::open(&write(&folder, &format!("loans.{extension}"), &loans())).unwrap();
        let wanted = ["id", "tenure"].map(|name| file.schema().index_of(name).unwrap());
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        let batch = file.batches_of(&wanted, 10).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.num_columns(), 2, "{extension}");
        assert!(batch.column_by_name("id").is_some() && batch.column_by_name("tenure").is_some());
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let missing = DataFile::open(Path::new("nowhere.csv")).unwrap_err();
    assert_eq!(missing.to_string(), "data file 'nowhere.csv' does not exist");
    let (_folder, path) = file_with("data.xlsx", "x");
    assert!(matches!(DataFile::open(&path), Err(FileError::UnknownFormat { .. })));
    let (_folder, path) = file_with("broken.parquet", "this is no parquet");
    assert!(matches!(DataFile::open(&path), Err(FileError::Unreadable { .. })));
}

#[test]
fn files_without_rows_are_refused() {
    for (name, content) in [("a.csv", ""), ("b.csv", "id,time\n"), ("c.ndjson", ""), ("d.parquet", "")] {
        let (_folder, path) = file_with(name, content);
        assert!(matches!(DataFile::open(&path), Err(FileError::Empty { .. })), "{name}");
    }
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let (_folder, path) = file_with("twice.csv", "id,x,x\n1,2,3\n");
    let error = DataFile::open(&path).unwrap_err();
    assert!(matches!(error, FileError::Duplicate { column, .. } if column == "x"));
}

#[test]
fn a_csv_value_of_another_type_than_inferred_names_its_row() {
    let mut content = "id,x\n".to_owned();
    for _ in 0..INFERENCE_ROWS {
        content.push_str("1,2\n");
    }
    content.push_str("1,two\n");
    let (_folder, path) = file_with("late.csv", &content);
    let file = DataFile::open(&path).unwrap();
    let error = file.batches(1_000).unwrap().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("late.csv") && error.contains("line 10001") && error.contains("two"), "{error}");
}

#[test]
fn identifiers_in_csv_keep_their_text() {
    let (_folder, path) = file_with("ids.csv", "id,x\n007,1\n");
    let file = DataFile::open(&path).unwrap().with_text_columns(&["id"]);
    assert_eq!(file.schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(file.schema().field(1).data_type(), &DataType::Int64);
}
