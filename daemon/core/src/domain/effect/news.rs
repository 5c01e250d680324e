//! What the outside said.

use claviger_config::{IssuerName, Name, Span};

use super::{
    acme::{Account, Opened, OrderSeen, Window},
    chain::{Chain, Issued},
    dns::DnsAnswer,
    edge::HostnameSeen,
    kms::KeySeen,
    outlet::{OutletSeen, ReloadSeen},
    sealed::{KeyUse, Sealed, SealedKey},
};

/// What the outside said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// The account key that was kept; absent when none was.
    AccountKey(IssuerName, Option<Sealed>),
    /// What an outlet held was taken over; absent when it cannot be used.
    Adopted(Option<Box<Issued>>),
    /// The alias points at the key.
    Aliased,
    /// Every proof was announced.
    Answered,
    /// Key and chain are in the outlet.
    Delivered(Name),
    /// The custom host name; absent when there is none.
    Hostname(Option<Box<HostnameSeen>>),
    /// What was issued, verified.
    Issued(Box<Chain>),
    /// The account key is kept.
    Kept(IssuerName),
    /// The key; absent when there is none.
    Key(Option<Box<KeySeen>>),
    /// A key was made.
    KeyCreated(String),
    /// A private key was made and wrapped.
    KeySealed(KeyUse, SealedKey),
    /// An order was opened.
    Opened(Box<Opened>),
    /// How far the order is.
    Order(Box<OrderSeen>),
    /// What the outlet holds.
    Outlet(Name, OutletSeen),
    /// What DNS shows.
    Records(Vec<DnsAnswer>),
    /// The account at the CA.
    Registered(Account),
    /// How the reload ended.
    Reloaded(Name, ReloadSeen),
    /// Rotation is on with that period.
    Rotation(Span),
    /// The CA's suggestion; absent when it offers none.
    Window(Option<Window>),
}

impl News {
    /// Its word in messages about news out of turn.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AccountKey(..) => "AccountKey",
            Self::Adopted(_) => "Adopted",
            Self::Aliased => "Aliased",
            Self::Answered => "Answered",
            Self::Delivered(_) => "Delivered",
            Self::Hostname(_) => "Hostname",
            Self::Issued(_) => "Issued",
            Self::Kept(_) => "Kept",
            Self::Key(_) => "Key",
            Self::KeyCreated(_) => "KeyCreated",
            Self::KeySealed(..) => "KeySealed",
            Self::Opened(_) => "Opened",
            Self::Order(_) => "Order",
            Self::Outlet(..) => "Outlet",
            Self::Records(_) => "Records",
            Self::Registered(_) => "Registered",
            Self::Reloaded(..) => "Reloaded",
            Self::Rotation(_) => "Rotation",
            Self::Window(_) => "Window",
        }
    }
}
