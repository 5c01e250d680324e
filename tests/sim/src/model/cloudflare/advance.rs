//! Time at work on both machines.

use super::certificate::{AUTHORITIES, DAY, Leaf, Ssl, VALIDATION_TRIES};
use super::hostname::{HOSTNAME_TRIES, RECHECK};
use super::{Cloudflare, Hostname, proof};
use crate::dice::Dice;
use crate::model::dns::Dns;

impl Cloudflare {
    /// Lets time do its work, one event after the other, each at its own moment.
    pub fn advance(&mut self, now: i64, dns: &Dns) {
        while let Some((at, id)) = self.agenda.first().cloned().filter(|(at, _)| *at <= now) {
            self.agenda.pop_first();
            self.wake(at, &id, dns);
            self.schedule(&id);
        }
    }

    fn wake(&mut self, at: i64, id: &str, dns: &Dns) {
        let Some(mut one) = self.hostnames.remove(id) else { return };
        let kept = self.step_hostname(at, &mut one, dns);
        if let Some(mut ssl) = one.ssl.take() {
            self.step_certificate(at, &one, &mut ssl, dns);
            one.ssl = Some(ssl);
        }
        if kept {
            self.hostnames.insert(id.to_owned(), one);
        } else {
            self.forget(&one);
        }
    }

    /// One step of ownership; false when the hostname vanishes.
    fn step_hostname(&mut self, at: i64, one: &mut Hostname, dns: &Dns) -> bool {
        if one.next_wake() > at {
            return true;
        }
        match one.status.as_str() {
            "pending" if one.checks.next <= at => self.check_ownership(at, one, dns),
            "active" if one.checks.next <= at => self.check_again(at, one, dns),
            "active_redeploying" if one.since + super::hostname::REDEPLOYING <= at => one.enter(at, "active"),
            "moved" if one.since + super::hostname::LONGEST_MOVED <= at => {
                one.enter(at, "deleted");
                return !(self.steering.drop_deleted && self.dice.hits(500));
            }
            _ => {}
        }
        true
    }

    fn check_ownership(&mut self, at: i64, one: &mut Hostname, dns: &Dns) {
        let Some(zone) = self.zones.get(&one.zone) else { return };
        let points = proof::points(at, dns, zone, &one.hostname);
        one.verification_errors = match zone.has_fallback(at) {
            false => vec!["Zone does not have a fallback origin set.".into()],
            true if points || proof::has_ownership_record(at, dns, one) => Vec::new(),
            true => vec!["custom hostname does not CNAME to this zone.".into()],
        };
        if one.verification_errors.is_empty() {
            one.pointed |= points;
            one.enter(at, "active");
            one.checks.next = at + RECHECK;
            self.move_away(at, &one.hostname);
        } else if one.checks.tries >= HOSTNAME_TRIES {
            one.enter(at, "moved");
        } else {
            one.checks.failed(at);
        }
    }

    /// An active hostname that pointed here and does so no longer has moved.
    fn check_again(&mut self, at: i64, one: &mut Hostname, dns: &Dns) {
        let Some(zone) = self.zones.get(&one.zone) else { return };
        let points = proof::points(at, dns, zone, &one.hostname);
        one.checks.next = at + RECHECK;
        if one.pointed && !points {
            one.verification_errors = vec!["custom hostname does not CNAME to this zone.".into()];
            one.enter(at, "moved");
        }
        one.pointed |= points;
    }

    /// Whoever proves a name takes it away from the others.
    fn move_away(&mut self, at: i64, hostname: &str) {
        let others = self.all_named(hostname).filter(|other| other.status == "active");
        let others: Vec<String> = others.map(|other| other.id.clone()).collect();
        for id in others {
            if let Some(other) = self.hostnames.get_mut(&id) {
                other.enter(at, "moved");
            }
            self.schedule(&id);
        }
    }

    /// One step of the certificate.
    fn step_certificate(&mut self, at: i64, one: &Hostname, ssl: &mut Ssl, dns: &Dns) {
        if ssl.next_wake() > at {
            return;
        }
        if ssl.expires().is_some_and(|end| end <= at) {
            ssl.leaves.clear();
            ssl.status = "expired".into();
            return;
        }
        let times = self.steering.times;
        match ssl.status.as_str() {
            "initializing" => ssl.status = "pending_validation".into(),
            "pending_validation" => self.check_validation(at, one, ssl, dns),
            "pending_issuance" => {
                ssl.leaves = leaves(at, ssl, self.steering.certificate_days * DAY, &mut self.dice);
                self.counts.issued += 1;
                (ssl.status, ssl.until) = ("pending_deployment".into(), at + self.dice.millis(times.deploying));
            }
            "pending_deployment" => ssl.status = "active".into(),
            "active" => ssl.order(at, self.dice.millis(times.initializing), &mut self.dice),
            _ => {}
        }
    }

    fn check_validation(&mut self, at: i64, one: &Hostname, ssl: &mut Ssl, dns: &Dns) {
        let Some(zone) = self.zones.get(&one.zone) else { return };
        let held = self.steering.high_risk.contains(&one.hostname) || one.status == "blocked";
        if held || !proof::validated(at, dns, zone, &one.hostname, ssl) {
            return self.wait_for_validation(at, ssl);
        }
        match proof::authority(at, dns, &one.hostname, ssl) {
            Ok(authority) => {
                ssl.authority = authority.name.into();
                ssl.validation_errors.clear();
                ssl.tokens.clear();
                (ssl.status, ssl.until) =
                    ("pending_issuance".into(), at + self.dice.millis(self.steering.times.issuing));
            }
            // A CA that refuses ends its order: the tokens of the next one are other tokens.
            Err(refused) => {
                ssl.validation_errors = vec![refused];
                ssl.draw_tokens(&mut self.dice);
                self.wait_for_validation(at, ssl);
            }
        }
    }

    fn wait_for_validation(&mut self, at: i64, ssl: &mut Ssl) {
        if ssl.checks.tries >= VALIDATION_TRIES {
            ssl.status = "validation_timed_out".into();
            return;
        }
        let life = AUTHORITIES.iter().find(|known| known.name == ssl.authority).map_or(14, |known| known.token_days);
        if at >= ssl.ordered + life * DAY {
            ssl.ordered = at;
            ssl.draw_tokens(&mut self.dice);
        }
        ssl.checks.failed(at);
    }
}

/// A pack: ECDSA and RSA.
fn leaves(at: i64, ssl: &Ssl, life: i64, dice: &mut Dice) -> Vec<Leaf> {
    let issuer = AUTHORITIES.iter().find(|known| known.name == ssl.authority).map_or("Unknown", |known| known.issuer);
    let mut leaf = |signature: &str| Leaf {
        id: dice.uuid().to_string(),
        signature: signature.into(),
        serial_number: dice.word("123456789", 38),
        fingerprint: dice.hex(32),
        issuer: issuer.into(),
        issued: at,
        expires: at + life,
    };
    vec![leaf("ECDSAWithSHA256"), leaf("SHA256WithRSA")]
}
