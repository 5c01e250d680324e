//! Tags.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::validation;
use super::{AwsError, Call, Kms, Outcome};

impl Kms {
    pub(super) fn tag_resource(&mut self, call: &Call<'_>) -> Outcome {
        let tags = read(call.input.list("Tags")?)?;
        let key = self.find_mut(call, "KeyId")?;
        key.must_stay()?;
        let mut all = key.tags.clone();
        all.extend(tags);
        if all.len() > MOST_TAGS {
            return Err(AwsError::new("LimitExceededException", format!("A key has at most {MOST_TAGS} tags")));
        }
        key.tags = all;
        Ok(Value::Null)
    }

    pub(super) fn untag_resource(&mut self, call: &Call<'_>) -> Outcome {
        let names = call.input.list("TagKeys")?;
        let key = self.find_mut(call, "KeyId")?;
        key.must_stay()?;
        key.tags.retain(|name, _| !names.iter().any(|gone| gone == name));
        Ok(Value::Null)
    }

    pub(super) fn list_resource_tags(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find(call, "KeyId")?;
        let row = |(name, value): (&String, &String)| (name.clone(), json!({ "TagKey": name, "TagValue": value }));
        let rows = key.tags.iter().map(row).collect();
        self.page(call, "Tags", 50, 50, rows)
    }
}

/// Reads a list of tags, with AWS's limits.
pub(super) fn read(list: &[Value]) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in list {
        let (Some(name), Some(value)) = (tag["TagKey"].as_str(), tag["TagValue"].as_str()) else {
            return Err(validation("1 validation error detected: a tag needs TagKey and TagValue"));
        };
        if name.is_empty() || name.len() > 128 || value.len() > 256 || name.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::new("TagException", format!("Invalid tag {name}")));
        }
        if tags.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(AwsError::new("TagException", format!("Duplicate tag key {name}")));
        }
    }
    if tags.len() > MOST_TAGS { Err(AwsError::new("TagException", "Too many tags")) } else { Ok(tags) }
}

const MOST_TAGS: usize = 50;
