//! Where an environment's keys lie, and what lies elsewhere.

use std::fmt;

use claviger_config::{Reason, environment::KmsNamespace};
use claviger_core::domain::failure::{Failure, Retry};

/// An AWS account and a Region in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The account, twelve digits.
    pub(super) account: String,
    /// The Region.
    pub(super) region: String,
}

impl Place {
    pub(super) fn of(kms: &KmsNamespace) -> Self {
        Self { account: kms.account_id.clone(), region: kms.region.clone() }
    }

    /// Whether the ARN of a key or an alias lies here.
    pub(super) fn holds(&self, arn: &str) -> bool {
        parts(arn).is_some_and(|(service, region, account, _)| {
            service == "kms" && region == self.region && account == self.account
        })
    }

    /// The ARN of a key that was answered, refused when it lies elsewhere.
    pub(super) fn own(&self, arn: &str) -> Result<(), Failure> {
        if self.holds(arn) && arn.contains(":key/") {
            return Ok(());
        }
        Err(self.elsewhere(&format!("the key {arn}")))
    }

    /// The alias with its account and Region: credentials of another account then meet a wall, where `alias/…` alone would lead
    /// them to a key of their own.
    pub(super) fn alias_arn(&self, alias: &str) -> String {
        format!("arn:{}:kms:{}:{}:{alias}", partition(&self.region), self.region, self.account)
    }

    /// A key that does not exist, to be asked for.
    pub(super) fn no_key(&self) -> String {
        self.alias_arn("key/00000000-0000-0000-0000-000000000000")
    }

    /// What was found does not lie here, and both places are named.
    pub(super) fn elsewhere(&self, found: &str) -> Failure {
        Failure::new(Reason::SeparationRefused, format!("found {found}; this environment's keys lie in {self}"))
            .retry(Retry::Never)
            .fix("compare `kms.accountId`, `kms.region`, `kms.assumeRole` and `kms.credentials` of the environment")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} in {}", self.account, self.region)
    }
}

/// The account that an ARN names; absent where it names none.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    parts(arn).map(|(.., account, _)| account).filter(|account| !account.is_empty())
}

/// Service, Region, account and resource of `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
fn parts(arn: &str) -> Option<(&str, &str, &str, &str)> {
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return None;
    }
    let _partition = parts.next()?;
    Some((parts.next()?, parts.next()?, parts.next()?, parts.next()?))
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
fn partition(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 6] = [
        ("cn-", "aws-cn"),
        ("eusc-", "aws-eusc"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ireland() -> Place {
        Place { account: "111111111111".to_owned(), region: "eu-west-1".to_owned() }
    }

    #[test]
    fn a_key_of_this_account_and_region_is_ours_to_ask_for() {
        ireland().own("arn:aws:kms:eu-west-1:111111111111:key/a").unwrap();
    }

    #[test]
    fn a_key_elsewhere_is_refused_and_both_places_are_named() {
        let foreign = [
            "arn:aws:kms:eu-west-1:222222222222:key/a",
            "arn:aws:kms:eu-west-2:111111111111:key/a",
            "arn:aws:iam:eu-west-1:111111111111:key/a",
            "arn:aws:kms:eu-west-1:111111111111:alias/a",
            "key/a",
            "",
        ];
        for arn in foreign {
            let refused = ireland().own(arn).unwrap_err();
            assert_eq!((refused.reason, refused.retry), (Reason::SeparationRefused, Retry::Never), "{arn}");
            assert!(refused.message.contains(arn), "{refused:?}");
            assert!(refused.message.contains("account 111111111111 in eu-west-1"), "{refused:?}");
        }
    }

    #[test]
    fn an_alias_is_asked_for_in_its_own_partition() {
        let at = |region: &str| Place { region: region.to_owned(), ..ireland() }.alias_arn("alias/a");
        assert_eq!(at("eu-west-1"), "arn:aws:kms:eu-west-1:111111111111:alias/a");
        assert_eq!(at("cn-north-1"), "arn:aws-cn:kms:cn-north-1:111111111111:alias/a");
        assert_eq!(at("us-gov-west-1"), "arn:aws-us-gov:kms:us-gov-west-1:111111111111:alias/a");
        assert_eq!(at("us-isob-east-1"), "arn:aws-iso-b:kms:us-isob-east-1:111111111111:alias/a");
    }

    #[test]
    fn the_account_of_a_principal_is_read() {
        assert_eq!(
            account_of("arn:aws:sts::222222222222:assumed-role/claviger/claviger-staging"),
            Some("222222222222")
        );
        assert_eq!(account_of("arn:aws:s3:::bucket"), None);
        assert_eq!(account_of("nobody"), None);
    }
}
