//! `plimsoll check`: the SQL checks of this installation.

use std::path::Path;

use clap::Subcommand;

use crate::evaluate::checks::{Check, load_checks};
use crate::query::format::{Alignment, TextTable};

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum CheckCommand {
    /// Show every check: its severity, when it fires and what it looks for
    List,
}

pub fn run(command: CheckCommand, directory: &Path) -> anyhow::Result<()> {
    match command {
        CheckCommand::List => super::answer(&table(&load_checks(directory)?).to_string()),
    }
}

fn table(checks: &[Check]) -> TextTable {
    let columns = [
        ("name", Alignment::Left),
        ("severity", Alignment::Left),
        ("for", Alignment::Right),
        ("windows", Alignment::Left),
        ("description", Alignment::Left),
    ];
    let mut table = TextTable::new(columns.map(|(name, alignment)| (name.to_owned(), alignment)));
    for check in checks {
        table.push(vec![
            check.name.clone(),
            check.severity.name().to_owned(),
            check.windows_for.to_string(),
            sizes(check),
            check.description.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn sizes(check: &Check) -> String {
    if check.sizes.is_empty() {
        return "all".to_owned();
    }
    check.sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_shows_a_line_per_check() {
        let directory = tempfile::tempdir().unwrap();
        let text = "-- name: slow\n-- for: 2 windows\n-- windows: 7d\n-- description: too slow\nSELECT 1";
        std::fs::write(directory.path().join("slow.sql"), text).unwrap();
        let shown = table(&load_checks(directory.path()).unwrap()).to_string();
        assert_eq!(
            shown,
            "name | severity | for | windows | description\n\
             -----+----------+-----+---------+------------\n\
             slow | warning  |   2 | 7d      | too slow\n\
             (1 row)\n"
        );
    }
}
