//! Registered models and versions: what is allowed, and what is not.

use super::*;

#[test]
fn versions_are_numbered_and_numbers_are_not_given_again() {
    let mut bench = Bench::with_versions(2);
    bench.done(Change::DeleteVersion { name: "m".into(), version: 2 });
    let events = bench.done(create_version("m"));
    assert!(matches!(&events[..], [Event::VersionCreated { version }] if version.version == 3));
    let versions: Vec<u32> = bench.registry.versions_of("m").map(|version| version.version).collect();
    assert_eq!(versions, [1, 3]);
}

#[test]
fn a_name_can_be_taken_once() {
    let mut bench = Bench::with_versions(0);
    bench.refuses(RejectionKind::Exists, "Registered Model (name=m) already exists", create_model("m"));
    bench.done(create_model("n"));
    let rename = Change::RenameModel { name: "n".into(), new_name: "m".into() };
    bench.refuses(RejectionKind::Exists, "already exists", rename);
}

#[test]
fn what_does_not_exist_is_told_in_the_words_of_mlflow() {
    let mut bench = Bench::with_versions(1);
    let missing = RejectionKind::Missing;
    bench.refuses(missing, "Registered Model with name=x not found", create_version("x"));
    bench.refuses(missing, "Model Version (name=m, version=7) not found", transition(7, Stage::Staging, false));
    let alias = |version| Change::SetAlias { name: "m".into(), alias: "champion".into(), version };
    bench.refuses(missing, "version=2) not found", alias(2));
    bench.refuses(missing, "Run with id=r not found", log("r", Vec::new(), &[("a", "1")]));
}

#[test]
fn names_that_stand_for_something_else_are_refused() {
    let mut bench = Bench::with_versions(1);
    for name in ["", " ", "a/b", "a:b"] {
        bench.refuses(RejectionKind::Invalid, "name", create_model(name));
    }
    for alias in ["", "latest", "v1", "a b", "a/b"] {
        let change = Change::SetAlias { name: "m".into(), alias: alias.into(), version: 1 };
        bench.refuses(RejectionKind::Invalid, "alias", change);
    }
    let long = create_model(&"x".repeat(501));
    bench.refuses(RejectionKind::Invalid, "maximum length", long);
}

#[test]
fn a_transition_archives_the_others_only_where_that_has_a_meaning() {
    let mut bench = Bench::with_versions(2);
    bench.done(transition(1, Stage::Production, false));
    let events = bench.done(transition(2, Stage::Production, true));
    assert_eq!(events.len(), 2, "{events:?}");
    let stages: Vec<Stage> = bench.registry.versions_of("m").map(|version| version.stage).collect();
    assert_eq!(stages, [Stage::Archived, Stage::Production]);
    for stage in [Stage::None, Stage::Archived] {
        bench.refuses(RejectionKind::Invalid, "is not an Active stage", transition(1, stage, true));
    }
    assert_eq!(bench.done(transition(2, Stage::Production, false)), []);
}

#[test]
fn of_two_that_saw_the_same_revision_one_wins() {
    let mut bench = Bench::with_versions(1);
    let seen = bench.registry.version("m", 1).unwrap().revision;
    bench.give_at(Some(seen), transition(1, Stage::Staging, false)).unwrap();
    let conflict = bench.give_at(Some(seen), transition(1, Stage::Archived, false)).unwrap_err();
    assert_eq!(conflict.kind, RejectionKind::Conflict);
    assert!(conflict.message.contains("somebody changed it"), "{conflict}");
    assert_eq!(bench.registry.version("m", 1).unwrap().stage, Stage::Staging);
}

#[test]
fn an_alias_moves_and_goes_with_its_version() {
    let mut bench = Bench::with_versions(2);
    let alias = |version| Change::SetAlias { name: "m".into(), alias: "champion".into(), version };
    bench.done(alias(1));
    let events = bench.done(alias(2));
    assert!(matches!(&events[..], [Event::AliasSet { previous: Some(1), version: 2, .. }]), "{events:?}");
    bench.done(Change::DeleteVersion { name: "m".into(), version: 2 });
    assert!(bench.registry.model("m").unwrap().aliases.is_empty());
}

#[test]
fn a_renamed_model_keeps_its_versions_and_a_deleted_one_takes_them_along() {
    let mut bench = Bench::with_versions(2);
    bench.done(Change::RenameModel { name: "m".into(), new_name: "n".into() });
    assert_eq!(bench.registry.versions_of("m").count(), 0);
    assert!(bench.registry.versions_of("n").all(|version| version.name == "n"));
    bench.done(Change::DeleteModel { name: "n".into() });
    assert_eq!(bench.registry.versions().count(), 0);
}

#[test]
fn a_version_of_a_logged_model_knows_the_run_that_made_it() {
    let mut bench = Bench::with_versions(0);
    bench.done(create_run());
    let run_id = bench.registry.runs().next().unwrap().run_id.clone();
    bench.done(Change::CreateLoggedModel {
        experiment_id: DEFAULT_EXPERIMENT.into(),
        name: Some("clf".into()),
        model_type: String::new(),
        source_run_id: run_id.clone(),
        params: Texts::new(),
        tags: Texts::new(),
    });
    let model_id = bench.registry.logged_models().next().unwrap().model_id.clone();
    assert!(model_id.starts_with("m-") && model_id.len() == 34, "{model_id}");
    let Change::CreateVersion { name, run_id: none, run_link, description, tags, .. } = create_version("m") else {
        panic!()
    };
    let source = format!("models:/{model_id}");
    bench.done(Change::CreateVersion {
        name,
        source,
        run_id: none,
        run_link,
        model_id: String::new(),
        description,
        tags,
    });
    let version = bench.registry.version("m", 1).unwrap();
    assert_eq!((&version.run_id, &version.model_id), (&run_id, &model_id));
}

#[test]
fn tags_of_everything_are_set_and_deleted() {
    let mut bench = Bench::with_versions(1);
    bench.done(create_run());
    let run_id = bench.registry.runs().next().unwrap().run_id.clone();
    let subjects = [
        Subject::Experiment(DEFAULT_EXPERIMENT.into()),
        Subject::Run(run_id),
        Subject::Model("m".into()),
        Subject::Version("m".into(), 1),
    ];
    for subject in subjects {
        let set = Change::SetTags { subject: subject.clone(), tags: texts(&[("team", "risk")]) };
        assert_eq!(bench.done(set.clone()).len(), 1);
        assert_eq!(bench.done(set), [], "it is as asked already");
        let delete = Change::DeleteTag { subject: subject.clone(), key: "team".into() };
        assert_eq!(bench.done(delete).len(), 1);
        let large = (0..11).map(|number| (format!("t{number}"), "x".repeat(99_999))).collect();
        let large = Change::SetTags { subject: subject.clone(), tags: large };
        bench.refuses(RejectionKind::Invalid, "All tags together", large);
        let climbing = Change::SetTags { subject, tags: texts(&[("../x", "1")]) };
        bench.refuses(RejectionKind::Invalid, "tag name", climbing);
    }
}
