//! Zones, what they are entitled to, and who may touch them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{CloudflareError, invalid};
use super::show::date;
use super::{Cloudflare, Outcome};

/// A zone with SSL for SaaS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Zone {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What customers point at.
    pub target: String,
    /// Where traffic goes.
    pub fallback: Option<FallbackOrigin>,
    /// Is SSL for SaaS bought at all?
    pub enabled: bool,
    /// How many hostnames are paid for.
    pub allocated: u64,
    /// How many are possible at all; None on an enterprise plan, which is billed instead of refused.
    pub hard_cap: Option<u64>,
    /// Is custom metadata bought?
    pub metadata: bool,
    /// Are custom origins bought?
    pub custom_origin: bool,
    /// May the CA be chosen?
    pub choose_authority: bool,
    /// The id of DCV delegation.
    pub delegation: String,
}

/// The fallback origin of a zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FallbackOrigin {
    /// A hostname of the zone.
    pub origin: String,
    /// When it was set first.
    pub created: i64,
    /// When it was set last.
    pub updated: i64,
    /// From when on it is active.
    pub active_at: i64,
}

/// What an API token may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// Ids of zones.
    pub zones: Vec<String>,
    /// May it change anything?
    pub write: bool,
}

impl Zone {
    /// Is there a fallback origin that works?
    pub(super) fn has_fallback(&self, now: i64) -> bool {
        self.fallback.as_ref().is_some_and(|origin| origin.active_at <= now)
    }

    /// What a customer delegates `_acme-challenge` of a hostname to.
    pub fn delegation_target(&self, hostname: &str) -> String {
        format!("{hostname}.{}.dcv.cloudflare.com", self.delegation)
    }
}

impl Cloudflare {
    /// Adds a zone with everything bought, an active fallback origin and no hostname.
    pub fn add_zone(&mut self, now: i64, id: &str, target: &str) {
        let delegation = self.dice.hex(8);
        let origin = format!("fallback.{target}");
        let fallback = Some(FallbackOrigin { origin, created: now, updated: now, active_at: now });
        let zone = Zone {
            id: id.to_owned(),
            target: target.to_owned(),
            fallback,
            enabled: true,
            allocated: 100,
            hard_cap: None,
            metadata: true,
            custom_origin: true,
            choose_authority: false,
            delegation,
        };
        self.zones.entry(id.to_owned()).or_insert(zone);
    }

    /// Makes an API token, or changes what it may do.
    pub fn add_token(&mut self, token: &str, zones: &[&str], write: bool) {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        self.tokens.insert(token.to_owned(), Access { zones, write });
    }

    /// Takes a token back.
    pub fn revoke_token(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// A zone, to look.
    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.zones.get(id)
    }

    /// A zone, to steer.
    pub fn zone_mut(&mut self, id: &str) -> Option<&mut Zone> {
        self.zones.get_mut(id)
    }

    /// May this token do that in this zone?
    ///
    /// # Errors
    /// 401 for a token that nobody knows, 403 for one that may not.
    pub fn authorise(&self, token: Option<&str>, zone: Option<&str>, write: bool) -> Outcome<()> {
        let token = token.ok_or_else(|| {
            CloudflareError::new(400, 1403, "The request has no Authorization header. Check your input and try again.")
        })?;
        let access = self.tokens.get(token).ok_or_else(|| CloudflareError::new(401, 1000, "Invalid API Token"))?;
        let known =
            zone.is_none_or(|zone| access.zones.iter().any(|known| known == zone) && self.zones.contains_key(zone));
        if known && (access.write || !write) {
            Ok(())
        } else {
            Err(CloudflareError::new(403, 10000, "Authentication error"))
        }
    }

    /// `GET …/custom_hostnames/quota`
    ///
    /// # Errors
    /// The product is off.
    pub fn quota(&self, zone: &str) -> Outcome<Value> {
        let zone = self.open_zone(zone)?;
        let used = self.used(&zone.id);
        let exceeded = used >= zone.allocated;
        Ok(json!({ "allocated": zone.allocated, "used": used, "exceeded": exceeded, "hard_cap": zone.hard_cap }))
    }

    /// `GET …/dcv_delegation/uuid`
    ///
    /// # Errors
    /// The product is off.
    pub fn delegation(&self, zone: &str) -> Outcome<Value> {
        Ok(json!({ "uuid": self.open_zone(zone)?.delegation }))
    }

    /// `GET …/custom_hostnames/fallback_origin`
    ///
    /// # Errors
    /// There is none.
    pub fn fallback_origin(&self, now: i64, zone: &str) -> Outcome<Value> {
        let zone = self.zones.get(zone).filter(|zone| zone.enabled);
        let zone =
            zone.ok_or_else(|| CloudflareError::new(401, 1456, "Custom hostnames are not available for this zone."))?;
        let origin = zone.fallback.as_ref().ok_or_else(no_fallback)?;
        let status = if origin.active_at <= now { "active" } else { "initializing" };
        Ok(json!({
            "origin": origin.origin,
            "status": status,
            "errors": [],
            "created_at": date(origin.created),
            "updated_at": date(origin.updated),
        }))
    }

    /// `PUT …/custom_hostnames/fallback_origin`
    ///
    /// # Errors
    /// No origin in the body.
    pub fn set_fallback_origin(&mut self, now: i64, zone: &str, body: &Value) -> Outcome<Value> {
        let origin = body["origin"].as_str().filter(|origin| !origin.is_empty());
        let origin = origin.ok_or_else(|| invalid(1415, "Invalid origin. Check your input and try again."))?.to_owned();
        let active_at = now + self.dice.millis(self.steering.times.fallback);
        self.open_zone(zone)?;
        if let Some(found) = self.zones.get_mut(zone) {
            let created = found.fallback.as_ref().map_or(now, |origin| origin.created);
            found.fallback = Some(FallbackOrigin { origin, created, updated: now, active_at });
        }
        self.fallback_origin(now, zone)
    }

    /// `DELETE …/custom_hostnames/fallback_origin`
    ///
    /// # Errors
    /// There is none.
    pub fn delete_fallback_origin(&mut self, now: i64, zone: &str) -> Outcome<Value> {
        let mut last = self.fallback_origin(now, zone)?;
        last["status"] = json!("pending_deletion");
        if let Some(found) = self.zones.get_mut(zone) {
            found.fallback = None;
        }
        Ok(last)
    }

    /// A zone with the product switched on.
    pub(super) fn open_zone(&self, id: &str) -> Outcome<&Zone> {
        let off = || CloudflareError::new(403, 1404, "No quota has been allocated for this zone or for this account.");
        self.zones.get(id).filter(|zone| zone.enabled).ok_or_else(off)
    }

    /// A hostname counts, and is billed, until it is gone.
    pub(super) fn used(&self, zone: &str) -> u64 {
        self.used.get(zone).copied().unwrap_or(0)
    }
}

fn no_fallback() -> CloudflareError {
    CloudflareError::new(404, 1551, "No fallback origin has been set for this zone.")
}
