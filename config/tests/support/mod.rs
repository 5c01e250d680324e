//! A small fleet in YAML, to be changed one line at a time.

#![allow(dead_code, reason = "each test file uses a part of it")]

use claviger_config::{
    Reason,
    admin::Finding,
    desired::Wanted,
    judge::{Incumbents, SettingsFacts},
    settle::{FileRead, Readings, Settled, settle, settle_again},
};

/// An environment of the class non-production, with what the rules look at.
pub(crate) const STAGING: &str = "\
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: staging }
spec:
  class: non-production
  namespaces: [staging]
  owner: itops@example.com
  kms:
    accountId: \"222222222222\"
    region: eu-west-1
    assumeRole: arn:aws:iam::222222222222:role/claviger
    aliasPrefix: claviger/staging
    wrappingKey: wrapping
  zones:
    - name: staging.example.com
  issuers:
    - { name: letsencrypt, trust: public, acme: { directory: \"https://acme-v02.api.letsencrypt.org/directory\" } }
  defaultIssuers: [{ name: letsencrypt }]
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: staging }
spec: { purpose: wrap }
";

/// An environment of the class production that shares nothing with [`STAGING`].
pub(crate) const PRODUCTION: &str = "\
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: production }
spec:
  class: production
  namespaces: [production]
  owner: itops@example.com
  classification: confidential
  kms:
    accountId: \"111111111111\"
    region: eu-west-1
    assumeRole: arn:aws:iam::111111111111:role/claviger
    aliasPrefix: claviger/production
    wrappingKey: wrapping
  zones:
    - { name: example.com, except: [staging.example.com] }
  edge:
    cloudflare:
      zoneId: 023e105f4ecef8ad9ca31a8372d0c353
      apiToken: { file: cf-token }
      target: saas.example.com
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: production }
spec: { purpose: wrap }
";

/// A certificate of [`STAGING`].
pub(crate) const WEB: &str = "\
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: web, namespace: staging }
spec:
  dnsNames: [www.staging.example.com]
  outlets:
    - { name: nginx, files: { directory: web, reload: nginx } }
";

/// A customer's host name of [`PRODUCTION`].
pub(crate) const SHOP: &str = "\
apiVersion: claviger.dev/v1alpha1
kind: CustomHostname
metadata: { name: shop, namespace: production }
spec:
  hostname: shop.customer.example
  tenant: customer-gmbh
";

/// Settings that lack nothing.
pub(crate) fn settings() -> SettingsFacts {
    let hooks = ["nginx".parse().expect("a name")].into();
    SettingsFacts { hooks, http01: true, kubernetes: false, reads: true, writes: true }
}

/// One file that can be read.
pub(crate) fn file(name: &str, text: &str) -> FileRead {
    FileRead { name: name.to_owned(), content: Ok(text.as_bytes().into()) }
}

/// One after the other, as the daemon does it.
#[derive(Default)]
pub(crate) struct Fleet {
    /// What was accepted so far.
    pub(crate) before: Incumbents,
    readings: Readings,
}

impl Fleet {
    /// A fleet whose first documents are in force.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let mut fleet = Self::default();
        let settled = fleet.now(files);
        assert_eq!(settled.findings, [], "the first documents have errors");
        fleet
    }

    /// What comes of these files now.
    pub(crate) fn now(&mut self, files: &[(&str, &str)]) -> Settled {
        let files: Vec<FileRead> = files.iter().map(|(name, text)| file(name, text)).collect();
        self.read(&files)
    }

    /// The same with files that may not be readable.
    pub(crate) fn read(&mut self, files: &[FileRead]) -> Settled {
        let settled = settle_again(&mut self.readings, files, &self.before, &settings());
        assert_eq!(settled, settle(files, &self.before, &settings()), "the same as if it were read anew");
        self.before = settled.accepted.clone();
        settled
    }
}

/// What comes of these files at the first start.
pub(crate) fn first(files: &[(&str, &str)]) -> Settled {
    Fleet::default().now(files)
}

/// The object, by kind, namespace and name: `TlsCertificate/staging/web`.
pub(crate) fn object<'a>(settled: &'a Settled, name: &str) -> Option<&'a Wanted> {
    settled.desired.objects.values().find(|wanted| wanted.name.to_string() == name).map(AsRef::as_ref)
}

/// Why an object is not worked on.
pub(crate) fn refusal(settled: &Settled, name: &str) -> Option<Reason> {
    let wanted = object(settled, name);
    assert!(wanted.is_some(), "{name} is not there");
    wanted?.refusal.as_ref().map(|refusal| refusal.reason)
}

/// The codes of findings.
pub(crate) fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
}
