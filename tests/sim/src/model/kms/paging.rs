//! Lists in pages: a limit, a marker, `Truncated`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{AwsError, Call, Kms, Outcome};

impl Kms {
    /// Cuts a page out of `rows`, which are sorted by their first half. Short pages are legal, also empty ones are.
    pub(super) fn page(
        &mut self,
        call: &Call<'_>,
        field: &str,
        usual: i64,
        most: i64,
        rows: Vec<(String, Value)>,
    ) -> Outcome {
        let limit = call.input.within("Limit", 1, most)?.unwrap_or(usual) as usize;
        let after = call.input.text("Marker")?.map(open).transpose()?;
        let rest: Vec<_> =
            rows.into_iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after)).collect();
        let size = self.page_size(limit, rest.len());
        let marker = (size < rest.len()).then(|| rest[..size].last().map(|(name, _)| seal(name))).flatten();
        let values: Vec<Value> = rest.into_iter().take(size).map(|(_, value)| value).collect();
        let mut page = json!({ field: values, "Truncated": marker.is_some() });
        if let Some(marker) = marker {
            page["NextMarker"] = json!(marker);
        }
        Ok(page)
    }

    fn page_size(&mut self, limit: usize, left: usize) -> usize {
        let whole = limit.min(left);
        if self.steering.short_pages && whole > 1 && self.dice.hits(500) {
            return 1 + self.dice.below(whole as u64) as usize;
        }
        whole
    }
}

fn seal(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

fn open(marker: &str) -> Result<String, AwsError> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| AwsError::bare("InvalidMarkerException"))
}
