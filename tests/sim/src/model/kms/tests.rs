use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::key::DAY;
use super::*;

const START: i64 = 1_790_000_000_000;

/// A world and its clock.
struct Tale {
    kms: Kms,
    now: i64,
}

impl Tale {
    fn kind() -> Self {
        Self { kms: Kms::new(1, false), now: START }
    }

    fn unkind() -> Self {
        Self { kms: Kms::new(1, true), now: START }
    }

    fn call(&mut self, account: &str, operation: &str, input: Value) -> Result<Value, &'static str> {
        self.call_from(&caller(account, "eu-west-1"), operation, input)
    }

    fn call_from(&mut self, caller: &Caller, operation: &str, input: Value) -> Result<Value, &'static str> {
        self.kms.call(self.now, caller, operation, &input).map_err(|error| error.code)
    }

    fn key(&mut self, account: &str, input: Value) -> String {
        self.call(account, "CreateKey", input).unwrap()["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    fn wrap(&mut self, key: &str, text: &str, context: Value) -> Value {
        let input = json!({ "KeyId": key, "Plaintext": STANDARD.encode(text), "EncryptionContext": context });
        self.call(STAGING, "Encrypt", input).unwrap()["CiphertextBlob"].clone()
    }

    fn material(&mut self, key: &str) -> String {
        self.call(STAGING, "DescribeKey", json!({ "KeyId": key })).unwrap()["KeyMetadata"]["CurrentKeyMaterialId"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn caller(account: &str, region: &str) -> Caller {
    Caller {
        account: account.into(),
        region: region.into(),
        principal: format!("arn:aws:sts::{account}:assumed-role/claviger/x"),
    }
}

const STAGING: &str = "222222222222";
const PRODUCTION: &str = "111111111111";

#[test]
fn what_was_encrypted_opens_with_the_same_key_and_context_only() {
    let mut tale = Tale::kind();
    let (key, other) = (tale.key(STAGING, json!({})), tale.key(STAGING, json!({})));
    let blob = tale.wrap(&key, "secret", json!({ "environment": "staging" }));
    let mut open = |key: &str, context: Value| {
        let input = json!({ "KeyId": key, "CiphertextBlob": blob, "EncryptionContext": context });
        tale.call(STAGING, "Decrypt", input)
    };
    let opened = open(&key, json!({ "environment": "staging" })).unwrap();
    assert_eq!(opened["Plaintext"], json!(STANDARD.encode("secret")));
    assert_eq!(opened["KeyMaterialId"].as_str().unwrap().len(), 64);
    assert_eq!(open(&key, json!({ "environment": "production" })), Err("InvalidCiphertextException"));
    assert_eq!(open(&key, json!({})), Err("InvalidCiphertextException"));
    assert_eq!(open(&other, json!({ "environment": "staging" })), Err("IncorrectKeyException"));
}

#[test]
fn a_changed_byte_anywhere_is_an_invalid_ciphertext() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let blob = STANDARD.decode(tale.wrap(&key, "secret", json!({})).as_str().unwrap()).unwrap();
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        let input = json!({ "KeyId": key, "CiphertextBlob": STANDARD.encode(changed) });
        assert_eq!(tale.call(STAGING, "Decrypt", input), Err("InvalidCiphertextException"), "byte {at}");
    }
}

#[test]
fn another_account_and_another_region_see_nothing() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let id = key.rsplit('/').next().unwrap().to_owned();
    tale.call(STAGING, "CreateAlias", json!({ "AliasName": "alias/w", "TargetKeyId": id })).unwrap();
    let blob = tale.wrap(&key, "secret", json!({}));
    let describe = |name: &str| json!({ "KeyId": name });
    assert_eq!(tale.call(PRODUCTION, "DescribeKey", describe(&key)), Err("AccessDeniedException"));
    assert_eq!(tale.call(PRODUCTION, "DescribeKey", describe(&id)), Err("NotFoundException"));
    assert_eq!(tale.call(PRODUCTION, "DescribeKey", describe("alias/w")), Err("NotFoundException"));
    let input = json!({ "CiphertextBlob": blob });
    assert_eq!(tale.call(PRODUCTION, "Decrypt", input), Err("AccessDeniedException"));
    let elsewhere = caller(STAGING, "us-east-1");
    assert_eq!(tale.call_from(&elsewhere, "DescribeKey", describe(&key)), Err("NotFoundException"));
    assert_eq!(tale.call_from(&elsewhere, "ListKeys", json!({})).unwrap()["Keys"], json!([]));
}

#[test]
fn a_shared_key_can_be_used_from_outside_and_managed_from_inside_only() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    tale.kms.steering.shares.push(Share { key: key.clone(), account: PRODUCTION.into() });
    assert!(tale.call(PRODUCTION, "GenerateDataKey", json!({ "KeyId": key, "KeySpec": "AES_256" })).is_ok());
    assert_eq!(tale.call(PRODUCTION, "DisableKey", json!({ "KeyId": key })), Err("AccessDeniedException"));
}

#[test]
fn a_denied_operation_is_refused_to_that_role_alone() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let denial = Denial { principal: "assumed-role/claviger".into(), operation: "Decrypt".into(), key: String::new() };
    tale.kms.steering.denials.push(denial);
    let input = json!({ "KeyId": key, "DryRun": true, "DryRunModifiers": ["IGNORE_CIPHERTEXT"] });
    assert_eq!(tale.call(STAGING, "Decrypt", input.clone()), Err("AccessDeniedException"));
    let person = Caller { principal: "arn:aws:iam::222222222222:user/ops".into(), ..caller(STAGING, "eu-west-1") };
    assert_eq!(tale.call_from(&person, "Decrypt", input), Err("DryRunOperationException"));
}

#[test]
fn a_dry_run_does_nothing() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let before = serde_json::to_string(&tale.kms).unwrap();
    let input = json!({ "KeyId": key, "Plaintext": "YQ==", "DryRun": true });
    assert_eq!(tale.call(STAGING, "Encrypt", input), Err("DryRunOperationException"));
    assert_eq!(serde_json::to_string(&tale.kms).unwrap(), before);
}

#[test]
fn a_fresh_key_is_not_there_at_once() {
    let mut tale = Tale::unkind();
    let late = (0..5).any(|_| {
        tale.now += 1_000;
        let key = tale.key(STAGING, json!({}));
        let first = tale.call(STAGING, "DescribeKey", json!({ "KeyId": key }));
        tale.now += 800;
        assert!(tale.call(STAGING, "DescribeKey", json!({ "KeyId": key })).is_ok());
        first == Err("NotFoundException")
    });
    assert!(late, "five keys and all were there at once");
}

#[test]
fn more_requests_than_the_quota_are_throttled_for_that_account_alone() {
    let mut tale = Tale::unkind();
    for _ in 0..5 {
        tale.key(STAGING, json!({}));
    }
    assert_eq!(tale.call(STAGING, "CreateKey", json!({})), Err("ThrottlingException"));
    assert!(tale.call(PRODUCTION, "CreateKey", json!({})).is_ok());
    tale.now += 1_000;
    assert!(tale.call(STAGING, "CreateKey", json!({})).is_ok());
}

#[test]
fn lists_are_whole_when_every_page_is_asked_for() {
    let mut tale = Tale::unkind();
    for at in 0..12 {
        tale.now += 1_000;
        let key = tale.key(STAGING, json!({}));
        tale.now += 1_000;
        tale.call(STAGING, "CreateAlias", json!({ "AliasName": format!("alias/a{at}"), "TargetKeyId": key })).unwrap();
    }
    tale.now += 1_000;
    for (operation, field) in [("ListKeys", "Keys"), ("ListAliases", "Aliases")] {
        let (mut seen, mut marker, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let page = tale.call(STAGING, operation, json!({ "Limit": 5, "Marker": marker })).unwrap();
            seen.extend(page[field].as_array().unwrap().clone());
            (marker, pages) = (page["NextMarker"].clone(), pages + 1);
            if page["Truncated"] == json!(false) {
                break;
            }
        }
        assert!(pages >= 3);
        assert_eq!(seen.len(), 12, "{operation}");
    }
    assert_eq!(tale.call(STAGING, "ListKeys", json!({ "Marker": "!" })), Err("InvalidMarkerException"));
}

#[test]
fn an_alias_leads_to_its_key_and_can_be_moved_to_one_of_the_same_kind() {
    let mut tale = Tale::kind();
    let (first, second) = (tale.key(STAGING, json!({})), tale.key(STAGING, json!({})));
    let signing = tale.key(STAGING, json!({ "KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY" }));
    let alias = |target: &str| json!({ "AliasName": "alias/claviger/staging/w", "TargetKeyId": target });
    tale.call(STAGING, "CreateAlias", alias(&first)).unwrap();
    assert_eq!(tale.call(STAGING, "CreateAlias", alias(&second)), Err("AlreadyExistsException"));
    assert_eq!(tale.call(STAGING, "UpdateAlias", alias(&signing)), Err("ValidationException"));
    tale.call(STAGING, "UpdateAlias", alias(&second)).unwrap();
    let described = tale.call(STAGING, "DescribeKey", json!({ "KeyId": "alias/claviger/staging/w" })).unwrap();
    assert_eq!(described["KeyMetadata"]["Arn"], json!(second));
    assert_eq!(
        tale.call(STAGING, "DisableKey", json!({ "KeyId": "alias/claviger/staging/w" })),
        Err("NotFoundException")
    );
    let reserved = json!({ "AliasName": "alias/aws/w", "TargetKeyId": first });
    assert_eq!(tale.call(STAGING, "CreateAlias", reserved), Err("InvalidAliasNameException"));
}

#[test]
fn time_rotates_a_key_and_old_ciphertext_still_opens() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let short = json!({ "KeyId": key, "RotationPeriodInDays": 89 });
    assert_eq!(tale.call(STAGING, "EnableKeyRotation", short), Err("ValidationException"));
    tale.call(STAGING, "EnableKeyRotation", json!({ "KeyId": key, "RotationPeriodInDays": 90 })).unwrap();
    let (first, blob) = (tale.material(&key), tale.wrap(&key, "secret", json!({})));
    tale.now += 90 * DAY;
    assert_ne!(tale.material(&key), first);
    let opened = tale.call(STAGING, "Decrypt", json!({ "KeyId": key, "CiphertextBlob": blob })).unwrap();
    assert_eq!(opened["KeyMaterialId"], json!(first));
    let moved = json!({ "SourceKeyId": key, "DestinationKeyId": key, "CiphertextBlob": blob });
    let moved = tale.call(STAGING, "ReEncrypt", moved).unwrap();
    assert_eq!(moved["SourceKeyMaterialId"], json!(first));
    assert_eq!(moved["DestinationKeyMaterialId"], json!(tale.material(&key)));
    let status = tale.call(STAGING, "GetKeyRotationStatus", json!({ "KeyId": key })).unwrap();
    assert_eq!(status["NextRotationDate"], json!((START + 180 * DAY) as f64 / 1000.0));
    let list = json!({ "KeyId": key, "IncludeKeyMaterial": "ALL_KEY_MATERIAL" });
    let list = tale.call(STAGING, "ListKeyRotations", list).unwrap();
    let states: Vec<_> =
        list["Rotations"].as_array().unwrap().iter().map(|row| row["KeyMaterialState"].clone()).collect();
    assert_eq!(states, [json!("NON_CURRENT"), json!("CURRENT")]);
}

#[test]
fn a_disabled_key_does_not_rotate_and_catches_up() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    tale.call(STAGING, "EnableKeyRotation", json!({ "KeyId": key, "RotationPeriodInDays": 90 })).unwrap();
    let first = tale.material(&key);
    tale.call(STAGING, "DisableKey", json!({ "KeyId": key })).unwrap();
    tale.now += 100 * DAY;
    assert_eq!(tale.material(&key), first);
    tale.call(STAGING, "EnableKey", json!({ "KeyId": key })).unwrap();
    assert_ne!(tale.material(&key), first);
}

#[test]
fn a_rotation_on_demand_takes_its_time_and_there_are_25_of_them() {
    let mut tale = Tale::kind();
    tale.kms.steering.rotation_millis = 120_000;
    let key = tale.key(STAGING, json!({}));
    for _ in 0..25 {
        let before = tale.material(&key);
        tale.call(STAGING, "RotateKeyOnDemand", json!({ "KeyId": key })).unwrap();
        tale.call(STAGING, "RotateKeyOnDemand", json!({ "KeyId": key })).unwrap();
        tale.now += 120_000;
        assert_ne!(tale.material(&key), before);
    }
    assert_eq!(tale.call(STAGING, "RotateKeyOnDemand", json!({ "KeyId": key })), Err("LimitExceededException"));
}

#[test]
fn states_are_enforced_up_to_the_deletion() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let named = json!({ "KeyId": key });
    let wrap = json!({ "KeyId": key, "Plaintext": "YQ==" });
    tale.call(STAGING, "DisableKey", named.clone()).unwrap();
    assert_eq!(tale.call(STAGING, "Encrypt", wrap.clone()), Err("DisabledException"));
    tale.call(STAGING, "ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).unwrap();
    assert_eq!(tale.call(STAGING, "Encrypt", wrap.clone()), Err("KMSInvalidStateException"));
    assert_eq!(tale.call(STAGING, "EnableKey", named.clone()), Err("KMSInvalidStateException"));
    tale.call(STAGING, "CancelKeyDeletion", named.clone()).unwrap();
    assert_eq!(tale.call(STAGING, "Encrypt", wrap), Err("DisabledException"));
    tale.call(STAGING, "ScheduleKeyDeletion", named.clone()).unwrap();
    tale.now += 30 * DAY;
    assert_eq!(tale.call(STAGING, "DescribeKey", named), Err("NotFoundException"));
}

#[test]
fn a_digest_is_signed_as_it_is() {
    let mut tale = Tale::kind();
    for (spec, algorithm, length) in [
        ("ECC_NIST_P256", "ECDSA_SHA_256", 32),
        ("ECC_NIST_P384", "ECDSA_SHA_384", 48),
        ("ECC_NIST_P521", "ECDSA_SHA_512", 64),
        ("RSA_2048", "RSASSA_PSS_SHA_256", 32),
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_384", 48),
    ] {
        let key = tale.key(STAGING, json!({ "KeySpec": spec, "KeyUsage": "SIGN_VERIFY" }));
        let hash = match length {
            32 => &aws_lc_rs::digest::SHA256,
            48 => &aws_lc_rs::digest::SHA384,
            _ => &aws_lc_rs::digest::SHA512,
        };
        let digest = aws_lc_rs::digest::digest(hash, b"message");
        let by = |kind: &str, message: &[u8]| json!({ "KeyId": key, "SigningAlgorithm": algorithm, "MessageType": kind, "Message": STANDARD.encode(message) });
        let signed = tale.call(STAGING, "Sign", by("DIGEST", digest.as_ref())).unwrap();
        let mut check = by("RAW", b"message");
        check["Signature"] = signed["Signature"].clone();
        assert!(tale.call(STAGING, "Verify", check.clone()).is_ok(), "{spec} {algorithm}");
        check["Message"] = json!(STANDARD.encode("other"));
        assert_eq!(tale.call(STAGING, "Verify", check), Err("KMSInvalidSignatureException"));
        assert_eq!(tale.call(STAGING, "Sign", by("DIGEST", &[0; 20])), Err("ValidationException"));
    }
}

#[test]
fn a_key_is_used_for_what_it_is_for() {
    let mut tale = Tale::kind();
    let (wrapping, signing) = (
        tale.key(STAGING, json!({})),
        tale.key(STAGING, json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" })),
    );
    let sign = json!({ "KeyId": wrapping, "SigningAlgorithm": "ECDSA_SHA_256", "Message": "YQ==" });
    assert_eq!(tale.call(STAGING, "Sign", sign), Err("InvalidKeyUsageException"));
    assert_eq!(tale.call(STAGING, "GetPublicKey", json!({ "KeyId": wrapping })), Err("UnsupportedOperationException"));
    let data_key = json!({ "KeyId": signing, "KeySpec": "AES_256" });
    assert_eq!(tale.call(STAGING, "GenerateDataKey", data_key), Err("InvalidKeyUsageException"));
    assert_eq!(
        tale.call(STAGING, "EnableKeyRotation", json!({ "KeyId": signing })),
        Err("UnsupportedOperationException")
    );
}

#[test]
fn tags_are_kept_and_the_reserved_ones_refused() {
    let mut tale = Tale::kind();
    let tag = |name: &str, value: &str| json!({ "TagKey": name, "TagValue": value });
    let key = tale.key(STAGING, json!({ "Tags": [tag("claviger.dev/environment", "staging")] }));
    tale.call(STAGING, "TagResource", json!({ "KeyId": key, "Tags": [tag("owner", "itops")] })).unwrap();
    tale.call(STAGING, "UntagResource", json!({ "KeyId": key, "TagKeys": ["claviger.dev/environment"] })).unwrap();
    let tags = tale.call(STAGING, "ListResourceTags", json!({ "KeyId": key })).unwrap();
    assert_eq!(tags["Tags"], json!([tag("owner", "itops")]));
    let reserved = json!({ "KeyId": key, "Tags": [tag("aws:x", "1")] });
    assert_eq!(tale.call(STAGING, "TagResource", reserved), Err("TagException"));
}

#[test]
fn a_full_account_is_a_hard_limit() {
    let mut tale = Tale::kind();
    tale.kms.steering.key_limit = 1;
    tale.key(STAGING, json!({}));
    assert_eq!(tale.call(STAGING, "CreateKey", json!({})), Err("LimitExceededException"));
    assert!(tale.call(PRODUCTION, "CreateKey", json!({})).is_ok());
}

#[test]
fn an_assumed_role_is_of_its_own_account_until_it_expires() {
    let mut kms = Kms::new(1, false);
    let caller = kms.caller(START, "AKIA000000000000", None, "eu-west-1").unwrap();
    let role = "arn:aws:iam::222222222222:role/claviger";
    let given = kms.assume_role(START, &caller, role, "test", 900).unwrap();
    let id = &given.access_key_id;
    assert!(id.contains(STAGING));
    let assumed = kms.caller(START, id, Some(&given.session_token), "eu-west-1").unwrap();
    assert_eq!(assumed.principal, "arn:aws:sts::222222222222:assumed-role/claviger/test");
    let code = |answer: Result<Caller, AwsError>| answer.unwrap_err().code;
    assert_eq!(code(kms.caller(START, id, None, "eu-west-1")), "UnrecognizedClientException");
    let late = START + 900_000;
    assert_eq!(code(kms.caller(late, id, Some(&given.session_token), "eu-west-1")), "ExpiredTokenException");
    kms.steering.unassumable.push("role/claviger".into());
    assert_eq!(kms.assume_role(START, &caller, role, "test", 900).unwrap_err().code, "AccessDenied");
    assert_eq!(code(kms.caller(START, "AKIANOBODY", None, "eu-west-1")), "UnrecognizedClientException");
}

#[test]
fn a_world_that_was_written_down_goes_on() {
    let mut tale = Tale::kind();
    let key = tale.key(STAGING, json!({}));
    let blob = tale.wrap(&key, "secret", json!({}));
    let written = serde_json::to_string(&tale.kms).unwrap();
    let mut again = Tale { kms: serde_json::from_str(&written).unwrap(), now: tale.now };
    let opened = again.call(STAGING, "Decrypt", json!({ "KeyId": key, "CiphertextBlob": blob })).unwrap();
    assert_eq!(opened["Plaintext"], json!(STANDARD.encode("secret")));
    assert_eq!(again.key(STAGING, json!({})), tale.key(STAGING, json!({})));
}
