//! A bucket that speaks S3, with the credentials that other programs of this machine use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use slatedb::object_store::aws::{AmazonS3, AmazonS3Builder};

use super::profile::Profile;

/// Opens a bucket as the environment says: its own `AWS_…` variables, then the profile that it names. What neither has
/// (a role of the machine or the container) is found out by the client at its first request.
pub(super) fn open(bucket: &str, environment: &BTreeMap<String, String>) -> Result<AmazonS3, String> {
    builder(environment)?.with_bucket_name(bucket).build().map_err(|error| error.to_string())
}

/// The variables of this process that say how to reach a bucket.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("AWS_") || name == "HOME")
        .collect()
}

fn builder(environment: &BTreeMap<String, String>) -> Result<AmazonS3Builder, String> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment.iter().filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty()) {
        if let Ok(key) = name.to_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let profile = read_profile(environment)?;
    let has_credentials = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"].iter().any(|name| set(name).is_some());
    if !has_credentials && let Some((id, secret)) = profile.keys()? {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        if let Some(token) = profile.get("aws_session_token") {
            builder = builder.with_token(token);
        }
    }
    if set("AWS_REGION").is_none()
        && set("AWS_DEFAULT_REGION").is_none()
        && let Some(region) = profile.get("region")
    {
        builder = builder.with_region(region);
    }
    let endpoint = set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL")).or_else(|| set("AWS_ENDPOINT"));
    let endpoint = endpoint.map(String::as_str).or_else(|| profile.get("endpoint_url"));
    if let Some(endpoint) = endpoint {
        // Whoever writes http:// in an endpoint means it.
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    Ok(builder)
}

/// The profile of `AWS_PROFILE`, or the one named `default`, which may be missing.
fn read_profile(environment: &BTreeMap<String, String>) -> Result<Profile, String> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let home = |file: &str| set("HOME").map(|home| PathBuf::from(home).join(".aws").join(file));
    let credentials = set("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(|| home("credentials"));
    let config = set("AWS_CONFIG_FILE").map(PathBuf::from).or_else(|| home("config"));
    let wanted = set("AWS_PROFILE");
    let name = wanted.map_or("default", String::as_str);
    let profile = Profile::read(name, credentials.as_deref(), config.as_deref())?;
    match (profile, wanted) {
        (Some(profile), _) => Ok(profile),
        (None, None) => Ok(Profile::default()),
        (None, Some(name)) => Err(format!("AWS_PROFILE names '{name}', which is in neither file of ~/.aws")),
    }
}

#[cfg(test)]
mod tests {
    use slatedb::object_store::aws::AmazonS3ConfigKey;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn files(credentials: &str, config: &str) -> (tempfile::TempDir, BTreeMap<String, String>) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        let environment = environment(&[("HOME", &home.path().display().to_string())]);
        (home, environment)
    }

    fn value(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> Option<String> {
        builder.get_config_value(&key)
    }

    #[test]
    fn a_profile_gives_keys_region_and_endpoint() {
        let (_home, mut environment) = files(
            "[default]\naws_access_key_id = A\naws_secret_access_key = S\n[prod]\naws_access_key_id=B\naws_secret_access_key=T\naws_session_token=U\n",
            "[profile prod]\nregion = eu-central-1\nendpoint_url = http://127.0.0.1:9000\n",
        );
        let plain = builder(&environment).unwrap();
        assert_eq!(value(&plain, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("A"));
        environment.insert("AWS_PROFILE".into(), "prod".into());
        let prod = builder(&environment).unwrap();
        assert_eq!(value(&prod, AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("B"));
        assert_eq!(value(&prod, AmazonS3ConfigKey::SecretAccessKey).as_deref(), Some("T"));
        assert_eq!(value(&prod, AmazonS3ConfigKey::Token).as_deref(), Some("U"));
        assert_eq!(value(&prod, AmazonS3ConfigKey::Region).as_deref(), Some("eu-central-1"));
        assert_eq!(value(&prod, AmazonS3ConfigKey::Endpoint).as_deref(), Some("http://127.0.0.1:9000"));
    }

    #[test]
    fn keys_of_the_environment_win_over_the_default_profile() {
        let (_home, mut environment) = files("[default]\naws_access_key_id = A\naws_secret_access_key = S\n", "");
        environment.insert("AWS_ACCESS_KEY_ID".into(), "E".into());
        assert_eq!(value(&builder(&environment).unwrap(), AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("E"));
    }

    #[test]
    fn a_profile_that_is_not_there_or_not_whole_is_refused_by_name() {
        let (_home, mut environment) = files("[half]\naws_access_key_id = A\n", "[profile sso]\nsso_session = x\n");
        for (name, word) in [("nobody", "nobody"), ("half", "aws_secret_access_key"), ("sso", "sso_session")] {
            environment.insert("AWS_PROFILE".into(), name.into());
            let message = builder(&environment).err().unwrap_or_default();
            assert!(message.contains(word), "{name}: {message}");
        }
    }

    #[test]
    fn without_any_file_nothing_is_set() {
        let builder = builder(&environment(&[("HOME", "/nowhere")])).unwrap();
        assert_eq!(value(&builder, AmazonS3ConfigKey::AccessKeyId), None);
    }
}
