//! Documents for stories, as a user would write them.

use std::fmt::Write;

const HEAD: &str = "apiVersion: claviger.dev/v1alpha1\n";

/// An `Environment` on its way to YAML.
#[derive(Clone, Debug)]
pub struct EnvironmentText {
    name: String,
    class: &'static str,
    account: String,
    region: String,
    kms: Vec<String>,
    zones: Vec<String>,
    issuers: Vec<String>,
    first_issuer: Option<String>,
    rest: Vec<String>,
}

/// A non-production environment with the alias prefix `claviger/NAME`, the wrapping key `wrapping` and nothing else.
pub fn environment(name: &str, account: &str, region: &str) -> EnvironmentText {
    EnvironmentText {
        name: name.to_owned(),
        class: "non-production",
        account: account.to_owned(),
        region: region.to_owned(),
        kms: vec![format!("aliasPrefix: claviger/{name}")],
        zones: Vec::new(),
        issuers: Vec::new(),
        first_issuer: None,
        rest: Vec::new(),
    }
}

impl EnvironmentText {
    /// Makes it a production environment.
    #[must_use]
    pub fn production(self) -> Self {
        Self { class: "production", ..self }
    }

    /// Adds a line to `spec.kms`, for example `assumeRole: …`; one for `aliasPrefix` replaces the default.
    #[must_use]
    pub fn kms(mut self, line: &str) -> Self {
        if line.starts_with("aliasPrefix:") {
            self.kms.retain(|line| !line.starts_with("aliasPrefix:"));
        }
        self.kms.push(line.to_owned());
        self
    }

    /// Takes AWS credentials from a profile of a file below `files.read`.
    #[must_use]
    pub fn credentials(self, file: &str, profile: &str) -> Self {
        self.kms(&format!("credentials: {{ file: {file}, profile: {profile} }}"))
    }

    /// Adds a zone that is proven by http-01.
    #[must_use]
    pub fn zone(mut self, name: &str, except: &[&str]) -> Self {
        self.zones.push(format!("{{ name: {name}, except: [{}], challenges: [http-01] }}", except.join(", ")));
        self
    }

    /// Adds an ACME issuer of the trust `test`; the first one is the default.
    #[must_use]
    pub fn acme(mut self, name: &str, directory: &str, roots: Option<&str>) -> Self {
        let roots = roots.map_or_else(String::new, |file| format!(", trustedRoots: {{ file: {file} }}"));
        self.issuers.push(format!("{{ name: {name}, trust: test, acme: {{ directory: \"{directory}\"{roots} }} }}"));
        self.first_issuer.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Serves customers' host names from a zone at Cloudflare.
    #[must_use]
    pub fn edge(self, zone: &str, token_file: &str, target: &str, more: &str) -> Self {
        self.line(&format!(
            "edge: {{ cloudflare: {{ zoneId: {zone}, apiToken: {{ file: {token_file} }}, target: {target}{more} }} }}"
        ))
    }

    /// Adds a line to `spec`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.rest.push(line.to_owned());
        self
    }

    /// The document.
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "{HEAD}kind: Environment\nmetadata: {{ name: {} }}\nspec:\n  class: {}\n  owner: itops@example.com\n",
            self.name, self.class
        );
        let kms = self.kms.join("\n    ");
        let _ = writeln!(
            text,
            "  kms:\n    accountId: \"{}\"\n    region: {}\n    wrappingKey: wrapping\n    {kms}",
            self.account, self.region
        );
        let _ = writeln!(text, "  zones: [{}]", self.zones.join(", "));
        let _ = writeln!(text, "  issuers: [{}]", self.issuers.join(", "));
        if let Some(first) = &self.first_issuer {
            let _ = writeln!(text, "  defaultIssuers: [{{ name: {first} }}]");
        }
        self.rest.iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
        text
    }

    /// The document and its wrapping key.
    pub fn with_wrapping_key(&self) -> String {
        self.yaml() + "---\n" + &key(&self.name, "wrapping", "wrap", "365d")
    }
}

/// A `KmsKey` with rotation.
pub fn key(namespace: &str, name: &str, purpose: &str, period: &str) -> String {
    format!(
        "{HEAD}kind: KmsKey\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
         spec: {{ purpose: {purpose}, rotation: {{ period: {period} }} }}\n"
    )
}

/// A `TlsCertificate` with one outlet `web` in the folder of its name; `more` are further lines of `spec`.
pub fn certificate(namespace: &str, name: &str, names: &[&str], more: &str) -> String {
    let names = names.join(", ");
    let more = if more.is_empty() { String::new() } else { format!("  {more}\n") };
    format!(
        "{HEAD}kind: TlsCertificate\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  dnsNames: [{names}]\n\
         \x20 outlets: [{{ name: web, files: {{ directory: {name} }} }}]\n{more}"
    )
}

/// A `CustomHostname`.
pub fn hostname(namespace: &str, name: &str, hostname: &str, tenant: &str) -> String {
    format!(
        "{HEAD}kind: CustomHostname\nmetadata: {{ name: {name}, namespace: {namespace} }}\n\
         spec: {{ hostname: {hostname}, tenant: {tenant} }}\n"
    )
}

/// An AWS credentials file whose keys belong to these accounts, as simulators and emulators read them.
pub fn credentials(profiles: &[(&str, &str)]) -> String {
    let profile = |(name, account): &(&str, &str)| {
        format!("[{name}]\naws_access_key_id = AKIA{account}\naws_secret_access_key = not-a-secret\n")
    };
    profiles.iter().map(profile).collect()
}
