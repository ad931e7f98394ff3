//! MLflow's signature: HMAC-SHA256 over `{delivery id}.{timestamp}.{body}`, in base64 behind `v1,`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

pub const DELIVERY_HEADER: &str = "x-mlflow-delivery-id";
pub const TIMESTAMP_HEADER: &str = "x-mlflow-timestamp";
pub const SIGNATURE_HEADER: &str = "x-mlflow-signature";

const VERSION: &str = "v1,";

#[must_use]
pub fn sign(secret: &str, delivery_id: &str, timestamp: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&key(secret), &signed(delivery_id, timestamp, body));
    format!("{VERSION}{}", STANDARD.encode(tag.as_ref()))
}

/// In constant time.
#[must_use]
pub fn verify(secret: &str, delivery_id: &str, timestamp: &str, body: &[u8], signature: &str) -> bool {
    let Some(tag) = signature.strip_prefix(VERSION).and_then(|tag| STANDARD.decode(tag).ok()) else { return false };
    hmac::verify(&key(secret), &signed(delivery_id, timestamp, body), &tag).is_ok()
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn signed(delivery_id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [delivery_id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `_generate_hmac_signature` of `mlflow/webhooks/delivery.py` 3.17.
    #[test]
    fn a_signature_is_the_one_that_mlflow_makes() {
        let body = br#"{"entity": "model_version", "action": "created", "timestamp": "2026-01-01T00:00:00+00:00", "data": {"name": "m", "version": "1", "source": "s", "run_id": null, "tags": {}, "description": null}}"#;
        let (id, time) = ("11111111-1111-1111-1111-111111111111", "1767225600");
        let signature = sign("secret", id, time, body);
        assert_eq!(signature, "v1,125i9fKldFr5ghYztGuLchwW7Tr82gjpxOqUeSoYxLg=");
        assert!(verify("secret", id, time, body, &signature));
        assert!(!verify("Secret", id, time, body, &signature));
        assert!(!verify("secret", id, "1767225601", body, &signature));
        assert!(!verify("secret", id, time, b"{}", &signature));
        for wrong in ["", "v1,", "v2,125i9fKldFr5ghYztGuLchwW7Tr82gjpxOqUeSoYxLg=", "v1,125i9fKldFr5ghYztGuLch"] {
            assert!(!verify("secret", id, time, body, wrong), "{wrong}");
        }
    }
}
