//! What a test or `clavigerd dev` may turn.

use serde::{Deserialize, Serialize};

use crate::model::bucket::Rate;

/// All levers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Steering {
    /// The largest page that is granted, whatever is asked for.
    pub largest_page: usize,
    /// Lists begin with the newest hostname, so that rows shift when one is made.
    pub newest_first: bool,
    /// The longest time until a fresh hostname shows in lists.
    pub list_delay_millis: i64,
    /// Put what has no order into any order, and show a setting that nobody set.
    pub shuffle: bool,
    /// A hostname that stayed moved too long vanishes in one of two cases, instead of staying as `deleted`.
    pub drop_deleted: bool,
    /// Requests in a window, and the window's length; beyond it everything is blocked for as long again.
    pub requests: Option<(u32, i64)>,
    /// Hostnames with a certificate that may be made; beyond it none for half a minute.
    pub issuance: Option<Rate>,
    /// Let the reserved top-level domain `.example` pass, which the real service refuses.
    pub allow_example: bool,
    /// Refuse a name that a hostname of any other zone has.
    pub unique_across_zones: bool,
    /// How long things take.
    pub times: Times,
    /// How long a certificate lasts, in days.
    pub certificate_days: i64,
    /// Names whose certificate stays `pending_validation`, as high-risk names do.
    pub high_risk: Vec<String>,
    /// The status with which a successful create is answered: 201 by the guide, 200 by the schema.
    pub created_status: u16,
    /// The status of a successful edit: 202 by the guide, 200 by the schema.
    pub edited_status: u16,
}

/// The longest time of each step in milliseconds; the dice choose within it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Times {
    /// Until there are validation records.
    pub initializing: i64,
    /// Until the CA has issued.
    pub issuing: i64,
    /// Until the certificate is at the edge.
    pub deploying: i64,
    /// Until the fallback origin is active.
    pub fallback: i64,
}

impl Steering {
    /// How a fresh world begins.
    pub fn new(unkind: bool) -> Self {
        let second = if unkind { 1_000 } else { 0 };
        Self {
            largest_page: if unkind { 50 } else { 1_000 },
            newest_first: unkind,
            list_delay_millis: 5 * second,
            shuffle: unkind,
            drop_deleted: unkind,
            requests: Some((1_200, 300_000)),
            issuance: Some(Rate { burst: 15, refill_micros: 4_000_000 }),
            allow_example: true,
            unique_across_zones: true,
            times: Times {
                initializing: 10 * second,
                issuing: 90 * second,
                deploying: 60 * second,
                fallback: 30 * second,
            },
            certificate_days: 90,
            high_risk: Vec::new(),
            created_status: 201,
            edited_status: 202,
        }
    }
}
