//! Where the model comes from: a file, or the registry of a running service.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cli::ask::{Service, get_bytes};
use crate::serve::{self, CHAMPION, FEATURES_TAG, Golden, Identity, NamedColumn, Package};

const MLFLOW: [&str; 3] = ["api", "2.0", "mlflow"];
const ARTIFACTS: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];

/// An ONNX file, with the signature beside it if MLflow has written one.
pub(super) fn of_file(file: &Path) -> anyhow::Result<(Identity, Package)> {
    let onnx = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let signature = std::fs::read_to_string(file.with_file_name("MLmodel")).unwrap_or_default();
    let package = Package { onnx, columns: serve::columns(&signature), golden: Golden::default(), purpose: None };
    Ok((Identity { model: file.display().to_string(), version: 0 }, package))
}

pub(super) async fn of_registry(
    service: &Service,
    name: &str,
    version: Option<u32>,
) -> anyhow::Result<(Identity, Package)> {
    let model = ask(service, &["registered-models", "get"], &[("name", name)]).await?["registered_model"].take();
    let version = match version {
        Some(version) => version,
        None => answering(service, name, &model).await?,
    };
    let number = version.to_string();
    let asked = [("name", name), ("version", number.as_str())];
    let found = ask(service, &["model-versions", "get"], &asked).await?["model_version"].take();
    let folder = folder(service, &found).await?;
    let listed: Value = serde_json::from_slice(&get_bytes(service, &ARTIFACTS, &[("path", &folder)]).await?)?;
    let names: Vec<&str> =
        listed["files"].as_array().into_iter().flatten().filter_map(|file| file["path"].as_str()).collect();
    let Some(onnx) = names.iter().find(|file| file.to_ascii_lowercase().ends_with(".onnx")) else {
        bail!("version {version} of '{name}' has no onnx file: log it with mlflow.onnx.log_model");
    };
    let columns = match tag(&found, FEATURES_TAG).or_else(|| tag(&model, FEATURES_TAG)) {
        Some(names) => serve::named(&names),
        None if names.contains(&"MLmodel") => {
            serve::columns(&String::from_utf8_lossy(&file(service, &folder, "MLmodel").await?))
        }
        None => Vec::new(),
    };
    let onnx = file(service, &folder, onnx).await?;
    let package = Package { onnx, columns, golden: Golden::default(), purpose: None };
    Ok((Identity { model: name.to_owned(), version }, package))
}

pub(super) fn named(features: &[String]) -> Vec<NamedColumn> {
    features.iter().map(|name| NamedColumn { name: name.clone(), required: false }).collect()
}

/// The version that a request without one would be answered by.
async fn answering(service: &Service, name: &str, model: &Value) -> anyhow::Result<u32> {
    let aliases = model["aliases"].as_array().into_iter().flatten();
    let champion = aliases.filter(|alias| alias["alias"] == CHAMPION).find_map(|alias| number(&alias["version"]));
    if let Some(champion) = champion {
        return Ok(champion);
    }
    let asked = [("name", name), ("stages", "Production")];
    let latest = ask(service, &["registered-models", "get-latest-versions"], &asked).await?;
    let newest = latest["model_versions"].as_array().into_iter().flatten().filter_map(|v| number(&v["version"])).max();
    newest.with_context(|| {
        format!("no version of '{name}' has the alias champion or is in Production: name one with --version")
    })
}

/// The folder of its files, as a path of artifacts.
async fn folder(service: &Service, version: &Value) -> anyhow::Result<String> {
    let source = version["source"].as_str().unwrap_or_default();
    let id = version["model_id"].as_str().filter(|id| !id.is_empty()).or_else(|| source.strip_prefix("models:/"));
    let place = match id {
        Some(id) => {
            let logged = ask(service, &["logged-models", id], &[]).await?;
            logged["model"]["info"]["artifact_uri"].as_str().unwrap_or_default().to_owned()
        }
        None => source.to_owned(),
    };
    match place.strip_prefix("mlflow-artifacts:/") {
        Some(path) if !path.starts_with('/') => Ok(path.to_owned()),
        _ => bail!("the files of the version are at '{place}', not with the service: download them and use --file"),
    }
}

async fn file(service: &Service, folder: &str, name: &str) -> anyhow::Result<Vec<u8>> {
    let path: Vec<&str> = ARTIFACTS.into_iter().chain(folder.split('/')).chain([name]).collect();
    get_bytes(service, &path, &[]).await
}

async fn ask(service: &Service, call: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let path: Vec<&str> = MLFLOW.iter().chain(call).copied().collect();
    serde_json::from_slice(&get_bytes(service, &path, query).await?).context("the answer is no JSON")
}

fn number(value: &Value) -> Option<u32> {
    value.as_str()?.parse().ok()
}

fn tag(found: &Value, key: &str) -> Option<String> {
    let mut tags = found["tags"].as_array()?.iter();
    Some(tags.find(|tag| tag["key"] == key)?["value"].as_str()?.to_owned())
}
