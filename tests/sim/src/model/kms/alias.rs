//! Aliases: names for keys, unique in an account's Region.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{not_found, validation};
use super::key::seconds;
use super::{AwsError, Call, Kms, Outcome};

/// An alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alias {
    /// With `alias/` in front.
    pub name: String,
    /// The ARN of the key.
    pub target: String,
    /// Since when it exists.
    pub created: i64,
    /// When it last got a target.
    pub updated: i64,
    /// Where parts of the service still point until `visible_at`.
    previous: Option<String>,
    visible_at: i64,
}

impl Alias {
    /// Where a request that comes now is led to.
    pub(super) fn seen_target(&self, now: i64) -> Option<&str> {
        if self.visible_at <= now { Some(&self.target) } else { self.previous.as_deref() }
    }
}

impl Kms {
    pub(super) fn create_alias(&mut self, call: &Call<'_>) -> Outcome {
        let (name, arn) = alias_name(call)?;
        let target = self.target_for_alias(call)?;
        if self.aliases.contains_key(&arn) {
            return Err(AwsError::new(
                "AlreadyExistsException",
                format!("An alias with the name {arn} already exists"),
            ));
        }
        let alias = Alias {
            name: name.to_owned(),
            target,
            created: call.now,
            updated: call.now,
            previous: None,
            visible_at: self.delay(call.now),
        };
        self.aliases.insert(arn, alias);
        Ok(Value::Null)
    }

    pub(super) fn update_alias(&mut self, call: &Call<'_>) -> Outcome {
        let (_, arn) = alias_name(call)?;
        let target = self.target_for_alias(call)?;
        let Some(old) = self.aliases.get(&arn) else { return Err(missing(&arn)) };
        let kind = |arn: &str| self.keys.get(arn).map(|key| (key.spec.symmetric(), key.usage.clone()));
        if kind(&old.target) != kind(&target) {
            return Err(validation(format!("Alias {arn} cannot be changed from a key of one kind to one of another")));
        }
        let visible_at = self.delay(call.now);
        if let Some(alias) = self.aliases.get_mut(&arn) {
            alias.previous = alias.seen_target(call.now).map(str::to_owned);
            (alias.target, alias.updated, alias.visible_at) = (target, call.now, visible_at);
        }
        Ok(Value::Null)
    }

    pub(super) fn delete_alias(&mut self, call: &Call<'_>) -> Outcome {
        let (_, arn) = alias_name(call)?;
        self.authorise(call, &arn)?;
        self.aliases.remove(&arn).map(|_| Value::Null).ok_or_else(|| missing(&arn))
    }

    pub(super) fn list_aliases(&mut self, call: &Call<'_>) -> Outcome {
        self.authorise(call, "*")?;
        let only =
            call.input.text("KeyId")?.map(|_| self.find(call, "KeyId").map(|key| key.arn.clone())).transpose()?;
        let place = call.place() + ":alias/";
        let rows = self
            .aliases
            .iter()
            .filter(|(arn, _)| arn.starts_with(&place))
            .filter_map(|(arn, alias)| alias.seen_target(call.now).map(|target| (arn, alias, target)))
            .filter(|(_, _, target)| only.as_deref().is_none_or(|only| only == *target))
            .map(|(arn, alias, target)| (arn.clone(), row(arn, alias, target)))
            .collect();
        self.page(call, "Aliases", 50, 100, rows)
    }

    /// The target must lie in the same account and Region, and carries at most 50 aliases.
    fn target_for_alias(&self, call: &Call<'_>) -> Result<String, AwsError> {
        let key = self.find(call, "TargetKeyId")?;
        key.must_stay()?;
        if self.aliases.values().filter(|alias| alias.target == key.arn).count() >= MOST_ALIASES {
            return Err(AwsError::new("LimitExceededException", format!("{} has {MOST_ALIASES} aliases", key.arn)));
        }
        Ok(key.arn.clone())
    }

    pub(super) fn delay(&mut self, now: i64) -> i64 {
        now + self.dice.millis(self.steering.consistency_millis)
    }
}

fn alias_name<'a>(call: &'a Call<'_>) -> Result<(&'a str, String), AwsError> {
    let name = call.input.need("AliasName")?;
    let rest = name
        .strip_prefix("alias/")
        .ok_or_else(|| AwsError::new("InvalidAliasNameException", "Alias must start with the prefix \"alias/\""))?;
    if rest.starts_with("aws/") {
        let text = "Alias name cannot start with the prefix \"alias/aws/\", which is reserved";
        return Err(AwsError::new("InvalidAliasNameException", text));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    if rest.is_empty() || name.len() > 256 || !rest.bytes().all(fits) {
        return Err(validation(format!(
            "1 validation error detected: Value '{name}' at 'aliasName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"
        )));
    }
    Ok((name, format!("{}:{name}", call.place())))
}

fn row(arn: &str, alias: &Alias, target: &str) -> Value {
    json!({
        "AliasName": alias.name,
        "AliasArn": arn,
        "TargetKeyId": target.rsplit('/').next(),
        "CreationDate": seconds(alias.created),
        "LastUpdatedDate": seconds(alias.updated),
    })
}

fn missing(arn: &str) -> AwsError {
    not_found(format!("Alias {arn} is not found."))
}

const MOST_ALIASES: usize = 50;
