//! One client per environment: its Region, its endpoint, its credentials, and no others.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::{
    AppName, BehaviorVersion, Region, default_provider::credentials::DefaultCredentialsChain,
    provider_config::ProviderConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kms::{Client, config::IdentityCache};
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_types::{
    SdkConfig,
    sdk_config::{SharedHttpClient, SharedTimeSource, TimeSource},
};
use claviger_config::{
    EnvironmentName, Moment,
    desired::Surroundings,
    environment::{CredentialsFile, KmsNamespace},
};
use claviger_core::ports::Clock;
use url::{Host, Url};

use super::{
    KmsOptions,
    credentials::{Fenced, FromFile},
    namespace::Namespace,
};

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) read: Duration,
    pub(super) operation: Duration,
}

impl Patience {
    /// Longer than one call to STS, so that its own time-out says who did not answer.
    fn sign_in(self) -> Duration {
        self.connect + self.connect + self.read
    }
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), read: seconds(10), operation: seconds(30) }
    }
}

/// The clients of all environments.
pub(super) struct Clients {
    options: Arc<KmsOptions>,
    patience: Patience,
    http: SharedHttpClient,
    loopback: SharedHttpClient,
    known: Mutex<BTreeMap<EnvironmentName, Arc<Namespace>>>,
}

impl Clients {
    pub(super) fn new(options: Arc<KmsOptions>, patience: Patience) -> Self {
        let (http, loopback) = (https(ProxyConfig::from_env()), https(ProxyConfig::disabled()));
        Self { options, patience, http, loopback, known: Mutex::default() }
    }

    /// The environment's client, made anew when its document has changed or AWS has not taken its credentials.
    pub(super) async fn of(&self, at: &Surroundings) -> Arc<Namespace> {
        let fits = |known: &&Arc<Namespace>| known.serves(&at.spec.kms) && !known.rejected();
        if let Some(known) = self.known().get(&at.name).filter(fits) {
            return Arc::clone(known);
        }
        let made = Arc::new(self.make(at).await);
        self.known().insert(at.name.clone(), Arc::clone(&made));
        made
    }

    /// The environment's client as it was last used.
    pub(super) fn last(&self, environment: &EnvironmentName) -> Option<Arc<Namespace>> {
        self.known().get(environment).cloned()
    }

    async fn make(&self, at: &Surroundings) -> Namespace {
        let (kms, region) = (&at.spec.kms, Region::new(at.spec.kms.region.clone()));
        let endpoints = &self.options.endpoints;
        let base = self.base(region.clone(), endpoints.kms.get(&kms.region));
        let config = aws_sdk_kms::config::Builder::from(&base)
            .credentials_provider(self.credentials(at, self.base(region, endpoints.sts.get(&kms.region))).await)
            .identity_cache(IdentityCache::lazy().load_timeout(self.patience.sign_in()).build());
        let client = Client::from_conf(config.build());
        Namespace::new(at, identity(kms), client, Arc::clone(&self.options), self.last(&at.name).as_deref())
    }

    /// What every client has in common. Retries are the plan's.
    fn base(&self, region: Region, endpoint: Option<&String>) -> SdkConfig {
        let mut builder = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .http_client(self.http(endpoint))
            .time_source(self.time())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.time_outs())
            // Answers are small and every call has an end: nothing is streamed.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        builder.set_endpoint_url(endpoint.cloned());
        builder.app_name(AppName::new("claviger").expect("letters are a valid name of an application")).build()
    }

    async fn credentials(&self, at: &Surroundings, sts: SdkConfig) -> SharedCredentialsProvider {
        let kms = &at.spec.kms;
        let own = match &kms.credentials {
            Some(named) => SharedCredentialsProvider::new(FromFile {
                folder: self.options.files_read.clone(),
                named: named.clone(),
            }),
            None => SharedCredentialsProvider::new(self.chain(sts.region().cloned()).await),
        };
        let account = kms.account_id.clone();
        match &kms.assume_role {
            None => SharedCredentialsProvider::new(Fenced { inner: own, account }),
            Some(role) => {
                let provider = AssumeRoleProvider::builder(role.clone())
                    .session_name(session_name(&at.name))
                    .configure(&sts)
                    .build_from_provider(own)
                    .await;
                SharedCredentialsProvider::new(Fenced { inner: provider, account })
            }
        }
    }

    /// Environment variables, shared files, web identity, container, instance: as every AWS tool looks for them.
    async fn chain(&self, region: Option<Region>) -> DefaultCredentialsChain {
        let config = ProviderConfig::without_region()
            .with_region(region.clone())
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_http_client(self.http.clone())
            .with_time_source(self.time())
            .with_retry_config(RetryConfig::disabled())
            .with_timeout_config(self.time_outs());
        let mut builder = DefaultCredentialsChain::builder().configure(config);
        builder.set_region(region);
        builder.build().await
    }

    /// A proxy is for the way out: what listens on this machine is asked directly.
    fn http(&self, endpoint: Option<&String>) -> SharedHttpClient {
        let here = endpoint.is_some_and(|endpoint| on_this_machine(endpoint));
        if here { self.loopback.clone() } else { self.http.clone() }
    }

    fn time_outs(&self) -> TimeoutConfig {
        let Patience { connect, read, operation } = self.patience;
        TimeoutConfig::builder().connect_timeout(connect).read_timeout(read).operation_timeout(operation).build()
    }

    fn time(&self) -> SharedTimeSource {
        SharedTimeSource::new(Now(Arc::clone(&self.options.clock)))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<EnvironmentName, Arc<Namespace>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One for all environments, as the SDK itself would make it: hyper, rustls on aws-lc, the system's roots, the proxy of the
/// process environment.
fn https(proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(proxy.clone()));
        connector.build()
    })
}

fn on_this_machine(endpoint: &str) -> bool {
    match Url::parse(endpoint).as_ref().ok().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// STS takes up to 64 letters.
fn session_name(environment: &EnvironmentName) -> String {
    format!("claviger-{environment}").chars().take(64).collect()
}

/// Who asks, as the document says it.
fn identity(kms: &KmsNamespace) -> String {
    match (&kms.assume_role, &kms.credentials) {
        (Some(role), _) => format!("the role {role}"),
        (None, Some(CredentialsFile { file, profile })) => format!("the profile `{profile}` of `{file}`"),
        (None, None) => "the credentials of the AWS chain".to_owned(),
    }
}

/// claviger's clock as the SDK's.
struct Now(Arc<dyn Clock>);

impl TimeSource for Now {
    fn now(&self) -> SystemTime {
        let Moment(milliseconds) = self.0.now();
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}
