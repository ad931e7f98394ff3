//! `make loop`: from drift over a request for retraining to a promotion, and to a rollback, with the shipped trainer.

use serde_json::Value;

use crate::support::{plimsoll, python_of};

/// Texts of the timeline, in the order of their events.
fn lines(timeline: &[Value], topic: &str) -> Vec<String> {
    let of_topic = timeline.iter().filter(|event| event["topic"].as_str().is_some_and(|name| name.ends_with(topic)));
    of_topic.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn position(lines: &[String], words: &[&str]) -> usize {
    let found = lines.iter().position(|line| words.iter().all(|word| line.contains(word)));
    found.unwrap_or_else(|| panic!("{words:?} is not told in {lines:#?}"))
}

#[test]
fn a_model_that_drifts_is_trained_anew_and_only_the_candidate_that_is_good_offline_and_online_takes_over() {
    let program = plimsoll().get_program().to_string_lossy().into_owned();
    let log = std::env::temp_dir().join(format!("plimsoll-loop-{}.log", std::process::id()));
    let log = log.display().to_string();
    let args = ["--plimsoll", &program, "--json", "--log", &log];
    let Some(told) = python_of("serve", "examples/loop/loop.py", &args) else { return };
    let timeline: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let placed = timeline.iter().filter(|event| event["kind"] != "story");
    for event in placed {
        assert!(event["offset"].is_u64() && event["partition"].is_u64() && event["topic"].is_string(), "{event}");
    }
    assert!(told.contains("none was lost"), "{told}\nthe service's log: {log}");

    assert_eq!(lines(&timeline, ".retraining").len(), 1, "{told}");
    let registry = lines(&timeline, ".registry");
    let mut last = 0;
    for words in [
        &["version 1 is champion now"][..],
        &["gates: version 2 fails", "better_than_champion"],
        &["gates: version 3 passes"],
        &["version 3", "rolled back"],
        &["gates: version 4 passes", "golden_rows"],
        &["version 4 is champion now"],
    ] {
        let at = position(&registry, words);
        assert!(at >= last, "{words:?} comes too early: {registry:#?}");
        last = at;
    }
    for version in 2..=4 {
        position(&registry, &[format!("reference of version {version}: in use").as_str()]);
    }
    let alerts = lines(&timeline, ".alerts");
    position(&alerts, &["firing", "drift of version 1"]);
    position(&alerts, &["firing", "decay of version 1"]);
    position(&alerts, &["firing", "rollout", "version 3"]);
    let of_the_new = |line: &&String| line.contains("of version 4") && !line.contains("rollout");
    assert_eq!(alerts.iter().filter(of_the_new).collect::<Vec<_>>(), Vec::<&String>::new(), "the new one is quiet");
}
