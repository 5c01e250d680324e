//! Accounts (RFC 8555 sections 7.1.2 and 7.3).

use serde::{Deserialize, Serialize};

use super::problem::{Problem, malformed, unauthorized};
use super::{Acme, Jwk};

/// The state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountStatus {
    /// It may be used.
    Valid,
    /// Its owner ended it.
    Deactivated,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The last part of its URL.
    pub id: String,
    /// Its key.
    pub key: Jwk,
    /// Its state.
    pub status: AccountStatus,
    /// Since when it exists.
    pub created: i64,
}

impl Acme {
    /// Finds the account of a key or makes one; true when it is new. Contacts are thrown away, as at Let's Encrypt.
    ///
    /// # Errors
    /// `accountDoesNotExist` when only an existing one was wanted; a deactivated account; missing agreement; limits.
    pub fn new_account(
        &mut self,
        now: i64,
        key: Jwk,
        only_existing: bool,
        agreed: bool,
    ) -> Result<(Account, bool), Problem> {
        if let Some(account) = self.account_of(&key) {
            let (account, status) = (account.clone(), account.status);
            return if status == AccountStatus::Valid { Ok((account, false)) } else { Err(deactivated()) };
        }
        if only_existing {
            return Err(no_account("No account exists with the provided key"));
        }
        if !agreed {
            return Err(malformed("must agree to terms of service"));
        }
        if self.blocked_keys.contains(&key.thumbprint()) {
            return Err(Problem::new("badPublicKey", "public key is forbidden"));
        }
        self.limit_accounts(now)?;
        let account = Account { id: self.fresh_id(), key, status: AccountStatus::Valid, created: now };
        self.accounts.insert(account.id.clone(), account.clone());
        self.counts.accounts += 1;
        Ok((account, true))
    }

    /// A usable account.
    ///
    /// # Errors
    /// It does not exist, or is deactivated.
    pub fn account(&self, id: &str) -> Result<&Account, Problem> {
        let account = self.accounts.get(id).ok_or_else(|| no_account(&format!("Account {id:?} not found")))?;
        if account.status == AccountStatus::Valid { Ok(account) } else { Err(deactivated()) }
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// Ends an account, by its owner or by a test.
    ///
    /// # Errors
    /// It does not exist.
    pub fn deactivate_account(&mut self, id: &str) -> Result<Account, Problem> {
        let account = self.accounts.get_mut(id).ok_or_else(|| no_account("no such account"))?;
        account.status = AccountStatus::Deactivated;
        Ok(account.clone())
    }

    /// Forgets an account, as a CA does that lost its memory. Its orders stay, unreachable.
    pub fn forget_account(&mut self, id: &str) {
        self.accounts.remove(id);
    }

    /// Gives an account another key.
    ///
    /// # Errors
    /// Another account has the key (status 409), or the account is gone.
    pub fn change_key(&mut self, id: &str, key: Jwk) -> Result<Account, Problem> {
        self.account(id)?;
        if self.account_of(&key).is_some() {
            return Err(malformed("New key is already in use for a different account").status(409));
        }
        let account = self.accounts.get_mut(id).ok_or_else(|| no_account("no such account"))?;
        account.key = key;
        Ok(account.clone())
    }

    /// The account of a key, whatever its state.
    pub fn account_of(&self, key: &Jwk) -> Option<&Account> {
        self.accounts.values().find(|account| account.key == *key)
    }
}

fn no_account(detail: &str) -> Problem {
    Problem::new("accountDoesNotExist", detail)
}

fn deactivated() -> Problem {
    unauthorized("Account is not valid, has status \"deactivated\"")
}
