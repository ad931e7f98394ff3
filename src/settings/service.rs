//! Everything outside the models.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;
use url::Url;

use super::error::Problems;
use super::keys::names_in;
use super::raw::Node;
use super::reader::Section;
use super::redact::hide_userinfo;
use super::{Settings, gates, kafka, model, openlineage, serving, values, webhooks};
use crate::api::HttpSettings;
use crate::artifacts::ArtifactSettings;
use crate::bus::{BrokerSource, BusSettings};
use crate::clock::Span;
use crate::evaluate::ChecksSettings;
use crate::ingest::IngestSettings;
use crate::notify::EmailSettings;
use crate::state::StateSettings;

/// Tables of the configuration format that this version does not know yet.
const NOT_YET: [&str; 2] = ["archive", "pg"];

const MIB: u64 = 1 << 20;

/// Reads the whole tree. The result counts only if nothing was reported.
pub(super) fn settings(root: &Section<'_>, problems: &mut Problems) -> Settings {
    let mut known = names_in("");
    known.extend(NOT_YET);
    root.reject_unknown(&known, problems);
    for table in NOT_YET.into_iter().filter(|table| root.has(table)) {
        root.report(table, "is not available in this version: remove the table", problems);
    }

    let data = root.value("data", problems, values::text).map_or_else(|| PathBuf::from("./data"), PathBuf::from);
    let checkpoint = root.value("checkpoint", problems, values::positive_span).unwrap_or(Span::from_secs(1));
    let bus = kafka::bus(&root.table("kafka", problems), &data, problems);
    let http = http(&root.table("http", problems), &bus, problems);
    let registry = root.table("registry", problems);
    Settings {
        state: state(&root.table("state", problems), &data, problems),
        serving: serving::read(&root.table("serving", problems), problems),
        artifacts: artifacts(&registry, &data, problems),
        openlineage: openlineage::openlineage(&registry, &bus.prefix, problems),
        gates: gates::gates(&registry, problems),
        webhooks: webhooks::webhooks(&registry, problems),
        email: email(root, problems),
        checks: checks(&root.table("checks", problems), problems),
        ingest: ingest(&root.table("ingest", problems), problems),
        models: model::models(root, problems),
        data,
        bus,
        http,
        checkpoint,
    }
}

fn state(section: &Section<'_>, data: &Path, problems: &mut Problems) -> StateSettings {
    section.reject_unknown(&names_in("state"), problems);
    StateSettings {
        url: section.value("url", problems, store_url).unwrap_or_else(|| default_place(data, "state")),
        cache: section.value("cache", problems, values::bytes).unwrap_or(64 * MIB),
    }
}

fn artifacts(section: &Section<'_>, data: &Path, problems: &mut Problems) -> ArtifactSettings {
    section.reject_unknown(&names_in("registry"), problems);
    ArtifactSettings {
        url: section.value("artifacts", problems, store_url).unwrap_or_else(|| default_place(data, "artifacts")),
        max_file: section.value("max_artifact", problems, values::bytes).unwrap_or(2 << 30),
    }
}

fn http(section: &Section<'_>, bus: &BusSettings, problems: &mut Problems) -> HttpSettings {
    section.reject_unknown(&names_in("http"), problems);
    let listen = section.value("listen", problems, values::address).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let token = section.value("token", problems, bearer_token);
    if !listen.ip().is_loopback() && !section.has("token") {
        let message = format!("{listen} can be reached from other machines: set http.token, or listen on 127.0.0.1");
        section.report("listen", message, problems);
    }
    if let BrokerSource::Embedded { listen: broker, .. } = &bus.brokers
        && collide(listen, *broker)
        && problems.is_sound("kafka.listen")
        && problems.is_sound("http.listen")
    {
        let message = format!("{listen} is where the embedded broker listens (kafka.listen): choose another port");
        section.report("listen", message, problems);
    }
    let max_body = section.value("max_body", problems, values::memory).unwrap_or(8 << 20);
    let threads = section.value("threads", problems, values::few).unwrap_or_else(http_threads);
    HttpSettings { listen, max_body, threads, token }
}

/// Half of the processors: what answers is to be found running, and the roles are to run, too.
fn http_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

fn email(root: &Section<'_>, problems: &mut Problems) -> Option<EmailSettings> {
    let notify = root.table("notify", problems);
    notify.reject_unknown(&names_in("notify"), problems);
    if !notify.has("email") {
        return None;
    }
    let section = notify.table("email", problems);
    section.reject_unknown(&names_in("notify.email"), problems);
    section.require("url", "write where mail is handed in, such as \"smtp://127.0.0.1:25\"", problems);
    section.require("from", "write the sender, such as \"plimsoll@example.com\"", problems);
    section.require("to", "write one recipient or a list, such as [\"oncall@example.com\"]", problems);
    for (key, other) in [("username", "password"), ("password", "username")] {
        if section.has(key) {
            section.require(other, &format!("{key} is of no use without it"), problems);
        }
    }
    let url = section.value("url", problems, mail_url);
    let from = section.value("from", problems, mailbox);
    let to = section.some("to", problems, mailbox);
    let username = section.value("username", problems, values::text);
    let password = section.value("password", problems, values::text);
    Some(EmailSettings { url: url?, from: from?, to: to?, username, password })
}

fn checks(section: &Section<'_>, problems: &mut Problems) -> ChecksSettings {
    section.reject_unknown(&names_in("checks"), problems);
    let directory = section.value("directory", problems, values::text);
    ChecksSettings {
        directory: directory.map_or_else(|| PathBuf::from("sql/checks"), PathBuf::from),
        timeout: section.value("timeout", problems, values::positive_span).unwrap_or(Span::from_secs(10)),
        memory: section.value("memory", problems, values::memory).unwrap_or(256 << 20),
    }
}

fn ingest(section: &Section<'_>, problems: &mut Problems) -> IngestSettings {
    section.reject_unknown(&names_in("ingest"), problems);
    IngestSettings {
        max_message_bytes: section.value("max_message", problems, values::memory).unwrap_or(1 << 20),
        max_segments: section.value("max_segments", problems, values::count).unwrap_or(50),
    }
}

/// `./` keeps a relative path from being read as the URL's host.
fn default_place(data: &Path, name: &str) -> String {
    let place = data.join(name);
    let place = place.display();
    if data.is_absolute() || data.starts_with(".") || data.starts_with("..") {
        return format!("file://{place}");
    }
    format!("file://./{place}")
}

fn store_url(node: &Node) -> Result<String, String> {
    let url = values::text(node)?;
    if let Some(place) = url.strip_prefix("s3://") {
        let bucket = place.split('/').next().unwrap_or("");
        if place.contains('@') {
            return Err("must not hold credentials: S3's come from AWS_ACCESS_KEY_ID and the like".to_owned());
        }
        if !bucket.is_empty() {
            return Ok(url);
        }
    }
    let is_folder = |path: &str| ["/", "./", "../"].iter().any(|start| path.starts_with(start));
    if url.strip_prefix("file://").is_some_and(is_folder) {
        return Ok(url);
    }
    let shown = hide_userinfo(&url);
    Err(format!("'{shown}' is not a place for files: write file:///path, file://./path or s3://bucket/prefix"))
}

fn mail_url(node: &Node) -> Result<String, String> {
    let text = values::text(node)?;
    let wrong = || {
        let shown = hide_userinfo(&text);
        format!(
            "'{shown}' is not a mail server: write smtp://host:port, smtp+starttls://host:port or smtps://host:port"
        )
    };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    if !has_host || !["smtp", "smtp+starttls", "smtps"].contains(&url.scheme()) {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold user and password: write them as username and password".to_owned());
    }
    Ok(text)
}

fn mailbox(node: &Node) -> Result<Mailbox, String> {
    let text = values::text(node)?;
    let wrong = |_| format!("'{text}' is not an address: write user@example.com or \"Name <user@example.com>\"");
    text.parse().map_err(wrong)
}

fn bearer_token(node: &Node) -> Result<String, String> {
    let token = values::text(node)?;
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces, for it travels in a header".to_owned());
    }
    Ok(token)
}

/// Whether both addresses cannot be listened on at once. Port 0 is any free port.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}
