//! AWS KMS and the two operations of STS that lead to it.
//!
//! What it promises: accounts and Regions that cannot see each other, states that are enforced, real AES-256-GCM with
//! the encryption context as additional data, signatures over exactly the digest that was sent, rotation as time
//! passes with every material kept, AWS's codes for each refusal, and, while `unkind`, the things that break naive
//! callers: a fresh key or alias that is not there yet, pages shorter than asked for, request quotas.
//!
//! What it does not do: check signatures (the access key id and the Region are read from the credential scope; nothing
//! else is looked at, also not the date), policies and grants (a principal of the owning account may do everything
//! that [`Steering::denials`] does not take away; another account only what [`Steering::shares`] gives), multi-Region
//! replicas, imported material, custom key stores, MACs, RSA encryption, key agreement, post-quantum keys, CloudTrail,
//! `GrantTokens`, `Recipient`. Changes of a known key are seen everywhere at once; only creations and moved aliases are
//! late. Key material lies in the clear in memory and in the state file: it protects nothing.

mod alias;
mod cipher;
mod data;
mod error;
mod input;
mod key;
mod lifecycle;
mod operations;
mod paging;
mod registry;
mod rotation;
mod session;
mod sign;
mod spec;
mod tag;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::alias::Alias;
pub use self::error::AwsError;
pub use self::key::{Key, KeyState, Material, RotationKind, Schedule};
pub use self::session::{Credentials, Session};
pub use self::spec::KeySpec;

use self::error::access_denied;
use self::input::Input;
use self::operations::{OPERATIONS, Operation};
use crate::dice::Dice;
use crate::model::bucket::{Bucket, Rate};

/// Who calls, and into which Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// For example `eu-west-1`.
    pub region: String,
    /// The ARN of the user or of the assumed role.
    pub principal: String,
}

/// Takes an operation away from a principal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Denial {
    /// A part of the principal's ARN, for example a role's name.
    pub principal: String,
    /// An operation, or `*`.
    pub operation: String,
    /// A part of the key's ARN; empty for all keys.
    pub key: String,
}

/// Lets another account use a key, as a key policy would.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    /// The ARN of the key.
    pub key: String,
    /// The account that may use it.
    pub account: String,
}

/// What a test or `clavigerd dev` may turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Steering {
    /// The longest time, in milliseconds, that a fresh key or alias stays unseen.
    pub consistency_millis: i64,
    /// Count requests against the published quotas and answer `ThrottlingException` beyond them.
    pub quotas: bool,
    /// Give pages that are shorter than asked for.
    pub short_pages: bool,
    /// The longest time that a rotation on demand takes.
    pub rotation_millis: i64,
    /// How many keys fit into an account's Region; then `LimitExceededException`.
    pub key_limit: usize,
    /// What is forbidden to whom.
    pub denials: Vec<Denial>,
    /// Who else may use a key.
    pub shares: Vec<Share>,
    /// Roles (parts of their ARN) that nobody may assume.
    pub unassumable: Vec<String>,
    /// Let the credentials of assumed roles expire. Switch it off where the callers' clock is not the model's.
    pub sessions_expire: bool,
}

impl Steering {
    /// How a fresh world begins.
    pub fn new(unkind: bool) -> Self {
        Self {
            consistency_millis: if unkind { 800 } else { 0 },
            quotas: unkind,
            short_pages: unkind,
            rotation_millis: if unkind { 120_000 } else { 0 },
            key_limit: 100_000,
            denials: Vec::new(),
            shares: Vec::new(),
            unassumable: Vec::new(),
            sessions_expire: true,
        }
    }
}

/// KMS and STS of the whole world: all accounts, all Regions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kms {
    /// What may be turned.
    pub steering: Steering,
    dice: Dice,
    keys: BTreeMap<String, Key>,
    aliases: BTreeMap<String, Alias>,
    sessions: BTreeMap<String, Session>,
    #[serde(skip)]
    buckets: BTreeMap<String, Bucket>,
    #[serde(skip)]
    request_ids: Dice,
}

/// One request on its way.
struct Call<'a> {
    now: i64,
    caller: &'a Caller,
    operation: &'static Operation,
    input: Input<'a>,
}

impl Kms {
    /// An empty world.
    pub fn new(seed: u64, unkind: bool) -> Self {
        Self {
            steering: Steering::new(unkind),
            dice: Dice::new(seed, "kms"),
            keys: BTreeMap::new(),
            aliases: BTreeMap::new(),
            sessions: BTreeMap::new(),
            buckets: BTreeMap::new(),
            request_ids: Dice::new(seed, "request ids"),
        }
    }

    /// Does one operation (the part of `X-Amz-Target` behind the dot) on the JSON that AWS's API describes. An
    /// operation without output gives `Value::Null`.
    ///
    /// # Errors
    /// AWS's refusals.
    pub fn call(&mut self, now: i64, caller: &Caller, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let operation = OPERATIONS
            .iter()
            .find(|known| known.name == operation)
            .ok_or_else(|| AwsError::bare("UnknownOperationException"))?;
        self.throttle(now, caller, operation)?;
        self.advance(now);
        (operation.run)(self, &Call { now, caller, operation, input: Input(input) })
    }

    /// All keys of all accounts and Regions that are not deleted yet, also those that nobody sees yet.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// All aliases; the map's key is the alias ARN.
    pub fn aliases(&self) -> &BTreeMap<String, Alias> {
        &self.aliases
    }

    /// How many keys were ever made and still stand in `account`.
    pub fn key_count(&self, account: &str) -> usize {
        self.keys.values().filter(|key| key.account == account).count()
    }

    /// A fresh request id, as every answer of AWS carries one.
    pub fn request_id(&mut self) -> String {
        self.request_ids.uuid().to_string()
    }

    /// Lets time do its work: automatic rotations, rotations on demand that end, deletions.
    pub fn advance(&mut self, now: i64) {
        let gone = |key: &Key| key.deletion.is_some_and(|at| at <= now);
        let gone: Vec<String> = self.keys.values().filter(|key| gone(key)).map(|key| key.arn.clone()).collect();
        for arn in gone {
            self.keys.remove(&arn);
            self.aliases.retain(|_, alias| alias.target != arn);
        }
        for key in self.keys.values_mut() {
            rotation::advance(key, now, &mut self.dice);
        }
    }

    /// Quotas are counted per calling account and Region, never per key owner.
    fn throttle(&mut self, now: i64, caller: &Caller, operation: &Operation) -> Result<(), AwsError> {
        if !self.steering.quotas {
            return Ok(());
        }
        let bucket = format!("{}/{}/{}", caller.account, caller.region, operation.quota);
        let rate = Rate::per(operation.per_second, 1000);
        let taken = self.buckets.entry(bucket).or_default().take(now, rate);
        taken.map_err(|_| AwsError::new("ThrottlingException", "Rate exceeded"))
    }

    fn authorise(&self, call: &Call<'_>, resource: &str) -> Result<(), AwsError> {
        let name = call.operation.name;
        let denied = self.steering.denials.iter().any(|denial| {
            call.caller.principal.contains(&denial.principal)
                && (denial.operation == "*" || denial.operation == name)
                && resource.contains(&denial.key)
        });
        if denied { Err(access_denied(&call.caller.principal, name, resource)) } else { Ok(()) }
    }
}

type Outcome = Result<Value, AwsError>;

#[cfg(test)]
mod tests;
