//! One file a verb: ask, and hand what came back to the printer.

pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod completion;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod hostname;
pub(crate) mod inventory;
pub(crate) mod keys;
pub(crate) mod plan;
pub(crate) mod renew;
pub(crate) mod status;
pub(crate) mod version;
pub(crate) mod wait;
