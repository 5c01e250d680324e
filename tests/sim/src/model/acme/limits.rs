//! Rate limits and pauses, with the numbers of [`Limits`](super::Limits).

use super::Acme;
use super::names::{base, registered_domain};
use super::problem::Problem;
use crate::model::bucket::Rate;

impl Acme {
    /// Pauses a name for an account, as after too many failures in a row.
    pub fn pause(&mut self, account: &str, name: &str) {
        let link = format!("https://portal.letsencrypt.example/sfe/v1/unpause?jwt={}", self.dice.hex(12));
        self.paused.insert(pair(account, name), link);
    }

    /// Lifts all pauses of an account, which is what the person behind the link does.
    pub fn unpause(&mut self, account: &str) {
        self.paused.retain(|key, _| !key.starts_with(&format!("{account}/")));
        self.failures_in_a_row.retain(|key, _| !key.starts_with(&format!("{account}/")));
    }

    /// A paused name is refused with a link and without `Retry-After`.
    pub(super) fn refuse_paused(&self, account: &str, names: &[String]) -> Result<(), Problem> {
        let paused: Vec<(&str, &String)> = names
            .iter()
            .map(|name| base(name).0)
            .filter_map(|name| Some((name, self.paused.get(&pair(account, name))?)))
            .collect();
        let Some((name, link)) = paused.first() else { return Ok(()) };
        let detail = format!(
            "Your account is temporarily prevented from requesting certificates for {name} and possibly \
             others. Please visit: {link}"
        );
        let problem = Problem::new("rateLimited", detail);
        Err(paused.iter().fold(problem, |whole, (name, _)| whole.about(name, Problem::new("rateLimited", "paused"))))
    }

    pub(super) fn limit_accounts(&mut self, now: i64) -> Result<(), Problem> {
        let Some(limits) = self.steering.limits.clone() else { return Ok(()) };
        self.take(now, "accounts", limits.accounts)
            .map_err(|wait| slow("too many new registrations from this IP address in the last 3h0m0s", wait))
    }

    /// `renewal`: it replaces a certificate inside its window, and no limit stops it.
    pub(super) fn limit_orders(
        &mut self,
        now: i64,
        account: &str,
        names: &[String],
        renewal: bool,
    ) -> Result<(), Problem> {
        let Some(limits) = self.steering.limits.clone().filter(|_| !renewal) else { return Ok(()) };
        for name in names.iter().map(|name| base(name).0) {
            let wait = self.wait(now, &format!("failures/{}", pair(account, name)), limits.failures);
            if wait > 0 {
                return Err(slow(&format!("too many failed authorizations for {name:?} in the last 1h0m0s"), wait));
            }
        }
        let set = names.join(",");
        let wait = self.wait(now, &format!("same/{set}"), limits.same_names);
        if wait > 0 {
            return Err(slow(
                "too many certificates already issued for this exact set of identifiers in the last 168h0m0s",
                wait,
            ));
        }
        // The same names again within 120 days are a renewal even without `replaces`.
        if self.was_issued_lately(now, names) {
            return Ok(());
        }
        for domain in domains(names) {
            let wait = self.wait(now, &format!("domain/{domain}"), limits.domain);
            if wait > 0 {
                return Err(slow(
                    &format!("too many certificates already issued for {domain:?} in the last 168h0m0s"),
                    wait,
                ));
            }
        }
        self.take(now, &format!("orders/{account}"), limits.orders)
            .map_err(|wait| slow("too many new orders from this account in the last 3h0m0s", wait))
    }

    /// Called before the certificate joins the others.
    pub(super) fn note_issued(&mut self, now: i64, names: &[String], renewal: bool) {
        let Some(limits) = self.steering.limits.clone().filter(|_| !renewal) else { return };
        let again = self.was_issued_lately(now, names);
        let _ = self.take(now, &format!("same/{}", names.join(",")), limits.same_names);
        for domain in domains(names).iter().filter(|_| !again) {
            let _ = self.take(now, &format!("domain/{domain}"), limits.domain);
        }
    }

    pub(super) fn note_success(&mut self, account: &str, name: &str) {
        self.failures_in_a_row.remove(&pair(account, name));
    }

    pub(super) fn note_failure(&mut self, now: i64, account: &str, name: &str) {
        let Some(limits) = self.steering.limits.clone() else { return };
        let _ = self.take(now, &format!("failures/{}", pair(account, name)), limits.failures);
        let count = self.failures_in_a_row.entry(pair(account, name)).or_insert(0);
        *count += 1;
        if *count >= limits.pause_after {
            self.pause(account, name);
        }
    }

    fn was_issued_lately(&self, now: i64, names: &[String]) -> bool {
        self.certificates.values().any(|one| one.names == names && one.issued + 120 * super::steering::DAY > now)
    }

    fn take(&mut self, now: i64, bucket: &str, rate: Rate) -> Result<(), i64> {
        self.buckets.entry(bucket.to_owned()).or_default().take(now, rate)
    }

    fn wait(&self, now: i64, bucket: &str, rate: Rate) -> i64 {
        self.buckets.get(bucket).map_or(0, |bucket| bucket.wait_millis(now, rate))
    }
}

fn pair(account: &str, name: &str) -> String {
    format!("{account}/{name}")
}

fn domains(names: &[String]) -> Vec<String> {
    let mut domains: Vec<String> = names.iter().map(|name| registered_domain(base(name).0)).collect();
    domains.sort();
    domains.dedup();
    domains
}

fn slow(detail: &str, wait: i64) -> Problem {
    let detail = format!("{detail}, retry after {}s: see https://letsencrypt.org/docs/rate-limits/", wait / 1000);
    Problem::new("rateLimited", detail).later(wait)
}
