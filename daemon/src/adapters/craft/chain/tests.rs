use super::*;
use crate::adapters::craft::keys::PrivateKey;
use claviger_config::KeyAlgorithm;
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, SerialNumber,
};
use std::sync::OnceLock;

/// 2026-11-24T12:00:00Z.
const NOW_MS: i64 = 1_795_521_600_000;
const DAY_MS: i64 = 86_400_000;

/// A certificate authority made for one test.
struct Authority {
    key: PrivateKey,
    parameters: CertificateParams,
    pem: String,
}

impl Authority {
    fn root(name: &str) -> Self {
        let (key, parameters) = (key(), authority(name));
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { key, parameters, pem }
    }

    fn below(&self, name: &str) -> Self {
        self.below_with(key(), authority(name))
    }

    fn below_with(&self, key: PrivateKey, parameters: CertificateParams) -> Self {
        let pem = self.sign(&parameters, &key);
        Self { key, parameters, pem }
    }

    fn sign(&self, parameters: &CertificateParams, key: &PrivateKey) -> String {
        parameters.signed_by(key, &Issuer::from_params(&self.parameters, &self.key)).unwrap().pem()
    }
}

/// A root, an issuing authority, and a leaf with its key: all sound.
struct World {
    root: Authority,
    issuing: Authority,
    key: PrivateKey,
    names: Vec<String>,
}

impl World {
    fn new() -> Self {
        let root = Authority::root("Root");
        let issuing = root.below("Issuing");
        let names = ["www.example.com", "*.api.example.com"].map(String::from).to_vec();
        Self { root, issuing, key: key(), names }
    }

    fn expected<'a>(&'a self, spki_sha256: &'a str) -> Expected<'a> {
        Expected::new(&self.names, spki_sha256, NOW_MS)
    }

    /// The faults of `leaf` under the issuing authority.
    fn judge(&self, leaf: &CertificateParams) -> Vec<ChainFault> {
        let leaf = self.issuing.sign(leaf, &self.key);
        self.judge_chain(&[&leaf, &self.issuing.pem])
    }

    fn judge_chain(&self, chain: &[&str]) -> Vec<ChainFault> {
        let spki = self.key.spki_sha256();
        faults(verify(chain.concat().as_bytes(), &self.expected(&spki)))
    }
}

fn faults(result: Result<Leaf, ChainFaults>) -> Vec<ChainFault> {
    result.map_or_else(|faults| faults.0, |_| Vec::new())
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn moment(ms: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap()
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters.not_before = moment(NOW_MS - 100 * DAY_MS);
    parameters.not_after = moment(NOW_MS + 1000 * DAY_MS);
    parameters
}

fn leaf(names: &[&str]) -> CertificateParams {
    let mut parameters =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    parameters.distinguished_name = subject("www.example.com");
    parameters.serial_number = Some(SerialNumber::from(vec![0x87, 0x65, 0x43, 0x21]));
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters.not_before = moment(NOW_MS - DAY_MS);
    parameters.not_after = moment(NOW_MS + 89 * DAY_MS);
    parameters
}

fn sound_leaf() -> CertificateParams {
    leaf(&["www.example.com", "*.api.example.com"])
}

#[test]
fn a_sound_chain_is_accepted_and_its_leaf_described() {
    let world = World::new();
    let chain = world.issuing.sign(&sound_leaf(), &world.key) + &world.issuing.pem;
    let spki = world.key.spki_sha256();
    let leaf = verify(chain.as_bytes(), &world.expected(&spki)).unwrap();
    assert_eq!(leaf.serial, "87654321");
    assert_eq!(leaf.spki_sha256, spki);
    assert_eq!(leaf.fingerprint, keys::sha256(Chain::read(chain.as_bytes()).unwrap().leaf_der()));
    assert_eq!(leaf.names, ["*.api.example.com", "www.example.com"]);
    assert_eq!(leaf.issuer, "CN=Issuing");
    assert_eq!(leaf.lifetime_ms(), 90 * DAY_MS);
    assert_eq!(leaf.not_after_ms, NOW_MS + 89 * DAY_MS);
}

/// Made with OpenSSL: an RSA root, an ECDSA P-384 issuer signed with RSA-PSS, a leaf whose serial number has its
/// highest bit set.
#[test]
fn a_chain_that_openssl_made_is_read_as_openssl_reads_it() {
    let chain = include_bytes!("../testdata/chain.pem");
    let roots = [include_str!("../testdata/root.pem").to_owned()];
    let names = ["www.example.com", "*.example.com"].map(String::from);
    let spki = "6b618e59529ee7f0a81531ea4540187b62d0df76493515e4816a631e413fce01";
    let now_ms = Chain::read(chain).unwrap().leaf().not_before_ms + DAY_MS;
    let expected = Expected { trusted_roots: Some(&roots), ..Expected::new(&names, spki, now_ms) };
    let leaf = verify(chain, &expected).unwrap();
    assert_eq!(leaf.serial, "f0e1d2c3b4a5968778695a4b3c2d1e0f");
    assert_eq!(leaf.fingerprint, "9a2092dc1721685e71fd639227389258ac8bf72af40440af49d1273af326515b");
    assert_eq!(leaf.ari_id.as_deref(), Some("e50pnv_q-JHuVHQTeiOedHzvGMM.APDh0sO0pZaHeGlaSzwtHg8"));
    assert_eq!(leaf.issuer, "C=DE, O=Example, CN=Issuing, by OpenSSL");
    assert_eq!(leaf.lifetime_ms(), 90 * DAY_MS);
}

#[test]
fn every_key_algorithm_is_verified_as_issuer_and_as_leaf() {
    use KeyAlgorithm::{EcdsaP256, EcdsaP384, Rsa2048, Rsa3072, Rsa4096};
    for algorithm in [EcdsaP256, EcdsaP384, Rsa2048, Rsa3072, Rsa4096] {
        let mut world = World::new();
        world.issuing = world.root.below_with(PrivateKey::generate(algorithm).unwrap(), authority("Issuing"));
        world.key = PrivateKey::generate(algorithm).unwrap();
        assert_eq!(world.judge(&sound_leaf()), [], "{algorithm:?}");
    }
}

#[test]
fn the_renewal_identifier_is_that_of_rfc_9773() {
    // RFC 9773 section 4.1: key identifier 69:88:5B:6B:87:46:40:41:E1:B3:7B:84:7B:A0:AE:2C:DE:01:C8:D4, serial
    // 00:87:65:43:21.
    let id = hex::decode("69885b6b87464041e1b37b847ba0ae2cde01c8d4").unwrap();
    let mut root = authority("Root");
    root.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(id);
    let root = Authority { key: key(), parameters: root, pem: String::new() };
    let chain = Chain::read(root.sign(&sound_leaf(), &key()).as_bytes()).unwrap();
    assert_eq!(chain.leaf().ari_id.as_deref(), Some("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"));
}

#[test]
fn without_an_authority_key_identifier_there_is_no_renewal_identifier() {
    let mut parameters = sound_leaf();
    parameters.use_authority_key_identifier_extension = false;
    let chain = Chain::read(Authority::root("Root").sign(&parameters, &key()).as_bytes()).unwrap();
    assert_eq!(chain.leaf().ari_id, None);
}

#[test]
fn names_are_compared_without_order_and_case() {
    let world = World::new();
    assert_eq!(world.judge(&leaf(&["*.API.example.com", "WWW.Example.com"])), []);
}

#[test]
fn a_name_too_few_and_a_name_too_many_are_both_told() {
    let mut parameters = leaf(&["www.example.com", "evil.example.com"]);
    parameters.subject_alt_names.push(SanType::IpAddress([192, 0, 2, 1].into()));
    let expected = ["*.api.example.com", "www.example.com"].map(String::from).to_vec();
    let found = ["evil.example.com", "ip:192.0.2.1", "www.example.com"].map(String::from).to_vec();
    assert_eq!(World::new().judge(&parameters), [ChainFault::NamesDiffer { found, expected }]);
}

#[test]
fn the_common_name_counts_for_nothing() {
    let mut parameters = leaf(&["*.api.example.com"]);
    parameters.distinguished_name = subject("www.example.com");
    assert!(matches!(World::new().judge(&parameters)[..], [ChainFault::NamesDiffer { .. }]));
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let world = World::new();
    let other = key();
    let leaf = world.issuing.sign(&sound_leaf(), &other);
    let expected = ChainFault::KeyDiffers { found: other.spki_sha256(), expected: world.key.spki_sha256() };
    assert_eq!(world.judge_chain(&[&leaf, &world.issuing.pem]), [expected]);
}

#[test]
fn a_small_difference_of_clocks_is_granted_and_a_large_one_is_told() {
    let world = World::new();
    let mut parameters = sound_leaf();
    parameters.not_before = moment(NOW_MS + 4 * 60_000);
    assert_eq!(world.judge(&parameters), []);
    parameters.not_before = moment(NOW_MS + 6 * 60_000);
    let faults = world.judge(&parameters);
    assert!(matches!(faults[..], [ChainFault::NotYetValid { position: Position(1), .. }]));
    let text = faults[0].to_string();
    assert!(text.contains("2026-11-24T12:06:00Z") && text.contains("compare this machine's clock"), "{text}");
}

#[test]
fn an_expired_leaf_and_an_expired_issuer_are_refused() {
    let mut world = World::new();
    let mut parameters = sound_leaf();
    parameters.not_after = moment(NOW_MS);
    assert!(matches!(world.judge(&parameters)[..], [ChainFault::Expired { position: Position(1), .. }]));
    let mut issuing = authority("Issuing");
    issuing.not_after = moment(NOW_MS - 1000);
    world.issuing = world.root.below_with(key(), issuing);
    assert!(matches!(world.judge(&sound_leaf())[..], [ChainFault::Expired { position: Position(2), .. }]));
}

#[test]
fn a_lifetime_of_nothing_or_of_ages_is_refused() {
    let world = World::new();
    let mut parameters = sound_leaf();
    parameters.not_after = moment(NOW_MS + 5000 * DAY_MS);
    assert!(matches!(world.judge(&parameters)[..], [ChainFault::Lifetime { .. }]));
    parameters.not_before = moment(NOW_MS - DAY_MS);
    parameters.not_after = moment(NOW_MS - DAY_MS);
    assert!(matches!(world.judge(&parameters)[..], [ChainFault::Lifetime { .. }, ChainFault::Expired { .. }]));
}

#[test]
fn a_chain_out_of_order_is_told_with_both_names() {
    let world = World::new();
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let faults = world.judge_chain(&[&leaf, &world.root.pem, &world.issuing.pem]);
    let (found, expected) = ("CN=Issuing".into(), "CN=Root".into());
    assert_eq!(faults[0], ChainFault::IssuerDiffers { position: Position(1), found, expected });
}

#[test]
fn a_signature_by_a_namesake_is_refused() {
    let world = World::new();
    let namesake = world.root.below("Issuing");
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let faults = world.judge_chain(&[&leaf, &namesake.pem]);
    assert!(
        matches!(&faults[..], [ChainFault::Signature { position: Position(1), issuer, .. }] if issuer == "CN=Issuing")
    );
}

#[test]
fn an_issuer_that_is_no_authority_is_refused() {
    let mut world = World::new();
    let mut plain = authority("Issuing");
    plain.is_ca = IsCa::NoCa;
    world.issuing = world.root.below_with(key(), plain);
    assert!(matches!(world.judge(&sound_leaf())[..], [ChainFault::IssuerNotAuthority { position: Position(2), .. }]));
    let mut barred = authority("Issuing");
    barred.key_usages = vec![KeyUsagePurpose::CrlSign];
    world.issuing = world.root.below_with(key(), barred);
    assert!(matches!(world.judge(&sound_leaf())[..], [ChainFault::IssuerNotAuthority { position: Position(2), .. }]));
}

#[test]
fn an_authority_with_too_many_below_it_is_refused() {
    let world = World::new();
    let mut short = authority("Short");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let short = world.root.below_with(key(), short);
    let issuing = short.below("Issuing");
    let leaf = issuing.sign(&sound_leaf(), &world.key);
    let subject = "CN=Short".into();
    let expected = ChainFault::PathTooLong { position: Position(3), subject, found: 1, accepted: 0 };
    assert_eq!(world.judge_chain(&[&leaf, &issuing.pem, &short.pem]), [expected]);
}

#[test]
fn a_leaf_that_is_an_authority_or_not_for_servers_is_refused() {
    let world = World::new();
    let mut parameters = sound_leaf();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(matches!(world.judge(&parameters)[..], [ChainFault::LeafIsAuthority { .. }]));
    let mut parameters = sound_leaf();
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(world.judge(&parameters), [ChainFault::NotForServers]);
}

#[test]
fn a_leaf_that_vouches_for_itself_is_refused() {
    let world = World::new();
    let leaf = sound_leaf().self_signed(&world.key).unwrap().pem();
    let subject = "CN=www.example.com".into();
    assert_eq!(world.judge_chain(&[&leaf]), [ChainFault::LeafSelfSigned { subject }]);
}

#[test]
fn the_chain_must_end_at_a_trusted_root_when_roots_are_given() {
    let world = World::new();
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let spki = world.key.spki_sha256();
    let judge = |chain: &[&str], roots: &[String]| {
        let expected = Expected { trusted_roots: Some(roots), ..world.expected(&spki) };
        faults(verify(chain.concat().as_bytes(), &expected))
    };
    let (root, stranger) = (world.root.pem.clone(), Authority::root("Stranger").pem);
    let short = [leaf.as_str(), &world.issuing.pem];
    assert_eq!(judge(&short, std::slice::from_ref(&root)), []);
    assert_eq!(judge(&[short[0], short[1], &root], &[stranger.clone() + &root]), []);
    let untrusted = ChainFault::UntrustedRoot { found: "CN=Root".into(), expected: vec!["CN=Stranger".into()] };
    assert_eq!(judge(&short, std::slice::from_ref(&stranger)), [untrusted]);
    let namesake = Authority::root("Root").pem;
    assert!(matches!(judge(&short, &[namesake])[..], [ChainFault::UntrustedRoot { .. }]));
    assert!(matches!(
        judge(&short, &["nothing".into()])[..],
        [ChainFault::RootUnreadable { number: 1 }, ChainFault::UntrustedRoot { .. }]
    ));
}

#[test]
fn a_cross_signed_root_is_the_root() {
    let world = World::new();
    let older = Authority::root("Older");
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let crossed = older.sign(&world.root.parameters, &world.root.key);
    let spki = world.key.spki_sha256();
    for root in [&world.root.pem, &older.pem] {
        let roots = [root.clone()];
        let expected = Expected { trusted_roots: Some(&roots), ..world.expected(&spki) };
        let chain = [leaf.as_str(), &world.issuing.pem, &crossed].concat();
        assert_eq!(faults(verify(chain.as_bytes(), &expected)), []);
    }
}

#[test]
fn an_expired_root_is_no_end() {
    let world = World::new();
    let mut parameters = authority("Root");
    parameters.not_after = moment(NOW_MS - 1000);
    let roots = [parameters.self_signed(&world.root.key).unwrap().pem()];
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let spki = world.key.spki_sha256();
    let expected = Expected { trusted_roots: Some(&roots), ..world.expected(&spki) };
    let found = faults(verify([leaf.as_str(), &world.issuing.pem].concat().as_bytes(), &expected));
    assert!(matches!(found[..], [ChainFault::UntrustedRoot { .. }]));
}

#[test]
fn all_faults_are_told_at_once() {
    let world = World::new();
    let mut parameters = leaf(&["evil.example.com"]);
    parameters.not_after = moment(NOW_MS - 1000);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = world.issuing.sign(&parameters, &key());
    let found = world.judge_chain(&[&leaf, &world.root.below("Issuing").pem]);
    assert!(matches!(
        found[..],
        [
            ChainFault::KeyDiffers { .. },
            ChainFault::NamesDiffer { .. },
            ChainFault::NotForServers,
            ChainFault::Expired { .. },
            ChainFault::Signature { .. }
        ]
    ));
}

#[test]
fn a_chain_is_given_back_clean_and_in_parts() {
    let world = World::new();
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let chain = Chain::read(format!("subject=x\r\n{leaf}\n\nissuer=y\n{}", world.issuing.pem).as_bytes()).unwrap();
    assert_eq!(chain.pem(), chain.leaf_pem() + &chain.issuers_pem());
    assert_eq!(Chain::read(chain.pem().as_bytes()).unwrap(), chain);
    assert!(!chain.pem().contains("subject="));
    assert_eq!(chain.pem().lines().filter(|line| line.starts_with("-----BEGIN")).count(), 2);
}

#[test]
fn a_certificate_that_says_a_thing_twice_is_refused() {
    let mut parameters = sound_leaf();
    let again = |value| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![4, 1, value]);
    parameters.custom_extensions = vec![again(1), again(2)];
    let position = Position(1);
    assert_eq!(World::new().judge(&parameters), [ChainFault::Unreadable { position }]);
}

#[test]
fn what_is_no_chain_is_refused_before_it_is_believed() {
    let read = |text: &str| faults(Chain::read(text.as_bytes()).map(|chain| chain.leaf));
    assert_eq!(read(""), [ChainFault::Empty]);
    let block = |label: &str, der: &[u8]| pem::write(label, der).to_string();
    assert_eq!(read(&block("PRIVATE KEY", b"a")), [ChainFault::OtherBlock { label: "PRIVATE KEY".into() }]);
    let unreadable = [1, 2].map(|number| ChainFault::Unreadable { position: Position(number) });
    assert_eq!(read(&block("CERTIFICATE", b"a").repeat(2)), unreadable);
    assert_eq!(read(&block("CERTIFICATE", b"a").repeat(11)), [ChainFault::TooMany { found: 11, accepted: 10 }]);
    assert!(matches!(
        read(&block("CERTIFICATE", &[0; 30_000]))[..],
        [ChainFault::TooLarge { what: "a certificate", .. }]
    ));
    assert!(matches!(read(&" ".repeat(MAX_CHAIN_LENGTH + 1))[..], [ChainFault::TooLarge { what: "a chain", .. }]));
    assert!(matches!(read("-----BEGIN CERTIFICATE-----\nAQ")[..], [ChainFault::Pem(_)]));
}

#[test]
fn a_leaf_with_any_bit_flipped_never_passes() {
    let world = World::new();
    let leaf = world.issuing.sign(&sound_leaf(), &world.key);
    let der = Chain::read(leaf.as_bytes()).unwrap().leaf_der().to_vec();
    let passes = |bit: &usize| {
        let mut damaged = der.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let damaged = pem::write("CERTIFICATE", &damaged);
        world.judge_chain(&[&damaged, &world.issuing.pem]).is_empty()
    };
    // Every bit of what surrounds the signed part, and a seventh of the rest: each costs a verification.
    let around = |byte: usize| byte < 4 || (der.len() - 95..der.len() - 65).contains(&byte);
    let tried = (0..der.len() * 8).filter(|bit| around(bit / 8) || bit % 7 == 0);
    let passing: Vec<usize> = tried.filter(passes).collect();
    assert!(passing.is_empty(), "bits {passing:?} of {} may be flipped", hex::encode(&der));
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(bytes: Vec<u8>) {
        let _ = Chain::read(&bytes);
        prop_assert!(Chain::read(pem::write("CERTIFICATE", &bytes).as_bytes()).is_err());
    }

    #[test]
    fn a_mangled_chain_is_judged_without_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        which in 0_usize..2,
    ) {
        static SOUND: OnceLock<(World, [Vec<u8>; 2])> = OnceLock::new();
        let (world, sound) = SOUND.get_or_init(|| {
            let world = World::new();
            let leaf = world.issuing.sign(&sound_leaf(), &world.key);
            let certificates = Chain::read([leaf, world.issuing.pem.clone()].concat().as_bytes()).unwrap().certificates;
            (world, certificates.try_into().unwrap())
        });
        let mut chain = sound.clone();
        for (place, byte) in edits {
            let place = place.index(chain[which].len());
            chain[which][place] = byte;
        }
        let pem = chain.each_ref().map(|der| pem::write("CERTIFICATE", der).to_string());
        let roots = [pem[1].clone()];
        let spki = world.key.spki_sha256();
        let expected = Expected { trusted_roots: Some(&roots), ..world.expected(&spki) };
        let told = faults(verify(pem.concat().as_bytes(), &expected));
        prop_assert!(which == 1 || chain == *sound || !told.is_empty());
        prop_assert!(told.iter().all(|fault| !fault.to_string().contains(char::is_control)));
    }
}
