mod models;

use std::collections::BTreeMap;

use super::*;
use crate::bus::BrokerSource;
use crate::detector::{DdmSettings, DetectorSettings};
use crate::model::{FairnessMetric, FeatureKind, Metric, ReconstructionPolicy, ReferenceSource};

const MODEL: &str = "[[model]]\nname = \"m\"\ntask = \"binary\"\nreference = { first = 100 }\n";

/// Every key there is.
const FULL: &str = r#"
data = "/tmp/plimsoll"
checkpoint = "250ms"
[kafka]
brokers = "a:9092, b:9093"
listen = "127.0.0.1:9999"
prefix = "p"
predictions = ["p1", "p2"]
outcomes = "o1"
partitions = 6
replication = 3
instance = "plimsoll-0"
[kafka.properties]
"security.protocol" = "SASL_SSL"
"sasl.password" = "hunter2"
ssl.key.pem = "hunter2"
"socket.timeout.ms" = 1000
[state]
url = "s3://bucket/prefix"
cache = 1048576
[registry]
artifacts = "s3://bucket/artifacts"
max_artifact = "3GiB"
[registry.gates]
directory = "gates"
approval = true
enforce = true
[registry.openlineage]
namespace = "prod"
url = "https://marquez.example.com/api/v1/lineage"
api_key = "hunter2"
topics = ["lineage.events"]
[registry.webhooks]
allow = ["hooks.internal:8080", "10.0.0.7"]
key = "hunter2 hunter2 hunter2"
incoming_secret = "hunter2"
[http]
listen = "0.0.0.0:80"
max_body = "10kB"
threads = 3
token = "hunter2"
[notify.email]
url = "smtp+starttls://mail.example.com:587"
from = "Plimsoll <p@example.com>"
to = ["a@example.com", "b@example.com"]
username = "u"
password = "hunter2"
[checks]
directory = "checks"
timeout = "3s"
memory = "1GiB"
[ingest]
max_message = "2MiB"
max_segments = 7
[[model]]
name = "m \"quoted\""
task = "binary"
positive = true
panes = "1h"
windows = ["1d", "7d/1d"]
lateness = "0s"
label_horizon = "30d"
retention = "45d"
max_future = "2h"
dedup = "0s"
idle_timeout = "5s"
segments = ["region"]
reference = { file = "reference.csv" }
[model.mapping]
id = "/a/b~1c"
time = "/t"
version = "/v"
variant = "/w"
features = "/f"
prediction = "/p"
label = "/l"
score = "/s"
latency_ms = "/m"
error = "/e"
[model.columns]
id = "i"
time = "t"
label = "l"
score = "s"
outcome = "o"
version = "v"
ignore = ["note"]
[model.features.amount]
type = "numeric"
min = 0
max = 1.5
[model.features."a region"]
type = "categorical"
[model.drift]
decide = ["ks", "jensen_shannon"]
psi = 0.2
ks = 0.05
jensen_shannon = 0.3
reconstruction = true
pca_reconstruction = 0.15
alpha = 0.05
min_samples = 10
windows = 3
[model.performance]
accuracy = { drop = 0.03 }
roc_auc = { drop = 0.01 }
alpha = 0.002
min_samples = 50
min_coverage = 0
windows = 4
[model.fairness]
attributes = ["region"]
demographic_parity_ratio = 0.75
equalized_odds_difference = 0.2
alpha = 0.02
min_samples = 30
windows = 2
[model.detectors]
error = ["adwin", { kind = "ddm", warm_start = 50, drift_threshold = 4 }, "eddm", "hddm_a", "hddm_w"]
loss = "cusum"
features = { amount = ["page_hinkley", { kind = "kswin", seed = 7 }], "prediction.score" = ["hddm_a"] }
[model.retraining]
enabled = false
windows = 5
cooldown = "1d"
[[model]]
name = "n"
task = "binary"
reference = { first = 1 }
"#;

fn read(text: &str) -> Result<Settings, SettingsErrors> {
    parse(text, "p.toml", &BTreeMap::new(), &Overrides::default())
}

fn read_with(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, SettingsErrors> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut overrides = Overrides::default();
    for (key, value) in flags {
        overrides.set(*key, *value);
    }
    parse(text, "p.toml", &environment, &overrides)
}

/// The errors of a text, one line each.
fn errors(text: &str) -> Vec<String> {
    lines(&read(text).unwrap_err())
}

fn lines(errors: &SettingsErrors) -> Vec<String> {
    errors.to_string().lines().map(str::to_owned).collect()
}

/// The only error of a model with these further keys.
fn model_error(keys: &str) -> String {
    let errors = errors(&format!("{MODEL}{keys}"));
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

#[test]
fn defaults_need_only_a_model() {
    let settings = read(MODEL).unwrap();
    let BrokerSource::Embedded { listen, data } = &settings.bus.brokers else { panic!("{:?}", settings.bus) };
    assert_eq!((listen.to_string().as_str(), data.to_str()), ("127.0.0.1:9092", Some("./data")));
    assert_eq!(settings.state.url, "file://./data/state");
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.bus.predictions, ["predictions"]);
    assert!(settings.email.is_none());
    assert_eq!(settings.models[0].retention, Span::from_days(90));
}

#[test]
fn every_key_is_read() {
    let settings = read(FULL).unwrap();
    assert_eq!(settings.bus.bootstrap(), "a:9092,b:9093");
    assert_eq!(settings.bus.properties["ssl.key.pem"], "hunter2");
    assert_eq!(settings.bus.properties["socket.timeout.ms"], "1000");
    assert_eq!((settings.http.max_body, settings.http.threads), (10_000, 3));
    assert_eq!(settings.email.unwrap().to.len(), 2);
    let model = &settings.models[0];
    assert_eq!(model.name, "m \"quoted\"");
    assert_eq!(model.positive, "true");
    assert_eq!(model.windows[1].to_string(), "7d/1d");
    assert_eq!(model.reference, ReferenceSource::File("reference.csv".into()));
    assert_eq!(model.features["amount"].kind, Some(FeatureKind::Numeric));
    assert_eq!(model.features["amount"].max, Some(1.5));
    assert_eq!(model.fairness.thresholds.get(&FairnessMetric::EqualizedOddsDifference), Some(&0.2));
    let tolerated = |metric| model.performance.tolerated(metric, 0.9);
    assert_eq!((tolerated(Metric::Accuracy), tolerated(Metric::RocAuc)), (Some(0.03), Some(0.01)));
    assert_eq!(tolerated(Metric::F1), None);
    let reconstruction = ReconstructionPolicy { wanted: Some(true), floor: 0.15 };
    assert_eq!(model.drift.reconstruction, reconstruction);
    assert!(!model.retraining.enabled);
    let kinds =
        |detectors: &[DetectorSettings]| detectors.iter().map(|of| of.kind().name()).collect::<Vec<_>>().join(" ");
    let watched: Vec<(&str, String)> =
        model.detectors.series().map(|(series, detectors)| (series.name(), kinds(detectors))).collect();
    let wanted = [
        ("error", "adwin ddm eddm hddm_a hddm_w"),
        ("loss", "cusum"),
        ("amount", "page_hinkley kswin"),
        ("prediction.score", "hddm_a"),
    ];
    assert_eq!(watched, wanted.map(|(series, kinds)| (series, kinds.to_owned())));
    let ddm = DdmSettings { warm_start: 50, drift_threshold: 4.0, ..DdmSettings::default() };
    assert_eq!(model.detectors.error[1], DetectorSettings::Ddm(ddm));
}

#[test]
fn the_default_state_lies_in_the_data_folder() {
    for (data, url) in [
        ("data", "file://./data/state"),
        (".", "file://./state"),
        ("../data", "file://../data/state"),
        (".data", "file://./.data/state"),
        ("/var/lib/plimsoll", "file:///var/lib/plimsoll/state"),
    ] {
        let settings = read(&format!("data = \"{data}\"\n{MODEL}")).unwrap();
        assert_eq!(settings.state.url, url);
        assert_eq!(read(&show(&settings)).unwrap().state.url, url);
    }
}

#[test]
fn the_shipped_file_loads_without_errors() {
    let settings = read(include_str!("../../config/plimsoll.toml")).unwrap();
    assert_eq!(settings.models.len(), 1);
    assert_eq!(settings.models[0].name, "car_loan");
    assert_eq!(settings.models[0].columns.outcome, "repaid");
}

#[test]
fn the_commented_keys_of_the_shipped_file_exist() {
    let shipped = include_str!("../../config/plimsoll.toml");
    let is_key = |line: &str| line.starts_with('[') || line.starts_with('"') || line.contains(" = ");
    let uncommented = shipped.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) => rest,
        _ => line,
    });
    let text = uncommented.collect::<Vec<_>>().join("\n");
    read(&text).unwrap();
}

#[test]
fn all_errors_are_told_at_once_with_their_lines() {
    let text = r#"checkpoint = 5
[kafka]
brokers = "embeded"
partitions = 0
[state]
url = "ftp://host"
[[model]]
name = "a"
task = "ranking"
panes = "7x"
windows = ["1d", "soon"]
reference = { trailing = "7d" }
[model.drift]
alpha = 1.0
[[model]]
task = "binary"
reference = { first = 1 }
"#;
    let starts = [
        "p.toml:1: checkpoint: must be a duration such as",
        "p.toml:3: kafka.brokers: 'embeded' names no brokers",
        "p.toml:4: kafka.partitions: 0 is too small",
        "p.toml:6: state.url: 'ftp://host' is not a place for files",
        "p.toml:9: model[0].task: 'ranking' is not a task: write",
        "p.toml:10: model[0].panes: '7x' is not a duration: write",
        "p.toml:11: model[0].windows[1]: 'soon' is not a duration",
        "p.toml:12: model[0].reference.trailing: is not available in this version",
        "p.toml:14: model[0].drift.alpha: 1 must lie between 0 and 1",
        "p.toml:15: model[1].name: is missing",
    ];
    let errors = errors(text);
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn places_count_columns_from_one() {
    let errors = read(&format!("{MODEL}windows = [\"1d\", 7]\n")).unwrap_err();
    let Place::Line { line, column, .. } = errors.errors[0].place else { panic!("{errors}") };
    assert_eq!((line, column), (5, 18));
}

#[test]
fn a_syntax_error_names_its_line() {
    let errors = errors("data = \"x\"\n[kafka\nbrokers = 1\n");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("p.toml:2: is not valid TOML: "), "{errors:?}");
}

#[test]
fn a_file_that_breaks_off_anywhere_is_an_answer_or_an_error() {
    for end in (0..FULL.len()).filter(|end| FULL.is_char_boundary(*end)) {
        let _ = read(&FULL[..end]).map_err(|errors| errors.to_string());
    }
}

#[test]
fn unknown_keys_suggest_the_nearest_known_one() {
    assert_eq!(
        model_error("latness = \"1h\"\n"),
        "p.toml:5: model[0].latness: is not a known key: did you mean lateness"
    );
    assert_eq!(errors(&format!("[htpp]\n{MODEL}")), ["p.toml:1: htpp: is not a known key: did you mean http"]);
    assert_eq!(errors(&format!("[kafka]\nquux = 1\n{MODEL}")), ["p.toml:2: kafka.quux: is not a known key"]);
    let error = model_error("[model.drift]\ndecide = [\"pis\"]\n");
    assert!(error.contains("write one of psi, ks, jensen_shannon"), "{error}");
}

#[test]
fn what_is_not_built_yet_is_refused_plainly() {
    let text = format!("[archive]\nurl = \"file://x\"\n[pg]\nlisten = \"x\"\n{MODEL}");
    assert_eq!(
        errors(&text),
        [
            "p.toml:1: archive: is not available in this version: remove the table",
            "p.toml:3: pg: is not available in this version: remove the table"
        ]
    );
}

#[test]
fn contradictions_between_the_parts_are_errors() {
    let cases = [
        ("[kafka]\npredictions = \"a\"\noutcomes = [\"b\", \"a\"]", "kafka.outcomes: 'a' carries the predictions"),
        ("[kafka]\nprefix = \"x\"\noutcomes = \"x.panes\"", "kafka.outcomes: 'x.panes' is a topic of Plimsoll's own"),
        ("[kafka]\nreplication = 3", "kafka.replication: the embedded broker is alone"),
        ("[kafka]\ninstance = \"a\"", "kafka.instance: the embedded broker is for one process"),
        ("[kafka]\nbrokers = \"a:1\"\ninstance = \"a/b\"", "kafka.instance: 'a/b' cannot name a process"),
        ("[kafka]\nsecurity.protocol = \"SSL\"", "kafka.security: is a property of librdkafka"),
        ("[kafka.properties]\n\"group.id\" = \"x\"", "kafka.properties.\"group.id\": is set by Plimsoll"),
        ("[http]\nlisten = \"127.0.0.1:9092\"", "http.listen: 127.0.0.1:9092 is where the embedded broker listens"),
        ("[http]\nlisten = \"0.0.0.0:8080\"", "set http.token"),
        ("[state]\nurl = \"file://data/state\"", "state.url: 'file://data/state' is not a place for files"),
        ("[state]\nurl = \"s3://id:key@bucket\"", "state.url: must not hold credentials"),
        (
            "[notify.email]\nurl = \"smtp://h:1\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nusername = \"u\"",
            "email.password: is missing",
        ),
        (
            "[notify.email]\nurl = \"smtp://u:p@h:1\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"",
            "must not hold user and password",
        ),
        ("[notify.email]\nurl = \"http://h:1\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"", "is not a mail server"),
        (
            "[notify.email]\nurl = \"smtp://h:1\"\nfrom = \"a\"\nto = \"a@b.c\"",
            "notify.email.from: 'a' is not an address",
        ),
    ];
    for (keys, expected) in cases {
        let errors = errors(&format!("{keys}\n{MODEL}"));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(expected), "{errors:?}");
    }
}

#[test]
fn models_have_names_of_their_own() {
    let errors = errors(&format!("{MODEL}{MODEL}"));
    assert_eq!(errors, ["p.toml:6: model[1].name: 'm' is the name of an earlier model: names are unique"]);
}

#[test]
fn a_file_may_leave_all_models_to_the_registry() {
    assert!(read("").unwrap().models.is_empty());
    let errors = errors("[model]\nname = \"a\"\n");
    assert_eq!(errors, ["p.toml:1: model: must be a list of tables: write [[model]] above each"]);
}

#[test]
fn retention_that_is_not_named_is_long_enough_for_late_outcomes() {
    let settings = read(&format!("{MODEL}windows = [\"60d\"]\nlabel_horizon = \"60d\"\n")).unwrap();
    assert_eq!(settings.models[0].retention, Span::from_days(120));
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let text = format!("checkpoint = \"1s\"\n[state]\nurl = \"file:///file\"\ncache = \"1MiB\"\n{MODEL}");
    let environment = [("PLIMSOLL_STATE_URL", "file:///environment"), ("PLIMSOLL_STATE_CACHE", "2MiB")];
    let settings = read_with(&text, &environment, &[("state.url", "file:///flag")]).unwrap();
    assert_eq!(settings.state.url, "file:///flag");
    assert_eq!(settings.state.cache, 2 << 20);
    assert_eq!(settings.checkpoint, Span::from_secs(1));
}

#[test]
fn text_from_the_environment_becomes_numbers_lists_and_properties() {
    let environment = [
        ("PLIMSOLL_KAFKA_PARTITIONS", "12"),
        ("PLIMSOLL_KAFKA_PREDICTIONS", "a, b"),
        ("PLIMSOLL_KAFKA_PROPERTIES_SASL_PASSWORD", "new"),
        ("PLIMSOLL_LOG", "debug"),
        ("PLIMSOLL_TEST_KAFKA", "1"),
        ("HOME", "/home/somebody"),
    ];
    let text = format!("[kafka]\nproperties = {{ sasl.password = \"old\" }}\n{MODEL}");
    let settings = read_with(&text, &environment, &[]).unwrap();
    assert_eq!(settings.bus.partitions, 12);
    assert_eq!(settings.bus.predictions, ["a", "b"]);
    assert_eq!(settings.bus.properties, BTreeMap::from([("sasl.password".to_owned(), "new".to_owned())]));
}

#[test]
fn errors_of_the_environment_and_of_flags_name_them_and_follow_those_of_the_file() {
    let environment = [("PLIMSOLL_KAFKA_PARTITIONS", "many"), ("PLIMSOLL_STATE_ULR", "x"), ("PLIMSOLL_X", "x")];
    let flags = [("http.listen", "here"), ("http.listn", "x"), ("model.name", "x")];
    let errors = read_with("data = 1\n", &environment, &flags).unwrap_err();
    assert_eq!(
        lines(&errors),
        [
            "p.toml:1: data: must be a string in quotes, not an integer",
            "PLIMSOLL_KAFKA_PARTITIONS: kafka.partitions: 'many' is not a whole number",
            "PLIMSOLL_STATE_ULR: is not a known variable: did you mean PLIMSOLL_STATE_URL",
            "PLIMSOLL_X: is not a known variable",
            "--set http.listen: 'here' is not an address: write an IP address and a port, such as 127.0.0.1:8080",
            "--set http.listn: is not a known key: did you mean http.listen",
            "--set model.name: is not a known key",
        ]
    );
}

#[test]
fn every_key_of_the_table_is_read_from_the_environment() {
    let base =
        "[notify.email]\nurl = \"smtp://h:1\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nusername = \"u\"\npassword = \"p\"\n";
    let text = format!("{base}[http]\ntoken = \"t\"\n{MODEL}");
    for path in keys::paths() {
        let errors = read_with(&text, &[(&keys::variable_of(&path), "")], &[]).unwrap_err();
        assert!(errors.errors.iter().any(|error| error.key == path), "{path}: {errors}");
    }
}

#[test]
fn what_is_shown_reads_back_as_the_same_settings() {
    let settings = read(FULL).unwrap();
    let shown = show(&settings);
    let again = read(&shown).unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
    assert_eq!(show(&again), shown);
    assert_eq!(format!("{:?}", again.models), format!("{:?}", settings.models));
    assert_eq!(format!("{:?}", again.email), format!("{:?}", settings.email));
    assert_eq!(format!("{:?}", again.gates), format!("{:?}", settings.gates));
    assert_eq!(again.webhooks.allow, settings.webhooks.allow);
    assert_eq!(format!("{:?}", again.openlineage), format!("{:?}", settings.openlineage));

    let plain = read(include_str!("../../config/plimsoll.toml")).unwrap();
    let again = read(&show(&plain)).unwrap();
    assert_eq!(format!("{again:?}"), format!("{plain:?}"));
}

#[test]
fn secrets_are_never_shown() {
    let settings = read(FULL).unwrap();
    let shown = show(&settings);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("token = \"***\""), "{shown}");
    let errors = errors(&format!("[state]\nurl = \"ftp://u:hunter2@h\"\n[http]\ntoken = \"hunter2 x\"\n{MODEL}"));
    assert_eq!(errors.len(), 2);
    assert!(!errors.concat().contains("hunter2"), "{errors:?}");
}

#[test]
fn a_missing_file_is_told_by_name() {
    let path = std::path::Path::new("no/such/plimsoll.toml");
    let errors = load(Some(path), &BTreeMap::new(), &Overrides::default()).unwrap_err();
    assert!(errors.to_string().starts_with("no/such/plimsoll.toml: cannot be read: "), "{errors}");
    let environment = BTreeMap::from([("PLIMSOLL_CONFIG".to_owned(), "no/other.toml".to_owned())]);
    let errors = load(None, &environment, &Overrides::default()).unwrap_err();
    assert!(errors.to_string().starts_with("no/other.toml: "), "{errors}");
}
