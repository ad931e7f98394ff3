//! The key that seals the secrets of webhooks: the configured one, or one that is made in the data folder.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use uuid::Uuid;

use super::AppError;
use crate::settings::Settings;

const FILE: &str = "webhooks.key";

pub(super) fn webhook_key(settings: &Settings) -> Result<String, AppError> {
    if let Some(key) = &settings.webhooks.key {
        return Ok(key.clone());
    }
    let path = settings.data.join(FILE);
    let failed =
        |error: std::io::Error| AppError::WebhookKey { path: path.display().to_string(), reason: error.to_string() };
    fs::create_dir_all(&settings.data).map_err(failed)?;
    match make(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.map_err(failed)?,
    }
    let key = fs::read_to_string(&path).map_err(failed)?;
    if key.trim().is_empty() {
        let reason = "it is empty: delete it, or bring it back from a backup".to_owned();
        return Err(AppError::WebhookKey { path: path.display().to_string(), reason });
    }
    Ok(key.trim().to_owned())
}

/// Appears whole or not at all, and for its owner only.
fn make(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let draft = path.with_extension(format!("key.{}", Uuid::new_v4().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())?;
    file.sync_all()?;
    // Of two processes the first one's stands.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked
}
