//! What the demonstration begins with: three environments, their keys and certificates, a dozen customers in every stage.

use std::{fs, io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use claviger_config::Moment;
use claviger_sim::{Running as World, model::dns::Kind};

/// Where customers point.
const TARGET: &str = "saas.claviger.example";
/// The production zone at Cloudflare.
const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// A token that only the simulator knows.
const TOKEN: &str = "simulated-cloudflare-token";

/// Customers: host name, tenant, and what DNS says.
const CUSTOMERS: [(&str, &str, Dns); 12] = [
    ("shop.acorn.example", "acorn", Dns::Points),
    ("www.birch.example", "birch", Dns::Points),
    ("store.cedar.example", "cedar", Dns::Points),
    ("portal.dogwood.example", "dogwood", Dns::Points),
    ("app.elm.example", "elm", Dns::Points),
    ("login.fir.example", "fir", Dns::Points),
    ("help.gorse.example", "gorse", Dns::Points),
    ("shop.hazel.example", "hazel", Dns::Points),
    ("pay.ivy.example", "ivy", Dns::Nothing),
    ("shop.juniper.example", "juniper", Dns::Elsewhere),
    ("www.larch.example", "larch", Dns::Forbids),
    ("id.maple.example", "maple", Dns::Nothing),
];

enum Dns {
    /// A CNAME to another provider.
    Elsewhere,
    /// Points at us, and a CAA record allows only another CA.
    Forbids,
    /// No record.
    Nothing,
    /// Points at us.
    Points,
}

/// The address of the http-01 listener that the settings name.
pub(super) fn http01(folder: &Path) -> Option<SocketAddr> {
    let text = fs::read(folder.join("settings.yaml")).ok()?;
    claviger_config::settings::read("settings.yaml", &text).ok()?.http01?.listen.parse().ok()
}

/// Fills the folder and the simulated world.
pub(super) fn write(folder: &Path, world: &World, http01: SocketAddr, now: Moment) -> io::Result<()> {
    for name in ["resources", "secrets", "certificates"] {
        fs::create_dir_all(folder.join(name))?;
    }
    secret(folder, "cf-token", TOKEN)?;
    secret(folder, "aws-credentials", &credentials())?;
    fill_world(world, now)?;
    for (name, text) in documents(&world.addresses().acme) {
        fs::write(folder.join("resources").join(name), text)?;
    }
    // Last: its presence says that everything else is there.
    let beside = folder.join(".settings.yaml");
    fs::write(&beside, settings(world, http01)?)?;
    fs::rename(beside, folder.join("settings.yaml"))
}

fn secret(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = folder.join("secrets").join(name);
    fs::write(&path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// The simulator takes the account from the key's id; the secret means nothing.
fn credentials() -> String {
    let profile = |name: &str, account: &str| {
        format!("[{name}]\naws_access_key_id = AKIA{account}\naws_secret_access_key = simulated\n")
    };
    [("production", "111111111111"), ("staging", "222222222222"), ("test", "333333333333")]
        .map(|(name, account)| profile(name, account))
        .concat()
}

fn fill_world(world: &World, now: Moment) -> io::Result<()> {
    {
        let mut kms = world.kms();
        kms.steering.sessions_expire = false; // the AWS client goes by the machine's clock
    }
    {
        let mut cloudflare = world.cloudflare();
        cloudflare.add_zone(now.0, ZONE, TARGET);
        cloudflare.add_token(TOKEN, &[ZONE], true);
    }
    let mut dns = world.dns();
    dns.add_zone(now.0, "claviger.example");
    dns.add(now.0, TARGET, Kind::A, "192.0.2.10");
    for (hostname, tenant, answer) in &CUSTOMERS {
        dns.add_zone(now.0, &format!("{tenant}.example"));
        match answer {
            Dns::Elsewhere => dns.add(now.0, hostname, Kind::Cname, "shops.other-host.example"),
            Dns::Forbids => {
                dns.add(now.0, hostname, Kind::Cname, TARGET);
                dns.add(now.0, &format!("{tenant}.example"), Kind::Caa, "0 issue \"ca.other.example\"");
            }
            Dns::Nothing => {}
            Dns::Points => dns.add(now.0, hostname, Kind::Cname, TARGET),
        }
    }
    drop(dns);
    world.keep()
}

fn settings(world: &World, http01: SocketAddr) -> io::Result<String> {
    let addresses = world.addresses();
    let metrics = super::free_address()?;
    Ok(format!(
        "# The settings of this demonstration: what belongs to the machine.\n\
         apiVersion: claviger.dev/v1alpha1\nkind: Settings\n\
         source: {{ directory: ./resources }}\n\
         state: {{ directory: ./state }}\n\
         files: {{ read: ./secrets, write: ./certificates }}\n\
         http01: {{ listen: \"{http01}\" }}\n\
         resolvers: [\"{dns}\"]\n\
         endpoints:                    # the simulators; leave them out to speak to the real ones\n\
         \x20 kms: {{ eu-west-1: \"{kms}\", eu-central-1: \"{kms}\" }}\n\
         \x20 sts: {{ eu-west-1: \"{sts}\", eu-central-1: \"{sts}\" }}\n\
         \x20 cloudflare: \"{cloudflare}\"\n\
         admin: {{ listen: \"unix:./admin.sock\" }}\n\
         metrics: {{ listen: \"{metrics}\" }}\n",
        dns = addresses.dns,
        kms = addresses.kms,
        sts = addresses.sts,
        cloudflare = addresses.cloudflare,
    ))
}

fn documents(directory: &str) -> Vec<(&'static str, String)> {
    vec![
        ("staging.yaml", environment("staging", "222222222222", "eu-west-1", directory) + STAGING),
        ("test.yaml", environment("test", "333333333333", "eu-central-1", directory) + TEST),
        ("production.yaml", PRODUCTION.to_owned()),
        ("customers.yaml", customers()),
    ]
}

fn environment(name: &str, account: &str, region: &str, directory: &str) -> String {
    format!(
        "# An environment: the unit of separation, with its own AWS account, keys and names.\n\
         apiVersion: claviger.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\n\
         spec:\n\
         \x20 class: non-production\n\
         \x20 owner: itops@claviger.example\n\
         \x20 classification: internal\n\
         \x20 kms:\n\
         \x20   accountId: \"{account}\"\n\
         \x20   region: {region}\n\
         \x20   credentials: {{ file: aws-credentials, profile: {name} }}\n\
         \x20   aliasPrefix: claviger/{name}\n\
         \x20   wrappingKey: wrapping\n\
         \x20 zones: [{{ name: {name}.claviger.example, challenges: [http-01] }}]\n\
         \x20 issuers: [{{ name: letsencrypt, trust: public, acme: {{ directory: \"{directory}\", contacts: [\"mailto:itops@claviger.example\"] }} }}]\n\
         \x20 defaultIssuers: [{{ name: letsencrypt }}]\n\
         ---\n\
         # The key that wraps everything private in this environment.\n\
         apiVersion: claviger.dev/v1alpha1\nkind: KmsKey\nmetadata: {{ name: wrapping, namespace: {name} }}\n\
         spec: {{ purpose: wrap, rotation: {{ period: 365d }} }}\n"
    )
}

const STAGING: &str = "---
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: web, namespace: staging }
spec:
  dnsNames: [www.staging.claviger.example, staging.claviger.example]
  outlets: [{ name: nginx, files: { directory: staging-web } }]
---
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: api, namespace: staging }
spec:
  dnsNames: [api.staging.claviger.example]
  key: { algorithm: ecdsa-p384 }
  outlets: [{ name: gateway, files: { directory: staging-api } }]
---
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: legacy, namespace: staging }
spec:
  dnsNames: [legacy.staging.claviger.example]
  key: { algorithm: rsa-2048 }
  outlets: [{ name: apache, files: { directory: staging-legacy } }]
";

const TEST: &str = "---
# Somebody will switch the rotation of this key off behind claviger's back.
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: reports, namespace: test }
spec: { purpose: data, rotation: { period: 180d } }
---
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: ci, namespace: test }
spec:
  dnsNames: [ci.test.claviger.example]
  outlets: [{ name: runner, files: { directory: test-ci } }]
";

const PRODUCTION: &str = "apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: production }
spec:
  class: production
  owner: itops@claviger.example
  classification: confidential
  kms:
    accountId: \"111111111111\"
    region: eu-west-1
    credentials: { file: aws-credentials, profile: production }
    aliasPrefix: claviger/production
    wrappingKey: wrapping
  zones: [{ name: claviger.example, except: [staging.claviger.example, test.claviger.example] }]
  edge:
    cloudflare:
      zoneId: 023e105f4ecef8ad9ca31a8372d0c353
      apiToken: { file: cf-token }
      target: saas.claviger.example
      defaults: { validation: http, minTlsVersion: \"1.2\" }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: production }
spec: { purpose: wrap, rotation: { period: 365d } }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: customer-data, namespace: production }
spec: { purpose: data, rotation: { period: 90d } }
";

fn customers() -> String {
    let document = |(hostname, tenant, _): &(&str, &str, Dns)| {
        format!(
            "apiVersion: claviger.dev/v1alpha1\nkind: CustomHostname\nmetadata: {{ name: {tenant}, namespace: production }}\n\
             spec: {{ hostname: {hostname}, tenant: {tenant} }}\n"
        )
    };
    CUSTOMERS.iter().map(document).collect::<Vec<_>>().join("---\n")
}
