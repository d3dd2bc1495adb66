//! Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Secret;

/// Name of the header that is the same at every attempt.
pub const ID: &str = "webhook-id";
/// Name of the header with the seconds since 1970 at which this attempt was made.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Name of the header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";

/// What a signature with a shared secret begins with.
const VERSION: &str = "v1,";

/// The value of `webhook-signature`: one signature for each secret, so that a receiver may change from one secret to
/// the next while both are sent.
pub fn sign(secrets: &[Secret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signature = |secret| {
        let digest = mac(secret, id, timestamp, body).finalize().into_bytes();
        format!("{VERSION}{}", STANDARD.encode(digest))
    };
    secrets.iter().map(signature).collect::<Vec<_>>().join(" ")
}

/// Whether one of the signatures in `header` is of one of `secrets`, compared in constant time. Whoever receives also
/// refuses a `timestamp` more than five minutes off.
pub fn verify(secrets: &[Secret], id: &str, timestamp: u64, body: &[u8], header: &str) -> bool {
    let given = header.split(' ').filter_map(|part| part.strip_prefix(VERSION));
    let given: Vec<_> = given.filter_map(|part| STANDARD.decode(part).ok()).collect();
    secrets.iter().any(|secret| {
        let mac = mac(secret, id, timestamp, body);
        given.iter().any(|digest| mac.clone().verify_slice(digest).is_ok())
    })
}

fn mac(secret: &Secret, id: &str, timestamp: u64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    mac
}
