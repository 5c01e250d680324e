//! GetPublicKey, Sign and Verify.

use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, Ed25519KeyPair, KeyPair, RsaSignatureEncoding, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::error::{unsupported, validation, wrong_usage};
use super::key::Key;
use super::spec::KeySpec;
use super::{AwsError, Call, Kms, Outcome};

impl Kms {
    pub(super) fn get_public_key(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find(call, "KeyId")?;
        if key.spec.symmetric() || key.usage == "GENERATE_VERIFY_MAC" {
            return Err(unsupported(format!("{} is not an asymmetric key", key.arn)));
        }
        key.must_be_enabled()?;
        let (field, algorithms) = key.spec.algorithms();
        let public = public_key(key).ok_or_else(broken)?;
        Ok(json!({
            "KeyId": key.arn,
            "PublicKey": STANDARD.encode(public),
            "CustomerMasterKeySpec": key.spec.name(),
            "KeySpec": key.spec.name(),
            "KeyUsage": key.usage,
            field: algorithms,
        }))
    }

    pub(super) fn sign(&mut self, call: &Call<'_>) -> Outcome {
        let (key, job) = self.signing(call)?;
        call.end_dry_run()?;
        let signature = sign(key, &job).ok_or_else(broken)?;
        let signature = STANDARD.encode(signature);
        Ok(json!({ "KeyId": key.arn, "Signature": signature, "SigningAlgorithm": job.algorithm }))
    }

    pub(super) fn verify(&mut self, call: &Call<'_>) -> Outcome {
        let signature = call.input.blob("Signature", 6144)?;
        let (key, job) = self.signing(call)?;
        call.end_dry_run()?;
        if !verify(key, &job, &signature) {
            return Err(AwsError::bare("KMSInvalidSignatureException"));
        }
        Ok(json!({ "KeyId": key.arn, "SignatureValid": true, "SigningAlgorithm": job.algorithm }))
    }

    fn signing<'a>(&self, call: &'a Call<'_>) -> Result<(&Key, Job<'a>), AwsError> {
        let key = self.find(call, "KeyId")?;
        key.must_be_enabled()?;
        if key.usage != "SIGN_VERIFY" {
            return Err(wrong_usage(&key.arn, &key.usage, call.operation.name));
        }
        let algorithm = call.input.need("SigningAlgorithm")?;
        if !key.spec.algorithms().1.contains(&algorithm) {
            let text = format!("Algorithm {algorithm} and key spec {} are incompatible.", key.spec.name());
            return Err(AwsError::new("InvalidKeyUsageException", text));
        }
        let message = call.input.blob("Message", 4096)?;
        Ok((key, Job { algorithm, message: read_message(call, algorithm, message)? }))
    }
}

struct Job<'a> {
    algorithm: &'a str,
    message: Message,
}

enum Message {
    Digest(Digest),
    /// Ed25519 signs the message itself.
    Raw(Vec<u8>),
}

/// RAW is hashed here; DIGEST was hashed by the caller and must not be hashed again.
fn read_message(call: &Call<'_>, algorithm: &str, message: Vec<u8>) -> Result<Message, AwsError> {
    let raw = match call.input.text("MessageType")? {
        None | Some("RAW") => true,
        Some("DIGEST") => false,
        Some(other) => return Err(validation(format!("MessageType {other} is not supported by {algorithm}"))),
    };
    if algorithm.starts_with("ED25519") {
        return if raw { Ok(Message::Raw(message)) } else { Err(validation("ED25519_SHA_512 needs MessageType RAW")) };
    }
    let hash = hash_of(algorithm);
    if raw {
        return Ok(Message::Digest(digest::digest(hash, &message)));
    }
    let wrong_length = |_| validation(format!("Digest is invalid length for algorithm {algorithm}."));
    Ok(Message::Digest(Digest::import_less_safe(&message, hash).map_err(wrong_length)?))
}

fn hash_of(algorithm: &str) -> &'static digest::Algorithm {
    match algorithm.rsplit('_').next() {
        Some("384") => &SHA384,
        Some("512") => &SHA512,
        _ => &SHA256,
    }
}

fn public_key(key: &Key) -> Option<Vec<u8>> {
    let secret = &key.current().secret;
    if let Some(curve) = key.spec.curve() {
        return der(curve.open(secret)?.public_key());
    }
    match key.spec {
        KeySpec::Edwards25519 => der(Ed25519KeyPair::from_seed_unchecked(secret).ok()?.public_key()),
        _ => der(RsaKeyPair::from_pkcs8(secret).ok()?.public_key()),
    }
}

fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Option<Vec<u8>> {
    Some(key.as_der().ok()?.as_ref().to_vec())
}

fn sign(key: &Key, job: &Job<'_>) -> Option<Vec<u8>> {
    let secret = &key.current().secret;
    match &job.message {
        Message::Raw(message) => {
            Some(Ed25519KeyPair::from_seed_unchecked(secret).ok()?.sign(message).as_ref().to_vec())
        }
        Message::Digest(digest) => match key.spec.curve() {
            Some(curve) => Some(curve.open(secret)?.sign_digest(digest).ok()?.as_ref().to_vec()),
            None => {
                let pair = RsaKeyPair::from_pkcs8(secret).ok()?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(rsa_encoding(job.algorithm), digest, &mut signature).ok()?;
                Some(signature)
            }
        },
    }
}

fn verify(key: &Key, job: &Job<'_>, signature: &[u8]) -> bool {
    let Some(public) = public_key(key) else { return false };
    let public = UnparsedPublicKey::new(verification(job.algorithm, key.spec), public);
    match &job.message {
        Message::Raw(message) => public.verify(message, signature).is_ok(),
        Message::Digest(digest) => public.verify_digest(digest, signature).is_ok(),
    }
}

fn rsa_encoding(algorithm: &str) -> &'static RsaSignatureEncoding {
    match algorithm {
        "RSASSA_PKCS1_V1_5_SHA_256" => &signature::RSA_PKCS1_SHA256,
        "RSASSA_PKCS1_V1_5_SHA_384" => &signature::RSA_PKCS1_SHA384,
        "RSASSA_PKCS1_V1_5_SHA_512" => &signature::RSA_PKCS1_SHA512,
        "RSASSA_PSS_SHA_384" => &signature::RSA_PSS_SHA384,
        "RSASSA_PSS_SHA_512" => &signature::RSA_PSS_SHA512,
        _ => &signature::RSA_PSS_SHA256,
    }
}

fn verification(algorithm: &str, spec: KeySpec) -> &'static dyn VerificationAlgorithm {
    match (algorithm, spec) {
        (_, KeySpec::EccNistP256) => &signature::ECDSA_P256_SHA256_ASN1,
        (_, KeySpec::EccNistP384) => &signature::ECDSA_P384_SHA384_ASN1,
        (_, KeySpec::EccNistP521) => &signature::ECDSA_P521_SHA512_ASN1,
        (_, KeySpec::Edwards25519) => &signature::ED25519,
        ("RSASSA_PKCS1_V1_5_SHA_256", _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        ("RSASSA_PKCS1_V1_5_SHA_384", _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        ("RSASSA_PKCS1_V1_5_SHA_512", _) => &signature::RSA_PKCS1_2048_8192_SHA512,
        ("RSASSA_PSS_SHA_384", _) => &signature::RSA_PSS_2048_8192_SHA384,
        ("RSASSA_PSS_SHA_512", _) => &signature::RSA_PSS_2048_8192_SHA512,
        _ => &signature::RSA_PSS_2048_8192_SHA256,
    }
}

/// A fresh RSA key as PKCS #8.
pub(super) fn draw_rsa(size: KeySize) -> Result<Vec<u8>, AwsError> {
    let pair = RsaKeyPair::generate(size).map_err(|_| broken())?;
    let pkcs8 = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).map_err(|_| broken())?;
    Ok(pkcs8.as_ref().to_vec())
}

fn broken() -> AwsError {
    AwsError::bare("KMSInternalException").status(500)
}
