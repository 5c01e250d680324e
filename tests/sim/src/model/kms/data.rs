//! Encrypt, Decrypt, ReEncrypt and the data keys.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::error::{unsupported, validation, wrong_usage};
use super::key::Key;
use super::{AwsError, Call, Kms, Outcome, cipher};

impl Kms {
    pub(super) fn encrypt(&mut self, call: &Call<'_>) -> Outcome {
        let plain = call.input.blob("Plaintext", 4096)?;
        let context = call.input.context("EncryptionContext")?;
        let key = self.find(call, "KeyId")?;
        must_encrypt(call, key)?;
        call.end_dry_run()?;
        let (arn, blob) = (key.arn.clone(), self.seal(&key.arn.clone(), &context, &plain)?);
        Ok(json!({ "CiphertextBlob": blob, "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" }))
    }

    pub(super) fn decrypt(&mut self, call: &Call<'_>) -> Outcome {
        let context = call.input.context("EncryptionContext")?;
        if self.ignores_ciphertext(call)? {
            must_encrypt(call, self.find(call, "KeyId")?)?;
            call.end_dry_run()?;
        }
        let blob = call.input.blob("CiphertextBlob", 6144)?;
        let (key, material, plain) = self.open(call, "KeyId", &blob, &context)?;
        call.end_dry_run()?;
        Ok(json!({
            "KeyId": key.arn,
            "KeyMaterialId": material,
            "Plaintext": STANDARD.encode(plain),
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }

    pub(super) fn re_encrypt(&mut self, call: &Call<'_>) -> Outcome {
        let context = call.input.context("DestinationEncryptionContext")?;
        let destination = self.find(call, "DestinationKeyId")?;
        must_encrypt(call, destination)?;
        let (arn, destination_material) = (destination.arn.clone(), destination.current().id.clone());
        if self.ignores_ciphertext(call)? {
            must_encrypt(call, self.find(call, "SourceKeyId")?)?;
            call.end_dry_run()?;
        }
        let blob = call.input.blob("CiphertextBlob", 6144)?;
        let source_context = call.input.context("SourceEncryptionContext")?;
        let (source, material, plain) = self.open(call, "SourceKeyId", &blob, &source_context)?;
        let source = source.arn.clone();
        call.end_dry_run()?;
        let blob = self.seal(&arn, &context, &plain)?;
        Ok(json!({
            "CiphertextBlob": blob,
            "SourceKeyId": source,
            "KeyId": arn,
            "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "SourceKeyMaterialId": material,
            "DestinationKeyMaterialId": destination_material,
        }))
    }

    pub(super) fn generate_data_key(&mut self, call: &Call<'_>) -> Outcome {
        let length = data_key_length(call)?;
        let context = call.input.context("EncryptionContext")?;
        let key = self.find(call, "KeyId")?;
        must_encrypt(call, key)?;
        call.end_dry_run()?;
        let (arn, material) = (key.arn.clone(), key.current().id.clone());
        let plain = self.dice.bytes(length);
        let blob = self.seal(&arn, &context, &plain)?;
        Ok(json!({
            "CiphertextBlob": blob,
            "Plaintext": STANDARD.encode(plain),
            "KeyId": arn,
            "KeyMaterialId": material,
        }))
    }

    pub(super) fn generate_data_key_without_plaintext(&mut self, call: &Call<'_>) -> Outcome {
        let mut answer = self.generate_data_key(call)?;
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("Plaintext");
        }
        Ok(answer)
    }

    pub(super) fn generate_random(&mut self, call: &Call<'_>) -> Outcome {
        self.authorise(call, "*")?;
        let length = call.input.within("NumberOfBytes", 1, 1024)?.unwrap_or(32);
        Ok(json!({ "Plaintext": STANDARD.encode(self.dice.bytes(length as usize)) }))
    }

    fn seal(&mut self, arn: &str, context: &BTreeMap<String, String>, plain: &[u8]) -> Result<Value, AwsError> {
        let sealed = self.keys.get(arn).and_then(|key| cipher::seal(key, context, plain, &mut self.dice));
        sealed
            .map(|blob| json!(STANDARD.encode(blob)))
            .ok_or_else(|| AwsError::bare("KMSInternalException").status(500))
    }

    /// Opens a ciphertext. With a key named it must be that key's; without one, the ciphertext knows.
    fn open(
        &self,
        call: &Call<'_>,
        field: &str,
        blob: &[u8],
        context: &BTreeMap<String, String>,
    ) -> Result<(&Key, String, Vec<u8>), AwsError> {
        let named = call.input.text(field)?.map(|name| self.find_named(call, name)).transpose()?;
        if let Some(key) = named {
            must_encrypt(call, key)?;
        }
        let sealed = cipher::parse(blob).ok_or_else(|| AwsError::bare("InvalidCiphertextException"))?;
        let owner = self.keys.values().find(|key| key.materials.iter().any(|one| one.id == sealed.material));
        let key = match (named, owner) {
            (Some(named), Some(owner)) if named.arn == owner.arn => named,
            (Some(_), Some(_)) => return Err(incorrect_key()),
            // No material of this id: a byte of it was changed, or its key is deleted.
            (Some(_), None) => return Err(AwsError::bare("InvalidCiphertextException")),
            (None, Some(owner)) => self.find_named(call, &owner.arn).map_err(|error| hidden(call, error))?,
            (None, None) => return Err(AwsError::bare("InvalidCiphertextException")),
        };
        must_encrypt(call, key)?;
        let material = key.materials.iter().find(|one| one.id == sealed.material);
        let opened = material.and_then(|one| Some((one.id.clone(), cipher::open(key, one, context, &sealed)?)));
        let (material, plain) = opened.ok_or_else(|| AwsError::bare("InvalidCiphertextException"))?;
        Ok((key, material, plain))
    }

    /// `DryRunModifiers: [IGNORE_CIPHERTEXT]` asks about permission alone.
    fn ignores_ciphertext(&self, call: &Call<'_>) -> Result<bool, AwsError> {
        let asked = call.input.list("DryRunModifiers")?.iter().any(|one| one == "IGNORE_CIPHERTEXT");
        if asked && !call.input.flag("DryRun")? {
            return Err(validation("DryRunModifiers can only be used with DryRun"));
        }
        Ok(asked)
    }
}

fn must_encrypt(call: &Call<'_>, key: &Key) -> Result<(), AwsError> {
    key.must_be_enabled()?;
    if key.usage != "ENCRYPT_DECRYPT" {
        return Err(wrong_usage(&key.arn, &key.usage, call.operation.name));
    }
    if key.spec.symmetric() { Ok(()) } else { Err(unsupported(format!("{} is not symmetric", key.arn))) }
}

fn data_key_length(call: &Call<'_>) -> Result<usize, AwsError> {
    let bytes = call.input.within("NumberOfBytes", 1, 1024)?;
    match (call.input.text("KeySpec")?, bytes) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        (None, Some(bytes)) => Ok(bytes as usize),
        _ => Err(validation("Please specify either number of bytes or key spec.")),
    }
}

fn incorrect_key() -> AwsError {
    let text = "The key ID in the request does not identify a CMK that can perform this operation.";
    AwsError::new("IncorrectKeyException", text)
}

/// Of a ciphertext under somebody else's key AWS does not say whose it is.
fn hidden(call: &Call<'_>, error: AwsError) -> AwsError {
    if error.code == "AccessDeniedException" && !error.message.as_deref().unwrap_or_default().contains(&call.place())
        || error.code == "NotFoundException"
    {
        let text = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
                    region, or you are not allowed to access.";
        return AwsError::new("AccessDeniedException", text);
    }
    error
}
