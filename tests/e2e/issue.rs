//! A document becomes a certificate: issued by Pebble, whose every fifth nonce is bad, for a key that KMS wraps, and verified by
//! OpenSSL.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Canary, KeyAlgorithm, PebbleOptions, documents, openssl};

use crate::ground::{Ground, message, web};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_is_issued_and_openssl_verifies_the_chain() -> Result<()> {
    let ground = Ground::new().await?;
    let kinds = [
        ("p256", "ecdsa-p256", "NIST CURVE: P-256", "0600", 0o600),
        ("p384", "ecdsa-p384", "NIST CURVE: P-384", "0640", 0o640),
        ("rsa", "rsa-2048", "Public-Key: (2048 bit)", "0400", 0o400),
    ];
    let document = |(name, algorithm, _, mode, _): &(&str, &str, &str, &str, u32)| {
        let written = documents::certificate(
            "staging",
            name,
            &[&format!("{name}.staging.example.com")],
            &format!("key: {{ algorithm: {algorithm} }}"),
        );
        written.replace(&format!("directory: {name}"), &format!("directory: {name}, mode: \"{mode}\""))
    };
    ground.write_staging(&kinds.iter().map(document).collect::<Vec<_>>())?;
    let _daemon = ground.start().await?;
    for (name, _, described, _, mode) in kinds {
        let seen = ground.wait_ready(name).await?;
        let pair = ground.verified(name, &[&format!("{name}.staging.example.com")]).await?;
        let text = openssl::describe(&pair.chain)?;
        assert!(text.contains(described), "{text}");
        ensure!(
            pair.key.lines().next().is_some_and(|first| first.ends_with("BEGIN PRIVATE KEY-----")),
            "the key is PKCS#8"
        );
        for file in ["tls.key", "tls.crt", "ca.crt"] {
            let found = fs::metadata(ground.site.outlet(name).join(file))?.permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{name}/{file} has mode {found:o}");
        }
        let (shown, outlet) = (&seen["status"]["certificate"], &seen["status"]["outlets"][0]);
        assert_eq!(shown["issuer"], "pebble", "{seen:#}");
        assert_eq!(shown["spkiSha256"], outlet["spkiSha256"], "{seen:#}");
        let serial = shown["serial"].as_str().context("a serial")?;
        let known = ground.pebble.certificate_status(serial).await?;
        assert_eq!(known.map(|known| known.status), Some("Valid".to_owned()), "the CA knows it by that number");
    }
    assert_eq!(ground.orders(), 3, "an order for each");
    assert_eq!(ground.accounts(), 1, "an account for all");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_private_key_lies_anywhere_but_in_its_outlet() -> Result<()> {
    let ground = Ground::new().await?;
    ground.write_web()?;
    let daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let pair = ground.verified("web", &["www.staging.example.com"]).await?;
    let body: String = pair.key.lines().filter(|line| !line.starts_with("-----")).collect();
    // The last bytes of PKCS#8 are the public key; the secret scalar stands before.
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body)?;
    let secret = Canary::of(key.get(36..68).context("the scalar of a P-256 key")?);
    assert_eq!(secret.sightings_below(&ground.site.path().join("state"))?, []);
    assert_eq!(secret.sightings_in("log", daemon.log()), []);
    assert_eq!(secret.sightings_in("metrics", daemon.metrics().await?), []);
    assert_eq!(secret.sightings_in("status", ground.certificate("web").to_string()), []);
    let found = secret.sightings_below(&ground.site.outlet("web").canonicalize()?)?;
    ensure!(found.is_empty(), "PEM breaks lines, so that the outlet itself shows it in pieces: {found:?}");
    ensure!(!secret.sightings_in("tls.key, unwrapped", &key).is_empty(), "the canary is the key");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_names_are_each_proven_and_stand_in_one_certificate() -> Result<()> {
    let ground = Ground::new().await?;
    let names: Vec<String> = (1..=12).map(|number| format!("n{number}.staging.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    ground.write_staging(&[documents::certificate("staging", "many", &names, "")])?;
    let _daemon = ground.start().await?;
    ground.wait_ready("many").await?;
    let pair = ground.verified("many", &names).await?;
    openssl::verify(&pair.chain, &ground.pebble.issuing_root().await?, "other.staging.example.com").unwrap_err();
    for name in names {
        assert!(ground.pebble.dns()?.questions(name).await? > 0, "the CA looked {name} up");
    }
    assert_eq!(ground.orders(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_asked_for_and_one_that_is_not_offered_costs_no_order() -> Result<()> {
    let ground = Ground::new().await?;
    ground.write_staging(&[web("issuers: [{ name: pebble, profile: shortlife }]")])?;
    let _daemon = ground.start().await?;
    let seen = ground.site.wait_attention("certificate", "staging", "web", "ProfileUnknown").await?;
    let attention = &seen["status"]["attention"];
    assert_eq!(attention["turn"], "Operator");
    let said = attention["message"].as_str().unwrap_or_default();
    for word in ["`shortlife`", "`default`", "`shortlived`"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    assert_eq!(ground.orders(), 0);
    ground.write_staging(&[web("issuers: [{ name: pebble, profile: shortlived }]")])?;
    let seen = ground.wait_ready("web").await?;
    let instant = |name: &str| {
        seen["status"]["certificate"][name]
            .as_str()
            .context("an instant")?
            .parse::<jiff::Timestamp>()
            .map_err(anyhow::Error::from)
    };
    let life = instant("notAfter")?.duration_since(instant("notBefore")?);
    assert_eq!(life.as_hours(), 6 * 24 - 1, "six days less a second");
    ground.verified("web", &["www.staging.example.com"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_of_rsa_and_a_ca_that_takes_its_time_are_fine() -> Result<()> {
    let options = PebbleOptions { chain_length: 3, key_algorithm: KeyAlgorithm::Rsa, ..PebbleOptions::default() };
    let options = PebbleOptions { alternate_roots: 1, validation_delay: 4, order_retry_after: 2, ..options };
    let ground = Ground::with(options).await?;
    ground.write_web()?;
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let pair = ground.verified("web", &["www.staging.example.com"]).await?;
    assert_eq!(pair.issuers.matches("BEGIN CERTIFICATE").count(), 3);
    assert_eq!(ground.orders(), 1);
    Ok(())
}

/// `trustedRoots` speaks for both: the server that answers, and where what it issues must end.
#[tokio::test(flavor = "multi_thread")]
async fn private_roots_are_believed_and_no_others() -> Result<()> {
    let ground = Ground::new().await?;
    ground.site.secret("pebble.pem", ground.pebble.issuing_root().await?)?;
    ground.write_web()?;
    let _daemon = ground.start().await?;
    let environment = async || ground.site.resource("environment", "", "staging");
    let refused = async || message(&environment().await, "OnSchedule").contains("ertificate");
    claviger_tests::wait_until(crate::ground::SOON, "the CA's TLS to be refused", refused).await?;
    assert_eq!(ground.ca.requests(), [], "nothing was said to a server that is not trusted");

    ground.site.secret("pebble.pem", ground.ca.server_ca_pem())?;
    ground.pass(Duration::from_secs(70))?;
    let seen = ground.wait_late("web", "WrongCertificate").await?;
    let said = message(&seen, "OnSchedule");
    assert!(said.contains("Pebble Root CA") && said.contains("the proxy's TLS"), "found and accepted: {said}");
    assert!(!ground.site.outlet("web").exists(), "nothing was delivered");
    assert_eq!(ground.orders(), 1);

    ground.trust().await?;
    ground.pass(Duration::from_secs(70))?;
    ground.wait_ready("web").await?;
    assert_eq!(ground.orders(), 2, "a new order for the same key");
    assert_eq!(ground.tried("seal_new_key"), 2, "the account's key and the certificate's");
    ground.verified("web", &["www.staging.example.com"]).await.map(drop)
}
