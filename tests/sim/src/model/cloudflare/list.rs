//! Lists: filters that exclude each other, and pages that are what the server grants.

use std::collections::BTreeMap;

use super::error::invalid;
use super::{Cloudflare, Hostname, Outcome};

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Ids in order.
    pub ids: Vec<String>,
    /// Which page, from 1.
    pub page: usize,
    /// The size that was granted.
    pub per_page: usize,
    /// All hostnames of the zone, whatever was filtered for.
    pub total_count: usize,
    /// Pages of what was filtered for.
    pub total_pages: usize,
}

/// The query of a list.
#[derive(Clone, Debug, Default)]
pub struct Filter(pub BTreeMap<String, String>);

impl Filter {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str, usual: usize) -> Outcome<usize> {
        let wrong = |_| invalid(1437, format!("Invalid filter {name}. Check your input and try again."));
        self.get(name).map_or(Ok(usual), |text| text.parse().map_err(wrong))
    }

    fn lets(&self, one: &Hostname) -> bool {
        let ssl = one.ssl.as_ref();
        let is = |name: &str, value: Option<&str>| self.get(name).is_none_or(|wanted| value == Some(wanted));
        let name = one.hostname.as_str();
        is("id", Some(&one.id))
            && self.get("hostname").is_none_or(|wanted| name.contains(wanted))
            && is("hostname.exact", Some(name))
            && self.get("hostname.contain").is_none_or(|wanted| name.contains(wanted))
            && self.get("hostname.startsWith").is_none_or(|wanted| name.starts_with(wanted))
            && is("hostname_status", Some(&one.status))
            && is("ssl_status", ssl.map(|ssl| ssl.status.as_str()))
            && is("certificate_authority", ssl.map(|ssl| ssl.authority.as_str()))
            && is("custom_origin_server", one.custom_origin_server.as_deref())
            && self.get("wildcard").is_none_or(|wanted| ssl.is_some_and(|ssl| ssl.wildcard) == (wanted == "true"))
            && self.get("ssl").is_none_or(|wanted| ssl.is_some() == (wanted == "1"))
    }
}

impl Cloudflare {
    /// `GET …/custom_hostnames`
    ///
    /// # Errors
    /// Filters that exclude each other, or are unknown.
    pub fn list(&mut self, now: i64, zone: &str, filter: &Filter) -> Outcome<Page> {
        self.open_zone(zone)?;
        if NAMES.iter().filter(|name| filter.get(name).is_some()).count() > 1 {
            return Err(invalid(1438, "Only one of id and the hostname filters can be used at a time."));
        }
        let (page, wanted) = (filter.number("page", 1)?.max(1), filter.number("per_page", 20)?);
        if wanted < 5 {
            return Err(invalid(1437, "Invalid filter per_page: at least 5."));
        }
        let per_page = wanted.min(self.steering.largest_page).min(1_000);
        let seen = |one: &&Hostname| one.zone == zone && one.listed_at <= now;
        let total_count = self.hostnames.values().filter(seen).count();
        let mut rows: Vec<&Hostname> = match filter.get("hostname.exact") {
            Some(name) => self.all_named(name).filter(seen).collect(),
            None => self.hostnames.values().filter(seen).collect(),
        };
        rows.retain(|one| filter.lets(one));
        self.sort(&mut rows, filter);
        let total_pages = rows.len().div_ceil(per_page);
        let ids = rows.into_iter().skip((page - 1) * per_page).take(per_page).map(|one| one.id.clone()).collect();
        Ok(Page { ids, page, per_page, total_count, total_pages })
    }

    fn sort(&self, rows: &mut [&Hostname], filter: &Filter) {
        rows.sort_by_key(|one| (one.created, one.id.clone()));
        if self.steering.newest_first {
            rows.reverse();
        }
        let status = |one: &&Hostname| one.ssl.as_ref().map(|ssl| ssl.status.clone());
        match filter.get("order") {
            Some("ssl") => rows.sort_by_key(|one| one.ssl.is_some()),
            Some("ssl_status") => rows.sort_by_key(status),
            _ => {}
        }
        if filter.get("direction") == Some("desc") {
            rows.reverse();
        }
    }
}

const NAMES: [&str; 5] = ["id", "hostname", "hostname.exact", "hostname.contain", "hostname.startsWith"];
