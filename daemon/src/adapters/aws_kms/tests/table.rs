use claviger_config::{Moment, Reason, Span};
use claviger_core::domain::{
    budget::Class,
    failure::{Done, Failure, Retry, Stops},
};

use crate::adapters::aws_kms::{
    asked::Asked,
    fault::{Fault, Refused},
    operation::Operation,
    place::Place,
};

const KEY: &str = "arn:aws:kms:eu-west-1:222222222222:key/a";

fn heard(operation: Operation, code: &str, status: u16, message: &str) -> Failure {
    let place = Place { account: "222222222222".to_owned(), region: "eu-west-1".to_owned() };
    let refused = Refused {
        code: code.to_owned(),
        status,
        message: message.to_owned(),
        request: Some("req-1".to_owned()),
        retry_after: None,
    };
    let asked = Asked {
        operation,
        place: &place,
        identity: "the role arn:aws:iam::222222222222:role/claviger",
        resource: KEY,
        now: Moment(0),
        draw: 1,
    };
    Fault::Refused(refused).failure(&asked)
}

#[test]
fn each_refusal_of_aws_has_its_reason_and_says_when_to_come_back() {
    use Reason::{
        CiphertextRefused, KeyDisabled, KeyPendingDeletion, KeyUnavailable, KmsDenied, KmsLimitExceeded, KmsRefused,
        KmsThrottled, KmsUnreachable,
    };
    let soon = Retry::At(Moment(2_001));
    let rows = [
        ("ThrottlingException", 400, "", KmsThrottled, soon),
        ("Throttling", 400, "", KmsThrottled, soon),
        ("RequestLimitExceeded", 503, "", KmsThrottled, soon),
        ("TooManyRequestsException", 429, "", KmsThrottled, soon),
        ("LimitExceededException", 400, "", KmsLimitExceeded, Retry::Never),
        ("AccessDeniedException", 400, "", KmsDenied, Retry::Later),
        ("ExpiredTokenException", 400, "", KmsDenied, Retry::Later),
        ("UnrecognizedClientException", 400, "", KmsDenied, Retry::Later),
        ("InvalidSignatureException", 400, "", KmsDenied, Retry::Later),
        ("DisabledException", 400, "", KeyDisabled, Retry::Later),
        ("KMSInvalidStateException", 400, "k is pending deletion.", KeyPendingDeletion, Retry::Later),
        ("KMSInvalidStateException", 400, "k is pending import.", KeyUnavailable, Retry::Later),
        ("NotFoundException", 400, "", KeyUnavailable, Retry::Later),
        ("InvalidCiphertextException", 400, "", CiphertextRefused, Retry::Never),
        ("IncorrectKeyException", 400, "", CiphertextRefused, Retry::Never),
        ("KeyUnavailableException", 500, "", KmsUnreachable, Retry::Later),
        ("KMSInternalException", 500, "", KmsUnreachable, Retry::Later),
        ("DependencyTimeoutException", 503, "", KmsUnreachable, Retry::Later),
        ("ConflictException", 400, "", KmsRefused, Retry::At(Moment(0) + Span::minutes(20))),
        ("InvalidKeyUsageException", 400, "", KmsRefused, Retry::Never),
        ("UnsupportedOperationException", 400, "", KmsRefused, Retry::Never),
        ("TagException", 400, "", KmsRefused, Retry::Never),
        ("ValidationException", 400, "", KmsRefused, Retry::Never),
        ("SomethingNew", 400, "", KmsRefused, Retry::Later),
        ("SomethingNew", 500, "", KmsUnreachable, Retry::Later),
    ];
    for (code, status, message, reason, retry) in rows {
        let failure = heard(Operation::CreateKey, code, status, message);
        assert_eq!((failure.reason, failure.retry), (reason, retry), "{code}");
        assert!(failure.message.contains(code) && failure.message.contains("req-1"), "{failure:?}");
        assert!(failure.message.contains("account 222222222222 in eu-west-1"), "{failure:?}");
        let expected = if reason == KmsThrottled { Stops::Budget(Class::KmsChanges) } else { Stops::Object };
        assert_eq!(failure.stops, expected, "{code}");
    }
}

#[test]
fn only_a_change_can_have_happened_all_the_same() {
    assert_eq!(heard(Operation::CreateKey, "KMSInternalException", 500, "").done, Done::Unknown);
    assert_eq!(heard(Operation::CreateKey, "KeyUnavailableException", 500, "").done, Done::No);
    assert_eq!(heard(Operation::DescribeKey, "KMSInternalException", 500, "").done, Done::No);
    assert_eq!(heard(Operation::Decrypt, "KMSInternalException", 500, "").done, Done::No);
}

#[test]
fn each_operation_stops_the_budget_that_it_pays_from() {
    let stops = |operation| heard(operation, "ThrottlingException", 400, "").stops;
    assert_eq!(stops(Operation::Decrypt), Stops::Budget(Class::KmsSymmetric));
    assert_eq!(stops(Operation::ListResourceTags), Stops::Budget(Class::KmsReads));
    assert_eq!(stops(Operation::EnableKeyRotation), Stops::Budget(Class::KmsChanges));
}

#[test]
fn a_denial_names_the_action_the_principal_and_the_key() {
    let words = "User: arn:aws:sts::222222222222:assumed-role/claviger/claviger-staging is not authorized to perform: \
                 kms:Decrypt on resource: arn:aws:kms:eu-west-1:222222222222:key/b because no identity-based policy \
                 allows the kms:Decrypt action";
    let failure = heard(Operation::Decrypt, "AccessDeniedException", 400, words);
    assert_eq!(failure.reason, Reason::KmsDenied);
    assert_eq!(
        failure.fix[0],
        "allow `kms:Decrypt` on arn:aws:kms:eu-west-1:222222222222:key/b to \
         arn:aws:sts::222222222222:assumed-role/claviger/claviger-staging, in its IAM policy and in the key's policy"
    );
    let terse = heard(Operation::Decrypt, "AccessDeniedException", 400, "");
    assert!(terse.message.contains("the role arn:aws:iam::222222222222:role/claviger"), "{terse:?}");
    assert!(terse.fix[0].contains("kms:Decrypt") && terse.fix[0].contains(KEY), "{terse:?}");
}

#[test]
fn a_denial_to_a_principal_of_another_account_is_a_mix_up_of_environments() {
    let words = "User: arn:aws:iam::333333333333:user/ci is not authorized to perform: kms:DescribeKey on resource: \
                 arn:aws:kms:eu-west-1:222222222222:alias/x because no resource-based policy allows the \
                 kms:DescribeKey action";
    let failure = heard(Operation::DescribeKey, "AccessDeniedException", 400, words);
    assert_eq!((failure.reason, failure.retry), (Reason::SeparationRefused, Retry::Never));
    assert!(failure.message.contains("333333333333") && failure.message.contains("222222222222"), "{failure:?}");
}

#[test]
fn a_flood_of_words_is_cut_and_stays_one_line() {
    let words = crate::adapters::aws_kms::words::shortened(&"a\nb\u{1b}".repeat(1000));
    assert!(words.len() <= 800 && !words.chars().any(char::is_control));
}
