//! Reads the folder of gates.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::gate::{Gate, GateError, GateErrors, Problem};
use crate::query::sql_file::{line_of, sql_files};

/// Every gate in `directory`, by name, or everything that is wrong in it. No gate at all is wrong, too: nothing would be
/// asked of anybody.
pub fn load_gates(directory: &Path) -> Result<Vec<Gate>, GateErrors> {
    let files = sql_files(directory).map_err(|error| GateErrors(vec![unreadable(directory, &error)]))?;
    let mut gates: BTreeMap<String, Gate> = BTreeMap::new();
    let mut errors = Vec::new();
    for file in files {
        match load(&file) {
            Ok(gate) => match gates.get(&gate.name) {
                Some(first) => errors.push(duplicate(&gate, first)),
                None => drop(gates.insert(gate.name.clone(), gate)),
            },
            Err(found) => errors.extend(found),
        }
    }
    if gates.is_empty() && errors.is_empty() {
        errors.push(GateError { file: directory.to_owned(), line: 1, problem: Problem::NoGates });
    }
    if errors.is_empty() { Ok(gates.into_values().collect()) } else { Err(GateErrors(errors)) }
}

fn load(file: &Path) -> Result<Gate, Vec<GateError>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![unreadable(file, &error)])?;
    Gate::parse(file, &text)
}

fn unreadable(path: &Path, error: &io::Error) -> GateError {
    GateError { file: path.to_owned(), line: 1, problem: Problem::Unreadable(error.to_string()) }
}

fn duplicate(gate: &Gate, first: &Gate) -> GateError {
    let problem = Problem::DuplicateName { name: gate.name.clone(), other: first.file.clone() };
    GateError { file: gate.file.clone(), line: line_of(&gate.sql, "name"), problem }
}
