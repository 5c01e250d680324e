//! From CreateKey to the deletion.

use serde_json::{Value, json};

use super::error::{unsupported, validation};
use super::key::{DAY, Key, KeyState, Material, seconds};
use super::spec::KeySpec;
use super::{AwsError, Call, Kms, Outcome, tag};

impl Kms {
    pub(super) fn create_key(&mut self, call: &Call<'_>) -> Outcome {
        self.authorise(call, "*")?;
        let (spec, usage) = wanted_kind(call)?;
        let tags = tag::read(call.input.list("Tags")?)?;
        if matches!(call.input.text("Origin")?, Some(origin) if origin != "AWS_KMS") {
            return Err(unsupported("Origin must be AWS_KMS"));
        }
        if self.keys.values().filter(|key| key.arn.starts_with(&call.place())).count() >= self.steering.key_limit {
            return Err(AwsError::new("LimitExceededException", "You have reached the maximum number of keys"));
        }
        let mut key = self.fresh_key(call, spec, usage)?;
        key.tags = tags;
        let answer = json!({ "KeyMetadata": key.metadata() });
        self.keys.insert(key.arn.clone(), key);
        Ok(answer)
    }

    pub(super) fn describe_key(&mut self, call: &Call<'_>) -> Outcome {
        Ok(json!({ "KeyMetadata": self.find(call, "KeyId")?.metadata() }))
    }

    pub(super) fn update_key_description(&mut self, call: &Call<'_>) -> Outcome {
        let description = call.input.text("Description")?.unwrap_or_default().to_owned();
        let key = self.find_mut(call, "KeyId")?;
        key.must_stay()?;
        key.description = description;
        Ok(Value::Null)
    }

    pub(super) fn enable_key(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find_mut(call, "KeyId")?;
        key.must_stay()?;
        key.state = KeyState::Enabled;
        self.advance(call.now);
        Ok(Value::Null)
    }

    pub(super) fn disable_key(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find_mut(call, "KeyId")?;
        key.must_stay()?;
        key.state = KeyState::Disabled;
        Ok(Value::Null)
    }

    pub(super) fn schedule_key_deletion(&mut self, call: &Call<'_>) -> Outcome {
        let days = call.input.within("PendingWindowInDays", 7, 30)?.unwrap_or(30);
        let key = self.find_mut(call, "KeyId")?;
        key.must_stay()?;
        let at = call.now + days * DAY;
        (key.state, key.deletion) = (KeyState::PendingDeletion, Some(at));
        Ok(json!({
            "KeyId": key.arn,
            "DeletionDate": seconds(at),
            "KeyState": "PendingDeletion",
            "PendingWindowInDays": days,
        }))
    }

    pub(super) fn cancel_key_deletion(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find_mut(call, "KeyId")?;
        if key.state != KeyState::PendingDeletion {
            return Err(super::error::invalid_state(&key.arn, "not pending deletion"));
        }
        (key.state, key.deletion) = (KeyState::Disabled, None);
        Ok(json!({ "KeyId": key.arn }))
    }

    pub(super) fn list_keys(&mut self, call: &Call<'_>) -> Outcome {
        self.authorise(call, "*")?;
        let place = call.place();
        let rows = self
            .keys
            .values()
            .filter(|key| key.arn.starts_with(&place) && key.visible_at <= call.now)
            .map(|key| (key.id.clone(), json!({ "KeyId": key.id, "KeyArn": key.arn })))
            .collect();
        self.page(call, "Keys", 100, 1000, rows)
    }

    fn fresh_key(&mut self, call: &Call<'_>, spec: KeySpec, usage: String) -> Result<Key, AwsError> {
        let multi_region = call.input.flag("MultiRegion")?;
        let uuid = self.dice.uuid().to_string();
        let id = if multi_region { format!("mrk-{}", uuid.replace('-', "")) } else { uuid };
        let secret = spec.draw(&mut self.dice)?;
        let material = Material { id: self.dice.hex(32), since: call.now, rotation: None, secret };
        Ok(Key {
            arn: format!("{}:key/{id}", call.place()),
            id,
            account: call.caller.account.clone(),
            spec,
            usage,
            description: call.input.text("Description")?.unwrap_or_default().to_owned(),
            multi_region,
            state: KeyState::Enabled,
            created: call.now,
            tags: Default::default(),
            deletion: None,
            schedule: None,
            on_demand: 0,
            rotating: None,
            materials: vec![material],
            visible_at: call.now + self.dice.millis(self.steering.consistency_millis),
        })
    }
}

/// `KeySpec` (or its old name) and a usage that fits it.
fn wanted_kind(call: &Call<'_>) -> Result<(KeySpec, String), AwsError> {
    let name = match call.input.text("KeySpec")? {
        Some(name) => name,
        None => call.input.text("CustomerMasterKeySpec")?.unwrap_or("SYMMETRIC_DEFAULT"),
    };
    let spec = KeySpec::parse(name)?;
    // Only symmetric keys have a usage that goes without saying.
    let usage = call.input.text("KeyUsage")?.unwrap_or("ENCRYPT_DECRYPT");
    if spec.usages().contains(&usage) {
        return Ok((spec, usage.to_owned()));
    }
    match usage {
        "ENCRYPT_DECRYPT" if name.starts_with("RSA") && call.input.text("KeyUsage")?.is_some() => {
            Err(unsupported("RSA keys for encryption are not played"))
        }
        _ => Err(validation(format!("KeyUsage {usage} is not compatible with KeySpec {name}"))),
    }
}
