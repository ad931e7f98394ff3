//! Profiles of `~/.aws/credentials` and `~/.aws/config`, as far as they hold keys, a region or an endpoint.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// The keys of one profile, those of the credentials file first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    name: String,
    values: BTreeMap<String, String>,
}

/// Ways to come by credentials that need a program or a login, which a service has not.
const UNSUPPORTED: [&str; 5] = ["sso_session", "sso_start_url", "credential_process", "source_profile", "role_arn"];

impl Profile {
    /// None if neither file has it; a file that is not there has nothing.
    pub(super) fn read(name: &str, credentials: Option<&Path>, config: Option<&Path>) -> Result<Option<Self>, String> {
        // The config file calls all but the default one `profile NAME`.
        let in_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
        let mut values = BTreeMap::new();
        let mut found = false;
        for (path, section) in [(config, in_config.as_str()), (credentials, name)] {
            let Some(path) = path else { continue };
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
            };
            if let Some(keys) = section_of(&text, section) {
                found = true;
                values.extend(keys);
            }
        }
        Ok(found.then(|| Self { name: name.to_owned(), values }))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// Access key and secret; none if the profile has nothing to do with credentials.
    pub(super) fn keys(&self) -> Result<Option<(&str, &str)>, String> {
        let name = &self.name;
        match (self.get("aws_access_key_id"), self.get("aws_secret_access_key")) {
            (Some(id), Some(secret)) => Ok(Some((id, secret))),
            (Some(_), None) => Err(format!("profile '{name}' has no aws_secret_access_key")),
            (None, Some(_)) => Err(format!("profile '{name}' has no aws_access_key_id")),
            (None, None) => match UNSUPPORTED.iter().find(|key| self.values.contains_key(**key)) {
                Some(key) => Err(format!(
                    "profile '{name}' has {key}, which plimsoll does not follow: export keys into the environment, such \
                     as with aws configure export-credentials --format env"
                )),
                None => Ok(None),
            },
        }
    }
}

/// The keys of a section; comments, and keys nested under another, are left out.
fn section_of(text: &str, wanted: &str) -> Option<BTreeMap<String, String>> {
    let mut current: Option<BTreeMap<String, String>> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            if current.is_some() {
                break;
            }
            let words: Vec<&str> = name.split_whitespace().collect();
            current = (words.join(" ") == wanted).then(BTreeMap::new);
            continue;
        }
        let is_nested = line.starts_with([' ', '\t']);
        let is_comment = trimmed.starts_with(['#', ';']);
        if let Some(keys) = &mut current
            && !is_nested
            && !is_comment
            && let Some((key, value)) = trimmed.split_once('=')
        {
            keys.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_among_others_without_comments_and_nested_keys() {
        let text =
            "# x\n[a]\nregion=one\n\n[profile  b]\n; no\nRegion = two\ns3 =\n  region = nested\n[c]\nregion=three\n";
        let keys = section_of(text, "profile b").unwrap();
        assert_eq!(keys.get("region").map(String::as_str), Some("two"));
        assert_eq!(section_of(text, "d"), None);
    }
}
