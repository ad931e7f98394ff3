//! The command line, as its users meet it: the real program, its output and its exit codes.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{plimsoll as program, run_plimsoll as plimsoll};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Everything that Plimsoll's configuration of the demo watches.
const FEATURES_THAT_DRIFT: [&str; 5] =
    ["car_value", "loan_length", "prediction.score", "repaid_loan_on_prev_car", "salary_range"];

const GOOD: &str = "[[model]]\nname = \"m\"\ntask = \"binary\"\nreference = { first = 100 }\n";

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit code, which is only looked at beside what was said.
fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// Arguments that name a configuration in `folder` and keep everything of the run there, on free ports.
fn isolated(folder: &Path, config: &Path) -> Vec<String> {
    let data = folder.join("data");
    vec![
        "--config".to_owned(),
        config.display().to_string(),
        "--set".to_owned(),
        format!("data={}", data.display()),
        "--set".to_owned(),
        "kafka.listen=127.0.0.1:0".to_owned(),
        "--set".to_owned(),
        "http.listen=127.0.0.1:0".to_owned(),
    ]
}

fn plimsoll_in(folder: &Path, config: &Path, arguments: &[&str]) -> Output {
    let isolated = isolated(folder, config);
    let all: Vec<&str> = isolated.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
    plimsoll(&all)
}

#[test]
fn the_demo_tells_its_story_as_one_json_object() {
    let free_ports = ["--set", "kafka.listen=127.0.0.1:0", "--set", "http.listen=127.0.0.1:0"];
    let output = plimsoll(&[&["demo", "--once", "--format", "json"], &free_ports[..]].concat());
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    let summary: Value = serde_json::from_str(&text).unwrap();

    let keys: Vec<&str> = summary.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["predictions", "outcomes", "windows", "drifted", "alerts", "retraining", "accounting"]);
    assert_eq!((&summary["predictions"], &summary["outcomes"]), (&50_000.into(), &50_000.into()));
    assert!(summary["windows"].as_u64().unwrap() >= 50, "{text}");
    let drifted: BTreeSet<&str> = summary["drifted"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(drifted, BTreeSet::from(FEATURES_THAT_DRIFT));
    for start in summary["drifted"].as_object().unwrap().values() {
        assert!(start.as_str().unwrap() >= "2019-03-28T00:00:00Z", "drift before it began: {text}");
    }
    let kinds: Vec<&str> = array(&summary["alerts"]).iter().map(|alert| alert["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "drift").count(), 1, "{text}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "decay").count(), 1, "{text}");
    for alert in array(&summary["alerts"]) {
        assert!(alert["started_at"].as_str().unwrap() >= "2019-03-28T00:00:00Z", "{alert}");
    }
    assert_eq!(array(&summary["retraining"]).len(), 1, "{text}");
    assert_eq!(summary["retraining"][0]["model"], "car_loan");
    for topic in ["predictions", "outcomes"] {
        let books = &summary["accounting"][topic];
        let of = |key: &str| books[key].as_u64().unwrap();
        assert_eq!((of("read"), of("counted"), of("duplicate"), of("deadlettered")), (50_000, 50_000, 0, 0), "{topic}");
    }
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

#[test]
fn every_error_of_a_configuration_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = "checkpoint = \"soon\"\n\n[kafka]\nprefx = \"x\"\n\n[[model]]\nname = \"m\"\ntask = \"magic\"\n\
                 windows = [\"7x\"]\nreference = { file = \"a\", first = 3 }\n";
    let config = write(folder.path(), "plimsoll.toml", wrong);
    let file = config.display().to_string();
    for command in [&["config", "check"][..], &["up"]] {
        let output = plimsoll(&[&["--config", &file], command].concat());
        assert_eq!(code(&output), Some(2), "{command:?}");
        let said = stderr(&output);
        let expected = [
            (1, "checkpoint"),
            (4, "kafka.prefx"),
            (8, "model[0].task"),
            (9, "model[0].windows[0]"),
            (10, "model[0].reference"),
        ];
        for (line, key) in expected {
            assert!(said.contains(&format!("{file}:{line}: {key}: ")), "{command:?} does not name {key}: {said}");
        }
        assert_eq!(said.lines().count(), expected.len(), "{said}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn wrong_variables_and_flags_are_named_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "plimsoll.toml", GOOD);
    let output = plimsoll_in(folder.path(), &config, &["--set", "kafka.partitions=none", "config", "check"]);
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("kafka.partitions"), "{}", stderr(&output));
    let output = program()
        .args(["--config", &config.display().to_string(), "config", "check"])
        .env("PLIMSOLL_STATE_ULR", "file://./x")
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(2));
    let said = stderr(&output);
    assert!(said.contains("PLIMSOLL_STATE_ULR") && said.contains("PLIMSOLL_STATE_URL"), "{said}");
}

#[test]
fn a_missing_configuration_says_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let output = program().current_dir(folder.path()).arg("up").output().unwrap();
    assert_eq!(code(&output), Some(2));
    assert!(stderr(&output).contains("config/plimsoll.toml") && stderr(&output).contains("[[model]]"));
}

#[test]
fn the_shipped_configurations_are_good() {
    for file in ["config/plimsoll.toml", "deploy/plimsoll.toml"] {
        let output = plimsoll(&["--config", file, "--set", "http.token=t", "config", "check"]);
        assert_eq!(code(&output), Some(0), "{}", stderr(&output));
        assert_eq!(stdout(&output), format!("{file}: ok, 1 model\n"));
    }
}

#[test]
fn config_show_hides_every_secret() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = format!(
        "[kafka.properties]\n\"sasl.username\" = \"visible\"\n\"sasl.password\" = \"hunter2\"\n\
         [http]\ntoken = \"hunter3\"\n[notify.email]\nurl = \"smtp://127.0.0.1:25\"\nfrom = \"a@example.com\"\n\
         to = [\"b@example.com\"]\nusername = \"visible\"\npassword = \"hunter4\"\n{GOOD}"
    );
    let config = write(folder.path(), "plimsoll.toml", &secrets);
    let output = plimsoll(&["--config", &config.display().to_string(), "config", "show"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(shown.contains("visible") && shown.contains("\"***\""), "{shown}");
    assert!(!shown.contains("hunter") && !stderr(&output).contains("hunter"), "{shown}");
}

#[test]
fn check_list_shows_every_shipped_check() {
    let output = plimsoll(&["check", "list"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let listed = stdout(&output);
    let shipped: Vec<PathBuf> =
        std::fs::read_dir(Path::new(ROOT).join("sql/checks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(shipped.len() >= 4);
    for check in &shipped {
        let name = check.file_stem().unwrap().to_str().unwrap();
        assert!(listed.lines().any(|line| line.starts_with(name)), "{name} is not listed:\n{listed}");
    }
    assert!(listed.ends_with(&format!("({} rows)\n", shipped.len())), "{listed}");
}

#[test]
fn a_broken_check_stops_the_start_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "plimsoll.toml", GOOD);
    let wrong_column = "-- name: broken\n-- severity: warning\nSELECT model\nFROM windows WHERE no_such_column = 1\n";
    let wrong_header = "-- name: broken\n-- severity: terrible\nSELECT 1\n";
    let wrong_syntax = "-- name: broken\nSELECT model FORM windows\n";
    for (text, line, words) in
        [(wrong_column, 3, "no_such_column"), (wrong_header, 2, "terrible"), (wrong_syntax, 2, "windows")]
    {
        let check = write(folder.path(), "checks/broken.sql", text);
        let directory = format!("checks.directory={}", folder.path().join("checks").display());
        let output = plimsoll_in(folder.path(), &config, &["--set", &directory, "up"]);
        assert_eq!(code(&output), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains(&format!("{}:{line}: ", check.display())), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "plimsoll.toml", GOOD);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for key in ["kafka.listen", "http.listen"] {
        let output = plimsoll_in(folder.path(), &config, &["--set", &format!("{key}={address}"), "up"]);
        assert_eq!(code(&output), Some(1), "{key}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains(key) && said.contains(&address.to_string()), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_reference_that_is_not_there_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("first = 100", "file = \"nowhere.parquet\"");
    let config = write(folder.path(), "plimsoll.toml", &text);
    let output = plimsoll_in(folder.path(), &config, &["up"]);
    assert_eq!(code(&output), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("nowhere.parquet"), "{}", stderr(&output));
}

#[test]
fn every_command_has_help() {
    for command in commands(&[]) {
        let output = plimsoll(&[&command.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--help"]].concat());
        assert_eq!(code(&output), Some(0), "{command:?}: {}", stderr(&output));
        assert!(stdout(&output).contains("Usage: plimsoll"), "{command:?}");
    }
}

/// The commands below `path`, found in its help, and those below them.
fn commands(path: &[String]) -> Vec<Vec<String>> {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = stdout(&plimsoll(&arguments));
    let mut found = vec![path.to_vec()];
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Longer descriptions go on in lines that are indented further.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    for name in names.filter(|name| *name != "help") {
        found.extend(commands(&[path, &[name.to_owned()]].concat()));
    }
    assert!(!path.is_empty() || found.len() >= 12, "{found:?}");
    found
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["fly"][..], &["up", "--roles", "fly"], &["replay"], &["--set", "kafka.brokers", "up"]] {
        let output = plimsoll(arguments);
        assert_eq!(code(&output), Some(2), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_profile_needs_a_configured_model_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "plimsoll.toml", GOOD);
    let output = plimsoll_in(folder.path(), &config, &["reference", "build", "--model", "other"]);
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("no model 'other'; its models are: m"), "{}", stderr(&output));
    let output = plimsoll_in(folder.path(), &config, &["reference", "build", "--model", "m"]);
    assert_eq!(code(&output), Some(1));
    assert!(stderr(&output).contains("--file"), "{}", stderr(&output));
}
