use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_config::{Kind, ObjectName};
use claviger_core::{domain::effect::KeyUse, ports::Binding};
use proptest::prelude::*;
use serde::Deserialize;

const KEY_ARN: &str = "arn:aws:kms:eu-west-1:111111111111:key/00000001-0000-4000-8000-000000000000";

fn binding() -> Binding {
    let object = ObjectName {
        kind: Kind::TlsCertificate,
        namespace: Some("staging".parse().unwrap()),
        name: "web".parse().unwrap(),
    };
    Binding { environment: "staging".parse().unwrap(), object, r#use: KeyUse::Certificate }
}

/// What `tests/peers/esdk/oracle.py vectors` wrote.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    data_key: String,
    opened: Vec<Vector>,
    refused: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    context: BTreeMap<String, String>,
    frame_length: u32,
    plaintext_length: usize,
    keys: Vec<String>,
    message: String,
}

impl Vectors {
    fn read() -> Self {
        serde_json::from_str(include_str!("vectors/python-sdk.json")).unwrap()
    }

    fn data_key(&self) -> Zeroizing<[u8; 32]> {
        data_key(&hex::decode(&self.data_key).unwrap()).unwrap()
    }

    fn named(name: &str) -> Vec<u8> {
        Self::read().opened.iter().find(|vector| vector.name == name).expect("a vector of that name").message()
    }
}

impl Vector {
    fn message(&self) -> Vec<u8> {
        STANDARD.decode(&self.message).unwrap()
    }

    fn plaintext(&self) -> Vec<u8> {
        (0..self.plaintext_length).map(|index| (index % 251) as u8).collect()
    }
}

fn key(byte: u8) -> DataKey {
    DataKey::new(&[byte; 32], vec![0xAB; 184], KEY_ARN.to_owned()).unwrap()
}

fn sealed(plaintext: &[u8]) -> Vec<u8> {
    seal(&key(1), &context(&binding()), plaintext).unwrap()
}

fn refusal(message: &[u8]) -> EnvelopeFault {
    open(message, &[1; 32]).expect_err("the message must be refused")
}

/// A sealed message of two full frames and a short one, with the places where its frames begin.
fn three_frames() -> (Vec<u8>, [usize; 3]) {
    let message = sealed(&[7; 2 * 4096 + 10]);
    let first = Header::read(&message).unwrap().length() + 16;
    let frame = 4 + 12 + 4096 + 16;
    (message, [first, first + frame, first + 2 * frame])
}

#[test]
fn what_amazons_sdk_sealed_is_opened() {
    let vectors = Vectors::read();
    for vector in &vectors.opened {
        let message = vector.message();
        let header = Header::read(&message).unwrap();
        assert_eq!(header.context(), &vector.context, "{}", vector.name);
        let mut keys: Vec<_> = header.data_keys().iter().map(|key| key.key_arn().unwrap().to_owned()).collect();
        keys.sort_unstable();
        assert_eq!(keys, vector.keys, "{}", vector.name);
        let content = if vector.frame_length == 0 { Content::Single } else { Content::Framed(vector.frame_length) };
        assert_eq!(header.content(), content, "{}", vector.name);
        assert_eq!(*open(&message, &vectors.data_key()).unwrap(), vector.plaintext(), "{}", vector.name);
    }
    assert!(vectors.opened.len() >= 12);
}

#[test]
fn what_is_sealed_is_byte_for_byte_what_amazons_sdk_seals() {
    let vectors = Vectors::read();
    let ours = |vector: &&Vector| vector.frame_length == 4096 && vector.keys.len() == 1;
    for vector in vectors.opened.iter().filter(ours) {
        let message = vector.message();
        let header = Header::read(&message).unwrap();
        let wrapped = header.data_key(&vector.keys[0]).unwrap().ciphertext.clone();
        let data_key = DataKey::new(vectors.data_key().as_slice(), wrapped, vector.keys[0].clone()).unwrap();
        let sealed = seal_as(*header.message_id(), &data_key, &vector.context, &vector.plaintext()).unwrap();
        assert_eq!(hex::encode(sealed), hex::encode(message), "{}", vector.name);
    }
}

#[test]
fn messages_of_other_suites_are_refused_by_their_number() {
    let faults = Vectors::read()
        .refused
        .iter()
        .map(|vector| Header::read(&vector.message()).unwrap_err().to_string())
        .collect::<Vec<_>>();
    assert_eq!(
        faults,
        ["found algorithm suite 0x0578, accepted: 0x0478", "found message format version 0x0001, accepted: 0x0002"]
    );
}

#[test]
fn a_message_opens_under_its_own_data_key_only() {
    let message = sealed(b"secret");
    assert_eq!(open(&message, &[1; 32]).unwrap().as_slice(), b"secret");
    assert!(matches!(open(&message, &[2; 32]), Err(EnvelopeFault::CommitmentDiffers)));
}

#[test]
fn the_same_secret_is_never_sealed_to_the_same_bytes() {
    let (one, two) = (sealed(b"secret"), sealed(b"secret"));
    assert_ne!(Header::read(&one).unwrap().message_id(), Header::read(&two).unwrap().message_id());
}

#[test]
fn the_header_tells_everyone_what_kms_must_be_asked() {
    let header = Header::read(&sealed(b"secret")).unwrap();
    assert_eq!(header.context(), &context(&binding()));
    assert_eq!(header.data_key(KEY_ARN).unwrap().ciphertext, [0xAB; 184]);
    let refused = header.data_key("arn:other").unwrap_err().to_string();
    assert_eq!(refused, format!("the data key is wrapped by [{KEY_ARN}], expected `arn:other`"));
}

#[test]
fn a_data_key_is_taken_from_the_environments_own_account_and_region_only() {
    let header = Header::read(&sealed(b"secret")).unwrap();
    let within = |account, region| header.data_key_within(account, region);
    assert_eq!(within("111111111111", "eu-west-1").unwrap().key_arn(), Some(KEY_ARN));
    for (account, region) in
        [("222222222222", "eu-west-1"), ("111111111111", "eu-west-2"), ("", ""), ("11111111111", "eu-west-1")]
    {
        assert!(matches!(within(account, region), Err(EnvelopeFault::OtherWrappingKey { .. })));
    }
    let alias = DataKey { key_arn: "arn:aws:kms:eu-west-1:111111111111:alias/x".into(), ..key(1) };
    let message = seal(&alias, &BTreeMap::new(), b"").unwrap();
    assert!(Header::read(&message).unwrap().data_key_within("111111111111", "eu-west-1").is_err());
}

#[test]
fn a_secret_of_another_object_is_refused_with_both_names() {
    let header = Header::read(&sealed(b"secret")).unwrap();
    verify_binding(&header, &binding()).unwrap();
    let mut elsewhere = Binding { environment: "production".parse().unwrap(), ..binding() };
    elsewhere.object.namespace = None;
    let refused = verify_binding(&header, &elsewhere).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the message is sealed for another object: `environment` is `staging`, expected `production`; \
         `namespace` is `staging`, expected nothing"
    );
}

#[test]
fn a_binding_is_the_context_that_is_promised() {
    let context: Vec<_> = context(&binding()).into_iter().collect();
    let expected = [
        ("application", "claviger"),
        ("environment", "staging"),
        ("kind", "TlsCertificate"),
        ("name", "web"),
        ("namespace", "staging"),
        ("use", "certificate"),
    ];
    assert_eq!(context, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let account = Binding { r#use: KeyUse::Account("letsencrypt".parse().unwrap()), ..binding() };
    assert_eq!(self::context(&account)["use"], "account/letsencrypt");
}

#[test]
fn frames_cannot_be_swapped_repeated_or_left_out() {
    let (message, [first, second, last]) = three_frames();
    let order = |message: Vec<u8>| matches!(refusal(&message), EnvelopeFault::FrameOrder { .. });
    let pieces = (&message[..first], &message[first..second], &message[second..last], &message[last..]);
    let (head, one, two, three) = pieces;
    assert!(order([head, two, one, three].concat()));
    assert!(order([head, one, one, two, three].concat()));
    assert!(order([head, two, three].concat()));
    assert!(order([head, one, three].concat()));
    let mut renumbered = [head, two, one, three].concat();
    renumbered[first..first + 4].copy_from_slice(&1_u32.to_be_bytes());
    assert!(matches!(refusal(&renumbered), EnvelopeFault::FrameTag { sequence: 1 }));
}

#[test]
fn a_message_that_stops_after_a_whole_frame_is_cut_off() {
    let (message, [_, second, last]) = three_frames();
    for end in [second, last] {
        assert!(matches!(refusal(&message[..end]), EnvelopeFault::Truncated { what: "frame" }));
    }
}

#[test]
fn a_frame_of_another_message_does_not_fit() {
    let (one, two) = (sealed(b"one"), sealed(b"two"));
    let body = Header::read(&one).unwrap().length() + 16;
    let mixed = [&one[..body], &two[body..]].concat();
    assert!(matches!(refusal(&mixed), EnvelopeFault::FrameTag { sequence: 1 }));
}

#[test]
fn every_cut_off_message_is_refused() {
    for message in [sealed(b"secret"), Vectors::named("one block")] {
        for end in 0..message.len() {
            let opened = [[1; 32], *Vectors::read().data_key()].iter().any(|key| open(&message[..end], key).is_ok());
            assert!(!opened, "opened when cut off at {end}");
        }
    }
}

#[test]
fn nothing_may_follow_a_message() {
    let message = [sealed(b"secret"), vec![0]].concat();
    assert!(matches!(refusal(&message), EnvelopeFault::TrailingBytes { found: 1 }));
    let message = [Vectors::named("one block"), vec![0]].concat();
    let refused = open(&message, &Vectors::read().data_key());
    assert!(matches!(refused, Err(EnvelopeFault::TrailingBytes { found: 1 })));
}

#[test]
fn every_flipped_bit_is_found() {
    let ours = (sealed(&[7; 100]), key(1).plaintext);
    let block = (Vectors::named("one block"), Vectors::read().data_key());
    for (message, data_key) in [ours, block] {
        assert!(open(&message, &data_key).is_ok());
        for bit in 0..message.len() * 8 {
            let mut damaged = message.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged, &data_key).is_err(), "bit {bit} may be flipped");
        }
    }
}

#[test]
fn a_length_that_lies_reserves_no_memory() {
    let mut message = Vectors::named("one block");
    let length = Header::read(&message).unwrap().length() + 16 + 12;
    message[length..length + 8].fill(0xFF);
    let refused = open(&message, &Vectors::read().data_key());
    assert!(matches!(refused, Err(EnvelopeFault::Truncated { what: "content" })));
}

#[test]
fn what_is_too_long_is_neither_sealed_nor_read() {
    let refused = seal(&key(1), &context(&binding()), &vec![0; MAX_PLAINTEXT_LENGTH + 1]);
    assert!(matches!(refused, Err(EnvelopeFault::TooLarge { what: "plaintext", .. })));
    let refused = Header::read(&vec![0; MAX_MESSAGE_LENGTH + 1]);
    assert!(matches!(refused, Err(EnvelopeFault::TooLarge { what: "message", .. })));
    let largest = vec![0; MAX_PLAINTEXT_LENGTH];
    let message = seal(&key(1), &context(&binding()), &largest).unwrap();
    assert_eq!(open(&message, &[1; 32]).unwrap().len(), MAX_PLAINTEXT_LENGTH);
}

#[test]
fn contexts_that_kms_or_the_format_cannot_hold_are_refused() {
    let try_one = |key: &str, value: &str| seal(&self::key(1), &BTreeMap::from([(key.into(), value.into())]), b"");
    assert!(try_one("use", "private-key").is_ok());
    for (key, value) in [("aws-crypto-public-key", "x"), ("", "x"), ("x", "")] {
        assert!(matches!(try_one(key, value), Err(EnvelopeFault::ContextRefused { key: found, .. }) if found == key));
    }
    assert!(matches!(try_one("x", &"x".repeat(70_000)), Err(EnvelopeFault::TooLarge { .. })));
}

#[test]
fn a_context_that_repeats_a_key_is_refused() {
    let context = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    let mut message = seal(&key(1), &context, b"").unwrap();
    let second = message.windows(3).position(|window| window == [0, 1, b'b']).unwrap();
    message[second + 2] = b'a';
    assert!(matches!(Header::read(&message), Err(EnvelopeFault::Context { what: "a key comes twice" })));
}

#[test]
fn a_data_key_of_another_length_is_refused() {
    assert!(matches!(data_key(&[0; 16]), Err(EnvelopeFault::DataKeyLength { found: 16 })));
}

#[test]
fn no_debug_output_shows_a_data_key() {
    let shown = format!("{:?}", DataKey::new(&[0x5A; 32], vec![], "arn".into()).unwrap());
    assert_eq!(shown, "DataKey { key_arn: \"arn\", .. }");
}

#[test]
fn all_lengths_around_the_frame_size_come_back() {
    let around = |middle: usize| middle.saturating_sub(17)..=middle + 17;
    for length in around(0).chain(around(4096)).chain(around(8192)).chain(around(12_288)) {
        let plaintext: Vec<u8> = (0..length).map(|index| index as u8).collect();
        assert_eq!(*open(&sealed(&plaintext), &[1; 32]).unwrap(), plaintext, "length {length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = Header::read(&bytes);
        prop_assert!(open(&bytes, &[1; 32]).is_err());
    }

    #[test]
    fn any_bytes_behind_a_sound_beginning_are_read_or_refused(kept in 0_usize..400, bytes: Vec<u8>) {
        let message = sealed(b"secret");
        let mixed = [&message[..kept.min(message.len() - 1)], &bytes].concat();
        let _ = Header::read(&mixed);
        prop_assert!(mixed == message || open(&mixed, &[1; 32]).is_err());
    }

    #[test]
    fn any_secret_under_any_context_comes_back(
        plaintext in prop::collection::vec(any::<u8>(), 0..10_000),
        context in prop::collection::btree_map("[^a]{1,20}", ".{1,20}", 0..6),
        secret: [u8; 32],
    ) {
        let data_key = DataKey::new(&secret, vec![1], KEY_ARN.into()).unwrap();
        let message = seal(&data_key, &context, &plaintext).unwrap();
        let header = Header::read(&message).unwrap();
        prop_assert_eq!(header.context(), &context);
        prop_assert_eq!(&*open(&message, &secret).unwrap(), &plaintext);
    }

    #[test]
    fn any_flipped_bit_of_a_long_message_is_found(place: prop::sample::Index, bit in 0_u8..8) {
        let (mut message, _) = three_frames();
        let place = place.index(message.len());
        message[place] ^= 1 << bit;
        prop_assert!(open(&message, &[1; 32]).is_err());
    }
}
