//! What must not be shown.

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "***";

const SECRET_WORDS: [&str; 5] = ["password", "secret", "key", "token", "jaas"];

/// Whether a librdkafka property may hold a secret.
pub(super) fn is_secret(property: &str) -> bool {
    let property = property.to_lowercase();
    SECRET_WORDS.iter().any(|word| property.contains(word))
}

/// The URL without user and password.
pub(super) fn hide_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold an unescaped '/': look for '@' beyond the first slash too, unless a path is all there is.
    let at = rest[..authority].rfind('@').or_else(|| if authority == 0 { None } else { rest.rfind('@') });
    match at {
        Some(at) => format!("{scheme}://{HIDDEN}@{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_of_a_url_are_hidden() {
        assert_eq!(hide_userinfo("s3://key:sec/ret@bucket/a"), "s3://***@bucket/a");
        assert_eq!(hide_userinfo("smtp://user@host:25"), "smtp://***@host:25");
        assert_eq!(hide_userinfo("file:///data/a@b"), "file:///data/a@b");
        assert_eq!(hide_userinfo("not a url"), "not a url");
    }

    #[test]
    fn properties_that_may_hold_secrets_are_known() {
        for name in ["sasl.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.client.secret"] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("security.protocol"));
    }
}
