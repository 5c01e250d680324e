use std::fmt;
use std::time::Duration;

use super::ApiCall;

/// What is done to a call.
#[derive(Clone, Debug)]
pub enum ApiFault {
    /// The API server does it, and the connection breaks before the answer.
    CutAfter,
    /// The connection breaks before the call reaches the API server.
    CutBefore,
    /// The API server does it, and its answer is half a JSON.
    Half,
    /// Nothing comes and nothing is closed; the call does not reach the API server.
    Hang,
    /// An answer of the API server's kind: status, reason, and the seconds of `Retry-After`.
    Status(u16, &'static str, Option<u32>),
    /// Everything stands still from now on, this call and all others, so that the client can be killed just here: after the API server
    /// has done it (`true`), or before.
    Stop(bool),
}

impl ApiFault {
    /// 409.
    pub const CONFLICT: Self = Self::Status(409, "Conflict", None);
    /// 410.
    pub const EXPIRED: Self = Self::Status(410, "Expired", None);

    /// 429, to be tried again after so many seconds.
    pub const fn too_many(seconds: u32) -> Self {
        Self::Status(429, "TooManyRequests", Some(seconds))
    }
}

/// To which calls something is done.
pub struct ApiRule {
    such: Box<dyn Fn(&ApiCall) -> bool + Send>,
    fault: ApiFault,
    pass: usize,
    left: Option<usize>,
}

impl ApiRule {
    /// To all such calls.
    pub fn on(such: impl Fn(&ApiCall) -> bool + Send + 'static, fault: ApiFault) -> Self {
        Self { such: Box::new(such), fault, pass: 0, left: None }
    }

    /// Lets the first so many pass.
    #[must_use]
    pub fn after(self, pass: usize) -> Self {
        Self { pass, ..self }
    }

    /// Is used up after so many.
    #[must_use]
    pub fn times(self, left: usize) -> Self {
        Self { left: Some(left), ..self }
    }

    /// What is to be done to this call.
    pub(super) fn meet(&mut self, call: &ApiCall) -> Option<ApiFault> {
        if self.left == Some(0) || !(self.such)(call) {
            return None;
        }
        if self.pass > 0 {
            self.pass -= 1;
            return None;
        }
        self.left.iter_mut().for_each(|left| *left -= 1);
        Some(self.fault.clone())
    }
}

impl fmt::Debug for ApiRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ApiRule").field("fault", &self.fault).field("left", &self.left).finish_non_exhaustive()
    }
}

/// How watches go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Watches {
    /// Every event is thrown away; after so long the API server says that it has forgotten what came between (410), so that the client
    /// lists anew and sees the last state only.
    Drop(Duration),
    /// The API server says 410 in the stream, of those that run and of those that begin.
    Expired,
    /// Events wait, and nothing is closed; they come when watches pass again: the client lives in the past.
    Hold,
    /// Events of so long a time come together, of each object the last one only, and no bookmarks.
    Merge(Duration),
    /// As they are.
    #[default]
    Pass,
    /// Every watch breaks off; one that begins tells once more all that watches on it have told so far, and goes on.
    Replay,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_lets_some_pass_and_is_used_up() {
        let mut rule = ApiRule::on(|call| call.verb == "patch", ApiFault::CONFLICT).after(1).times(2);
        let mut met = |verb| rule.meet(&ApiCall { verb, ..ApiCall::default() }).is_some();
        let calls = ["get", "patch", "patch", "get", "patch", "patch"];
        assert_eq!(calls.map(&mut met), [false, false, true, false, true, false]);
    }
}
