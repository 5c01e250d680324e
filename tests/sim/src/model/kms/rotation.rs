//! Rotation in place: by schedule and on demand. Old material stays, so that old ciphertext opens for ever.

use serde_json::{Value, json};

use super::error::unsupported;
use super::key::{DAY, Key, KeyState, Material, RotationKind, Schedule, seconds};
use super::{AwsError, Call, Kms, Outcome};
use crate::dice::Dice;

impl Kms {
    pub(super) fn enable_key_rotation(&mut self, call: &Call<'_>) -> Outcome {
        let days = call.input.within("RotationPeriodInDays", 90, 2560)?.unwrap_or(365);
        let key = self.find_mut(call, "KeyId")?;
        must_rotate(key)?;
        key.must_be_enabled()?;
        if key.schedule.as_ref().is_none_or(|schedule| schedule.period_days != days) {
            key.schedule = Some(Schedule { period_days: days, next: call.now + days * DAY });
        }
        Ok(Value::Null)
    }

    pub(super) fn disable_key_rotation(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find_mut(call, "KeyId")?;
        must_rotate(key)?;
        key.must_be_enabled()?;
        key.schedule = None;
        Ok(Value::Null)
    }

    pub(super) fn get_key_rotation_status(&mut self, call: &Call<'_>) -> Outcome {
        let key = self.find(call, "KeyId")?;
        must_rotate(key)?;
        let on = key.state != KeyState::PendingDeletion;
        let mut status = json!({ "KeyId": key.arn, "KeyRotationEnabled": on && key.schedule.is_some() });
        if let Some(schedule) = key.schedule.as_ref().filter(|_| on) {
            status["RotationPeriodInDays"] = json!(schedule.period_days);
            status["NextRotationDate"] = json!(seconds(schedule.next));
        }
        if let Some((asked, _)) = key.rotating {
            status["OnDemandRotationStartDate"] = json!(seconds(asked));
        }
        Ok(status)
    }

    pub(super) fn rotate_key_on_demand(&mut self, call: &Call<'_>) -> Outcome {
        let takes = self.dice.millis(self.steering.rotation_millis);
        let key = self.find_mut(call, "KeyId")?;
        must_rotate(key)?;
        key.must_be_enabled()?;
        let due_soon = key.schedule.as_ref().is_some_and(|schedule| schedule.next - call.now <= 20 * 60_000);
        if due_soon {
            return Err(AwsError::new("ConflictException", "An automatic rotation is due within 20 minutes"));
        }
        // A second request while one is under way joins it and costs nothing.
        if key.rotating.is_none() {
            if key.on_demand >= MOST_ON_DEMAND {
                let text = format!("You have reached the maximum of {MOST_ON_DEMAND} on-demand rotations for this key");
                return Err(AwsError::new("LimitExceededException", text));
            }
            key.on_demand += 1;
            key.rotating = Some((call.now, call.now + takes));
        }
        let arn = key.arn.clone();
        self.advance(call.now);
        Ok(json!({ "KeyId": arn }))
    }

    pub(super) fn list_key_rotations(&mut self, call: &Call<'_>) -> Outcome {
        let all = match call.input.text("IncludeKeyMaterial")? {
            None | Some("ROTATIONS_ONLY") => false,
            Some("ALL_KEY_MATERIAL") => true,
            Some(other) => {
                let text = format!("Value '{other}' at 'includeKeyMaterial' is not in the enum value set");
                return Err(super::error::validation(text));
            }
        };
        let key = self.find(call, "KeyId")?;
        must_rotate(key)?;
        let shown = |(_, material): &(usize, &Material)| all || material.rotation.is_some();
        let rows = key.materials.iter().enumerate().filter(shown).map(|(at, one)| (format!("{at:06}"), row(key, one)));
        let rows = rows.collect();
        self.page(call, "Rotations", 100, 1000, rows)
    }
}

/// Lets time do its work on one key. Disabled keys wait and catch up once; keys that wait for deletion do not rotate,
/// but a rotation on demand that was accepted ends also on a disabled key.
pub(super) fn advance(key: &mut Key, now: i64, dice: &mut Dice) {
    if let Some((_, done)) = key.rotating.filter(|(_, done)| *done <= now && key.state != KeyState::PendingDeletion) {
        key.rotating = None;
        push(key, done, RotationKind::OnDemand, dice);
    }
    while let Some(schedule) = key.schedule.as_mut().filter(|schedule| schedule.next <= now) {
        if key.state != KeyState::Enabled {
            return;
        }
        let at = schedule.next;
        schedule.next = at + schedule.period_days * DAY;
        push(key, at, RotationKind::Automatic, dice);
    }
}

fn push(key: &mut Key, at: i64, kind: RotationKind, dice: &mut Dice) {
    let since = key.current().since.max(at);
    key.materials.push(Material { id: dice.hex(32), since, rotation: Some(kind), secret: dice.bytes(32) });
}

fn must_rotate(key: &Key) -> Result<(), AwsError> {
    if key.spec.symmetric() { Ok(()) } else { Err(unsupported(format!("{} cannot be rotated", key.arn))) }
}

fn row(key: &Key, material: &Material) -> Value {
    let current = material.id == key.current().id;
    let mut row = json!({
        "KeyId": key.id,
        "KeyMaterialId": material.id,
        "KeyMaterialState": if current { "CURRENT" } else { "NON_CURRENT" },
    });
    if let Some(kind) = material.rotation {
        row["RotationDate"] = json!(seconds(material.since));
        row["RotationType"] = json!(if kind == RotationKind::Automatic { "AUTOMATIC" } else { "ON_DEMAND" });
    }
    row
}

const MOST_ON_DEMAND: u32 = 25;
