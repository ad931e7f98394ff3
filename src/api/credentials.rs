//! What a request shows as the token: a bearer token, or the password of HTTP Basic, which is what browsers can send.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// Challenges of a 401.
pub(super) const BEARER: &str = "Bearer realm=\"plimsoll\"";
pub(super) const BASIC: &str = "Basic realm=\"plimsoll\", charset=\"UTF-8\"";

/// Whether the request carries `token`. With HTTP Basic any user name will do.
pub(super) fn show(headers: &HeaderMap, token: &str) -> bool {
    shown(headers).is_some_and(|shown| shown.ct_eq(token.as_bytes()).into())
}

/// The user name of HTTP Basic, to be told of those who make changes.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let pair = scheme.eq_ignore_ascii_case("basic").then(|| from_base64(value.trim()))??;
    let name = String::from_utf8(pair).ok()?.split(':').next()?.to_owned();
    (!name.is_empty() && name.len() <= 200).then_some(name)
}

fn shown(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.as_bytes().to_vec());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return password(value);
    }
    None
}

/// What follows the first colon of `user:password`; a user name has none.
fn password(encoded: &str) -> Option<Vec<u8>> {
    let pair = from_base64(encoded)?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// The standard alphabet, with its padding or without.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut pending, mut bits) = (0_u32, 0);
    for digit in digits.bytes() {
        pending = pending << 6 | u32::from(sextet(digit)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from(pending >> bits));
            pending &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (encoded, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zg", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("w7zDtn5+Pz8/Pg==", "üö~~???>"),
        ] {
            assert_eq!(from_base64(encoded).as_deref(), Some(plain.as_bytes()), "{encoded}");
        }
        for wrong in ["Zm9v!", "Zm 9v", "Zm9-", "Z=g"] {
            assert_eq!(from_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_token_is_shown_as_bearer_or_as_password_of_any_user() {
        // `anna:sesame`, `:sesame`
        for right in ["Bearer sesame", "bearer sesame", "Basic YW5uYTpzZXNhbWU=", "basic OnNlc2FtZQ=="] {
            assert!(show(&headers(right), "sesame"), "{right}");
        }
        // `sesame`, `sesame:`, `anna:sesam`, `anna:x:sesame`, and no base64 at all
        let wrong = ["c2VzYW1l", "c2VzYW1lOg==", "YW5uYTpzZXNhbQ==", "YW5uYTp4OnNlc2FtZQ==", "sesame:sesame"];
        for wrong in wrong {
            assert!(!show(&headers(&format!("Basic {wrong}")), "sesame"), "{wrong}");
        }
        assert!(!show(&headers("Digest sesame"), "sesame"));
        assert!(!show(&HeaderMap::new(), "sesame"));
    }

    #[test]
    fn a_password_may_hold_colons() {
        assert!(show(&headers("Basic YW5uYTp4OnNlc2FtZQ=="), "x:sesame"));
    }
}
