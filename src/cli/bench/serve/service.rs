//! The service as its users run it: a process of its own, whose model is registered over HTTP.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::cli::bench::usage::cpu_seconds_of;

/// Ended when it is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
    client: reqwest::Client,
}

const START: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(100);
const MODEL: &str = "forest";
const FOLDER: &str = "bench";

impl Process {
    /// `brokers` none is a broker in the process itself.
    pub(super) async fn start(folder: &Path, brokers: Option<&str>, library: Option<&Path>) -> anyhow::Result<Self> {
        let address = free_address()?;
        let config = folder.join("plimsoll.toml");
        std::fs::write(&config, configuration(folder, brokers, library, address)?)?;
        let log = std::fs::File::create(folder.join("service.log"))?;
        let mut command = Command::new(std::env::current_exe().context("the program does not know where it is")?);
        command.arg("--config").arg(&config).args(["up", "--roles", "registry,serve,api"]);
        // What configures this machine's own service is not meant.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PLIMSOLL_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().context("the service cannot be started")?;
        let mut process = Self { child, address, client: reqwest::Client::builder().no_proxy().build()? };
        process.wait_until_ok("/readyz", folder).await?;
        Ok(process)
    }

    /// Registers the file and waits until it answers.
    pub(super) async fn register(&mut self, onnx: Vec<u8>, folder: &Path) -> anyhow::Result<()> {
        let url = format!("http://{}/api/2.0/mlflow-artifacts/artifacts/{FOLDER}/model.onnx", self.address);
        let stored = self.client.put(url).body(onnx).send().await?;
        ensure!(stored.status().is_success(), "the model is not taken: {}", stored.text().await?);
        self.post("registered-models/create", &json!({ "name": MODEL })).await?;
        let source = format!("mlflow-artifacts:/{FOLDER}");
        self.post("model-versions/create", &json!({ "name": MODEL, "source": source })).await?;
        self.post("registered-models/alias", &json!({ "name": MODEL, "alias": "champion", "version": "1" })).await?;
        self.wait_until_ok(&format!("/v2/models/{MODEL}/ready"), folder).await
    }

    pub(super) fn infer_path() -> String {
        format!("/v2/models/{MODEL}/infer")
    }

    /// Processor time that the process has used so far.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds_of(self.child.id())
    }

    /// Answers that were not logged as predictions, as the service counts them.
    pub(super) async fn lost(&self) -> anyhow::Result<u64> {
        let text = self.client.get(format!("http://{}/metrics", self.address)).send().await?.text().await?;
        let lost = |result: &str| {
            let name = format!("plimsoll_serving_logged_total{{result=\"{result}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).context("no such metric")
        };
        Ok(lost("dropped")? + lost("refused")?)
    }

    async fn post(&self, call: &str, body: &Value) -> anyhow::Result<()> {
        let url = format!("http://{}/api/2.0/mlflow/{call}", self.address);
        let answer = self.client.post(url).json(body).send().await?;
        ensure!(answer.status().is_success(), "{call}: {}", answer.text().await?);
        Ok(())
    }

    async fn wait_until_ok(&mut self, path: &str, folder: &Path) -> anyhow::Result<()> {
        let begun = Instant::now();
        let url = format!("http://{}{path}", self.address);
        let log = || std::fs::read_to_string(folder.join("service.log")).unwrap_or_default();
        while begun.elapsed() < START {
            if self.client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended with {status}:\n{}", log());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("{path} is not ready within {} s:\n{}", START.as_secs(), log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(
    folder: &Path,
    brokers: Option<&str>,
    library: Option<&Path>,
    address: SocketAddr,
) -> anyhow::Result<String> {
    let prefix = format!("plimsoll-bench-{:x}", std::process::id());
    let mut text = String::new();
    writeln!(text, "data = {:?}", folder.join("data").display().to_string())?;
    match brokers {
        Some(brokers) => writeln!(text, "[kafka]\nbrokers = {brokers:?}")?,
        None => writeln!(text, "[kafka]\nbrokers = \"embedded\"\nlisten = \"{}\"", free_address()?)?,
    }
    writeln!(text, "prefix = \"{prefix}\"\npredictions = [\"{prefix}.predictions\"]")?;
    writeln!(text, "outcomes = [\"{prefix}.outcomes\"]")?;
    writeln!(text, "[http]\nlisten = \"{address}\"")?;
    if let Some(library) = library {
        writeln!(text, "[serving]\nonnxruntime = {:?}", library.display().to_string())?;
    }
    // Every service watches something.
    writeln!(text, "[[model]]\nname = \"{MODEL}\"\ntask = \"binary\"\nreference = {{ first = 1000 }}")?;
    Ok(text)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no free port")?.local_addr()?)
}
