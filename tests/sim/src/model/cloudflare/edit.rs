//! PATCH, which is also the way to ask for another try, and DELETE.

use serde_json::Value;

use super::create::set_values;
use super::error::CloudflareError;
use super::hostname::Backoff;
use super::{Cloudflare, Hostname, Outcome, Ssl};

impl Cloudflare {
    /// Changes a hostname; without a change it starts the back-offs again and revives what was moved or timed out.
    ///
    /// # Errors
    /// There is none, it may not be changed, or the change is malformed.
    pub fn edit(&mut self, now: i64, zone: &str, id: &str, body: &Value) -> Outcome<()> {
        let status = self.find(zone, id)?.status.clone();
        if status == "pending_deletion" {
            return Err(CloudflareError::new(
                409,
                1439,
                "The custom hostname cannot be modified in its present state.",
            ));
        }
        self.check_entitlements(zone, body)?;
        let wish = self.wanted_certificate(zone, &body["ssl"])?;
        let Some(mut one) = self.hostnames.remove(id) else { return Err(missing()) };
        set_values(&mut one, body);
        self.restart_hostname(now, &mut one);
        self.restart_certificate(now, &mut one, wish, &body["ssl"]);
        self.agenda.remove(&(one.wake, id.to_owned()));
        one.wake = i64::MAX;
        self.hostnames.insert(id.to_owned(), one);
        self.schedule(id);
        self.counts.edited += 1;
        Ok(())
    }

    /// Deletes a hostname; its certificate is revoked with it.
    ///
    /// # Errors
    /// There is none.
    pub fn delete(&mut self, zone: &str, id: &str) -> Outcome<()> {
        self.find(zone, id)?;
        self.lose(id);
        self.counts.deleted += 1;
        Ok(())
    }

    pub(super) fn find(&self, zone: &str, id: &str) -> Outcome<&Hostname> {
        self.hostnames.get(id).filter(|one| one.zone == zone).ok_or_else(missing)
    }

    fn restart_hostname(&mut self, now: i64, one: &mut Hostname) {
        match one.status.as_str() {
            "active" => one.enter(now, "active_redeploying"),
            // The proof of ownership stays what it was.
            "pending" | "moved" | "deleted" => {
                one.enter(now, "pending");
                one.checks = Backoff::begin(now);
            }
            _ => {}
        }
    }

    fn restart_certificate(&mut self, now: i64, one: &mut Hostname, wish: Option<Ssl>, body: &Value) {
        let takes = self.dice.millis(self.steering.times.initializing);
        match (&mut one.ssl, wish) {
            (place @ None, Some(mut fresh)) => {
                fresh.order(now, takes, &mut self.dice);
                *place = Some(fresh);
            }
            (Some(ssl), Some(wish)) => {
                let other = (&ssl.method, ssl.wildcard) != (&wish.method, wish.wildcard)
                    || body["certificate_authority"].is_string() && ssl.wanted_authority != wish.wanted_authority;
                let settings_changed = body["settings"].is_object() && ssl.settings != wish.settings;
                take_over(ssl, wish, body);
                if other {
                    ssl.order(now, takes, &mut self.dice);
                } else {
                    self.refresh(now, ssl, settings_changed);
                }
            }
            (Some(ssl), None) => self.refresh(now, ssl, false),
            (None, None) => {}
        }
    }

    /// Tokens stay as long as their order lives.
    fn refresh(&mut self, now: i64, ssl: &mut Ssl, settings_changed: bool) {
        match ssl.status.as_str() {
            "pending_validation" => ssl.checks = Backoff::begin(now),
            "active" if settings_changed => {
                let takes = self.dice.millis(self.steering.times.deploying);
                (ssl.status, ssl.until) = ("pending_deployment".into(), now + takes);
            }
            "validation_timed_out" if !ssl.tokens.is_empty() => {
                ssl.status = "pending_validation".into();
                ssl.checks = Backoff::begin(now);
            }
            status if status.ends_with("_timed_out") || status == "expired" => {
                let takes = self.dice.millis(self.steering.times.initializing);
                ssl.order(now, takes, &mut self.dice);
            }
            _ => {}
        }
    }

    /// Puts the ownership machine into any state.
    pub fn force_status(&mut self, now: i64, id: &str, status: &str) {
        self.force(id, |one| {
            one.enter(now, status);
            one.checks = Backoff::begin(now);
        });
    }

    /// Puts the certificate machine into any state.
    pub fn force_ssl_status(&mut self, id: &str, status: &str) {
        self.force(id, |one| {
            if let Some(ssl) = &mut one.ssl {
                ssl.status = status.to_owned();
            }
        });
    }

    /// Makes another CA order of the same hostname: fresh tokens, nothing said.
    pub fn rotate_tokens(&mut self, id: &str) {
        let mut dice = self.dice.clone();
        self.force(id, |one| {
            if let Some(ssl) = &mut one.ssl {
                ssl.draw_tokens(&mut dice);
            }
        });
        self.dice = dice;
    }

    /// Loses a hostname without a word.
    pub fn lose(&mut self, id: &str) {
        if let Some(one) = self.hostnames.remove(id) {
            self.forget(&one);
        }
    }

    fn force(&mut self, id: &str, change: impl FnOnce(&mut Hostname)) {
        if let Some(one) = self.hostnames.get_mut(id) {
            change(one);
            self.schedule(id);
        }
    }
}

fn take_over(ssl: &mut Ssl, wish: Ssl, body: &Value) {
    (ssl.method, ssl.wildcard) = (wish.method, wish.wildcard);
    if body["settings"].is_object() {
        ssl.settings = wish.settings;
    }
    if body["certificate_authority"].is_string() {
        (ssl.wanted_authority, ssl.authority) = (wish.wanted_authority, wish.authority);
    }
    if body["bundle_method"].is_string() {
        ssl.bundle_method = wish.bundle_method;
    }
}

pub(super) fn missing() -> CloudflareError {
    CloudflareError::new(404, 1436, "The custom hostname was not found.")
}
