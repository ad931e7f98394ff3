//! Reads the folder of checks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Check, CheckError, CheckErrors, Problem, header};
use crate::query::sql_file::{line_of, sql_files};

/// Every check in `directory`, by name, or everything that is wrong in it. A missing folder holds no checks.
pub fn load_checks(directory: &Path) -> Result<Vec<Check>, CheckErrors> {
    let files = match sql_files(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), "no folder of checks: no SQL check will run");
            return Ok(Vec::new());
        }
        Err(error) => return Err(CheckErrors(vec![unreadable(directory, &error)])),
    };
    let mut checks: BTreeMap<String, Check> = BTreeMap::new();
    let mut errors = Vec::new();
    for file in files {
        match load(&file) {
            Ok(check) => match checks.get(&check.name) {
                Some(first) => errors.push(duplicate(&check, first)),
                None => {
                    checks.insert(check.name.clone(), check);
                }
            },
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(checks.into_values().collect()) } else { Err(CheckErrors(errors)) }
}

fn load(file: &Path) -> Result<Check, Vec<CheckError>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![unreadable(file, &error)])?;
    header::parse(file, &text)
}

fn unreadable(path: &Path, error: &io::Error) -> CheckError {
    CheckError { file: path.to_owned(), line: 1, problem: Problem::Unreadable(error.to_string()) }
}

fn duplicate(check: &Check, first: &Check) -> CheckError {
    let line = line_of(&check.sql, "name");
    let problem = Problem::DuplicateName { name: check.name.clone(), other: first.file.clone() };
    CheckError { file: check.file.clone(), line, problem }
}
