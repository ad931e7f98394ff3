//! What is to be served, from what is registered: of each model the version with the alias `champion` and those in the
//! stage Production; while a rollout is under way, also its two versions.

use crate::artifacts::ArtifactPath;
use crate::model::Model;
use crate::registry::{ModelVersion, RegisteredModel, Registry, Stage};
use crate::rollout::Assignment;
use crate::serve::{Deployment, FEATURES_TAG, Identity, Purpose, Source};

/// The scheme of plimsoll's own artifacts.
const ARTIFACTS: &str = "mlflow-artifacts:";

/// `models` are the monitored ones, of which is known what they are for.
pub(super) fn deployments(registry: &Registry, models: &[Model]) -> Vec<Deployment> {
    let mut wanted = Vec::new();
    for model in registry.models() {
        let primary = registry.answering(&model.name);
        let rollout = registry.rollouts().under_way(&model.name);
        for version in registry.versions_of(&model.name) {
            let number = version.version;
            let assignment = rollout.filter(|rollout| rollout.candidate == number).and_then(Assignment::of);
            if version.stage == Stage::Production || primary == Some(number) || assignment.is_some() {
                let deployment = deployment(registry, model, version, primary == Some(number), models);
                wanted.push(Deployment { assignment, ..deployment });
            }
        }
    }
    wanted
}

/// What would be served if this version were deployed; none if it is not registered.
pub(super) fn deployment_of(registry: &Registry, name: &str, version: u32, models: &[Model]) -> Option<Deployment> {
    Some(deployment(registry, registry.model(name)?, registry.version(name, version)?, false, models))
}

fn deployment(
    registry: &Registry,
    model: &RegisteredModel,
    version: &ModelVersion,
    is_primary: bool,
    models: &[Model],
) -> Deployment {
    let purpose = models.iter().find(|configured| configured.name == model.name);
    Deployment {
        identity: Identity { model: model.name.clone(), version: version.version },
        is_primary,
        assignment: None,
        source: source(registry, version),
        features: version.tags.get(FEATURES_TAG).or_else(|| model.tags.get(FEATURES_TAG)).cloned(),
        purpose: purpose.map(|model| Purpose { task: model.task, positive: model.positive.clone() }),
    }
}

/// Where the files of a version are.
pub(super) fn source(registry: &Registry, version: &ModelVersion) -> Source {
    let run = registry.run(&version.run_id).and_then(|run| own(&run.artifact_uri));
    let logged = registry.logged_model(&version.model_id).and_then(|logged| own(&logged.artifact_uri));
    match logged.or_else(|| of_run(registry, &version.source)).or_else(|| own(&version.source)) {
        Some(folder) => Source::Artifacts { folder, run },
        None => Source::Elsewhere(version.source.clone()),
    }
}

/// The folder behind `runs:/RUN/path`.
fn of_run(registry: &Registry, source: &str) -> Option<ArtifactPath> {
    let (run, path) = source.strip_prefix("runs:/")?.trim_start_matches('/').split_once('/')?;
    Some(own(&registry.run(run)?.artifact_uri)?.join(&ArtifactPath::parse(path).ok()?))
}

/// The folder that an address names, if it is plimsoll's.
fn own(uri: &str) -> Option<ArtifactPath> {
    let rest = uri.strip_prefix(ARTIFACTS)?;
    let path = match rest.strip_prefix("//") {
        // Behind the host.
        Some(with_host) => with_host.split_once('/')?.1,
        None => rest.trim_start_matches('/'),
    };
    ArtifactPath::parse(path).ok().filter(|path| !path.is_root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{RolloutMode, RolloutPlan};
    use crate::model::{ReferenceSource, Task};
    use crate::registry::{CHAMPION, Change, Command, Texts, decide};

    fn registry(changes: impl IntoIterator<Item = Change>) -> Registry {
        let mut registry = Registry::default();
        for (sequence, change) in (1..).zip(changes) {
            let command = Command {
                id: format!("{sequence:032}"),
                at: Timestamp::from_millis(1),
                user: "ada".into(),
                reason: String::new(),
                expected_revision: None,
                gated: false,
                change,
            };
            let events = decide(&registry, &command).unwrap();
            registry.fold(sequence, command.at, &events);
        }
        registry
    }

    fn version(source: &str) -> Change {
        Change::CreateVersion {
            name: "m".into(),
            source: source.into(),
            run_id: String::new(),
            run_link: String::new(),
            model_id: String::new(),
            description: String::new(),
            tags: Texts::new(),
        }
    }

    fn production(version: u32) -> Change {
        Change::TransitionStage { name: "m".into(), version, stage: Stage::Production, archive_existing: false }
    }

    fn told(registry: &Registry) -> Vec<(u32, bool)> {
        deployments(registry, &[]).iter().map(|wanted| (wanted.identity.version, wanted.is_primary)).collect()
    }

    #[test]
    fn the_champion_answers_and_without_one_the_newest_in_production() {
        let create = Change::CreateModel { name: "m".into(), description: String::new(), tags: Texts::new() };
        let source = "mlflow-artifacts:/0/r/artifacts/model";
        let mut changes = vec![create, version(source), version(source), version(source)];
        assert_eq!(told(&registry(changes.clone())), []);
        changes.extend([production(1), production(2)]);
        assert_eq!(told(&registry(changes.clone())), [(1, false), (2, true)]);
        changes.push(Change::SetAlias { name: "m".into(), alias: CHAMPION.into(), version: 3 });
        let registry = registry(changes);
        assert_eq!(told(&registry), [(1, false), (2, false), (3, true)]);
        let folder = ArtifactPath::parse("0/r/artifacts/model").unwrap();
        let model = Model::new("m", Task::Regression, ReferenceSource::First(1));
        let first = deployments(&registry, &[model]).swap_remove(0);
        assert_eq!(first.source, Source::Artifacts { folder, run: None });
        assert_eq!(first.purpose.map(|purpose| purpose.task), Some(Task::Regression));
    }

    #[test]
    fn while_a_rollout_is_under_way_both_of_its_versions_are_served_and_the_old_one_answers() {
        let create = Change::CreateModel { name: "m".into(), description: String::new(), tags: Texts::new() };
        let plan: RolloutPlan =
            serde_json::from_str(r#"{"steps": [{"mode": "shadow", "weight": 10}, {"mode": "canary", "weight": 5}]}"#)
                .unwrap();
        let champion = Change::SetAlias { name: "m".into(), alias: CHAMPION.into(), version: 1 };
        let start = Change::StartRollout { name: "m".into(), version: 2, plan };
        let mut changes = vec![create, version("s3://b/m"), version("s3://b/m"), champion, start];
        let under_way = registry(changes.clone());
        assert_eq!(told(&under_way), [(1, true), (2, false)]);
        let assignment = deployments(&under_way, &[]).swap_remove(1).assignment.unwrap();
        assert_eq!((assignment.mode, assignment.salt), (RolloutMode::Shadow, format!("{:032}", 5)));
        // Also when its stage says otherwise.
        changes.push(production(2));
        assert_eq!(told(&registry(changes.clone())), [(1, true), (2, false)]);
        changes.push(Change::PromoteRollout { name: "m".into() });
        let promoted = registry(changes);
        assert_eq!(told(&promoted), [(2, true)]);
        assert!(deployments(&promoted, &[])[0].assignment.is_none());
    }

    #[test]
    fn files_of_others_are_not_plimsolls_and_no_address_climbs_out() {
        let path = |text: &str| own(text).map(|path| path.to_string());
        assert_eq!(path("mlflow-artifacts:/0/a").as_deref(), Some("0/a"));
        assert_eq!(path("mlflow-artifacts://host:5000/0/a").as_deref(), Some("0/a"));
        for foreign in
            ["s3://bucket/a", "mlflow-artifacts:/", "mlflow-artifacts:/a/../../etc", "file:///etc", "models:/m/1"]
        {
            assert_eq!(path(foreign), None, "{foreign}");
        }
    }
}
