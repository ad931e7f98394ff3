//! `plimsoll config`: is the configuration good, and what does it come to.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::settings::{self, Overrides};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Report everything that is wrong with the configuration, at once
    Check,
    /// Print the effective settings as TOML, with secrets hidden
    Show,
}

/// Exit code of a wrong configuration.
const WRONG: u8 = 2;

/// Runs the command on the terminal.
pub fn run(
    command: ConfigCommand,
    path: Option<&Path>,
    environment: &BTreeMap<String, String>,
    overrides: &Overrides,
) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut err = std::io::stderr().lock();
    let code = write(command, path, environment, overrides, &mut out, &mut err)?;
    Ok(ExitCode::from(code))
}

fn write(
    command: ConfigCommand,
    path: Option<&Path>,
    environment: &BTreeMap<String, String>,
    overrides: &Overrides,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<u8> {
    let loaded = settings::locate(path, environment)
        .and_then(|file| settings::load(Some(&file), environment, overrides).map(|settings| (file, settings)));
    let (file, settings) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            writeln!(err, "{errors}")?;
            return Ok(WRONG);
        }
    };
    match command {
        ConfigCommand::Check => {
            let count = settings.models.len();
            let models = if count == 1 { "model" } else { "models" };
            writeln!(out, "{}: ok, {count} {models}", file.display())?;
        }
        ConfigCommand::Show => write!(out, "{}", settings::show(&settings))?,
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(text: &str, command: ConfigCommand) -> (u8, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plimsoll.toml");
        std::fs::write(&path, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let none = BTreeMap::new();
        let code = write(command, Some(&path), &none, &Overrides::default(), &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const GOOD: &str = "[[model]]\nname = \"m\"\ntask = \"binary\"\nreference = { first = 100 }\n";

    #[test]
    fn check_says_ok_and_counts_the_models() {
        let (code, out, err) = run_on(GOOD, ConfigCommand::Check);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.ends_with("plimsoll.toml: ok, 1 model\n"), "{out}");
    }

    #[test]
    fn check_prints_one_line_for_each_error_and_exits_with_2() {
        let (code, out, err) = run_on(&format!("{GOOD}panes = 3\nwindow = []\n"), ConfigCommand::Check);
        assert_eq!((code, out.as_str()), (2, ""));
        assert_eq!(err.lines().count(), 2, "{err}");
        assert!(err.contains("plimsoll.toml:5: model[0].panes: "), "{err}");
    }

    #[test]
    fn show_prints_settings_that_load_again() {
        let (code, out, _) = run_on(GOOD, ConfigCommand::Show);
        assert_eq!(code, 0);
        assert_eq!(run_on(&out, ConfigCommand::Show).1, out);
    }
}
