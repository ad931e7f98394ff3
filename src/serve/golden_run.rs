//! Golden rows as evidence: what the runtime that serves makes of them before the version is deployed.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::deployment::Deployment;
use super::fetch::{LoadError, fetch, golden_of};
use super::golden::{FILE, Golden, TOLERANCE};
use super::prediction::Prediction;
use super::served::{AnswerError, Identity, Served};
use super::settings::ServingSettings;
use crate::artifacts::Artifacts;
use crate::onnx::{Limits, Runtime, Trial};
use crate::query::GoldenRow;

/// The longest that the rows of one version may take.
const WITHIN: Duration = Duration::from_mins(1);
/// What a row is about.
const OUTPUT: &str = "prediction";

/// Runs the golden rows of versions that need not be served.
#[derive(Clone, Debug)]
pub struct GoldenRun {
    pub artifacts: Artifacts,
    /// None where this process cannot serve.
    pub runtime: Option<Runtime>,
    /// None loads a version untried.
    pub trial: Option<Trial>,
    pub settings: ServingSettings,
}

impl GoldenRun {
    /// What there is to say of a version of which nothing is known yet.
    #[must_use]
    pub fn undecided(model: &str, version: u32) -> Vec<GoldenRow> {
        vec![row(&Identity { model: model.to_owned(), version }, 0, FILE, None)]
    }

    /// One row for each golden row of the version; none if it has none. What could not be run here has no actual output.
    pub async fn rows(&self, deployment: &Deployment) -> Vec<GoldenRow> {
        let golden = match golden_of(&self.artifacts, &deployment.source).await {
            Ok(golden) if golden.rows.is_empty() => return Vec::new(),
            Ok(golden) => golden,
            Err(error) => return vec![row(&deployment.identity, 0, FILE, undecided_or(&error))],
        };
        match self.run(deployment, &golden).await {
            Ok(found) => compare(deployment, &golden, &found),
            Err(actual) => {
                let rows = (0..).zip(&golden.rows);
                rows.map(|(number, wanted)| {
                    row(&deployment.identity, number, &shown(&wanted.prediction), actual.clone())
                })
                .collect()
            }
        }
    }

    /// The answers, or what is to stand in their place.
    async fn run(
        &self,
        deployment: &Deployment,
        golden: &Golden,
    ) -> Result<Vec<Result<Prediction, AnswerError>>, Option<String>> {
        let Some(runtime) = self.runtime.clone() else { return Err(None) };
        let fetched = fetch(&self.artifacts, deployment, self.settings.max_model).await;
        let mut package = fetched.map_err(|error| undecided_or(&error))?;
        // They are told here one by one, also when the first of them differs.
        package.golden = Golden::default();
        let (trial, identity, golden) = (self.trial.clone(), deployment.identity.clone(), golden.clone());
        let run = move || {
            if let Some(trial) = trial {
                trial.run(&package.onnx)?;
            }
            let deadline = Instant::now() + WITHIN;
            let served = Served::load(&runtime, identity, &package, Limits { sessions: 1, threads: 1 }, deadline)?;
            let rows: Vec<&Map<String, Value>> = golden.rows.iter().map(|row| &row.features).collect();
            Ok::<_, LoadError>(served.rows(&rows, deadline))
        };
        let ran = tokio::task::spawn_blocking(run).await;
        ran.unwrap_or_else(|error| Err(LoadError::BrokenOff(error.to_string()))).map_err(|error| undecided_or(&error))
    }
}

/// What a failure says of the version: nothing if trying again may help.
fn undecided_or(error: &LoadError) -> Option<String> {
    (!error.is_temporary()).then(|| error.to_string())
}

fn compare(deployment: &Deployment, golden: &Golden, found: &[Result<Prediction, AnswerError>]) -> Vec<GoldenRow> {
    let rows = (0..).zip(golden.rows.iter().zip(found));
    rows.map(|(number, (wanted, found))| {
        let wanted = &wanted.prediction;
        match found {
            Ok(found) => GoldenRow {
                difference: found.difference(wanted),
                matches: found.agrees(wanted, TOLERANCE),
                ..row(&deployment.identity, number, &shown(wanted), Some(shown(found)))
            },
            Err(error) => row(&deployment.identity, number, &shown(wanted), Some(error.to_string())),
        }
    })
    .collect()
}

fn row(identity: &Identity, number: u64, expected: &str, actual: Option<String>) -> GoldenRow {
    GoldenRow {
        model: identity.model.clone(),
        version: identity.version.to_string(),
        row: number,
        output: OUTPUT.to_owned(),
        expected: expected.to_owned(),
        actual,
        difference: None,
        matches: false,
    }
}

fn shown(prediction: &Prediction) -> String {
    serde_json::to_string(prediction).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Source;

    #[test]
    fn rows_that_agree_match_and_others_say_by_how_much_they_differ() {
        let golden = Golden::read(
            br#"{"rows":[{"features":{},"prediction":{"label":"1","score":0.5}},
                {"features":{},"prediction":{"label":"1","score":0.5}},{"features":{},"prediction":{"value":1}}]}"#,
        );
        let deployment = Deployment {
            identity: Identity { model: "m".into(), version: 3 },
            is_primary: false,
            assignment: None,
            source: Source::Elsewhere("s3://bucket".into()),
            features: None,
            purpose: None,
        };
        let answer = |score| Ok(Prediction::Class { label: "1".into(), score: Some(score), scores: None });
        let failed = Err(AnswerError::Model(crate::onnx::OnnxError::Run("no such category".into())));
        let rows = compare(&deployment, &golden.unwrap(), &[answer(0.5), answer(0.75), failed]);
        let told: Vec<_> = rows.iter().map(|row| (row.row, row.matches, row.difference)).collect();
        assert_eq!(told, [(0, true, Some(0.0)), (1, false, Some(0.25)), (2, false, None)]);
        assert!(rows[2].actual.as_ref().unwrap().contains("no such category"), "{rows:?}");
        assert_eq!((rows[0].model.as_str(), rows[0].version.as_str()), ("m", "3"));
    }
}
