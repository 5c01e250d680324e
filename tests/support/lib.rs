//! What claviger's stories need around them: real peers on loopback, started for one test and ended with it.
//!
//! | peer | is | why it is believed |
//! | --- | --- | --- |
//! | [`Pebble`] | an ACME CA, behind a [`Proxy`] where faults are wanted | Let's Encrypt's own test server |
//! | [`ChallengeDns`] | the DNS that Pebble asks while it validates | comes with Pebble |
//! | [`Moto`], [`Ministack`] | AWS KMS and STS, behind a [`PlainProxy`] for faults | two makers; where one is wrong the other is right |
//! | [`Kubernetes`] | a kube-apiserver on an etcd, without controllers, behind an [`ApiFaults`] or a [`Wire`] where faults are wanted | Kubernetes' own, with its audit log |
//! | [`Kubelet`] | what of a node's kubelet forwards ports | ours: the API server before it is real |
//! | [`promtool`] | judges metrics and rules | Prometheus' own |
//! | [`openssl`] | verifies certificates | its verdict is what users' servers go by |
//!
//! `tests/run` provides the programs and names them in the environment; a test that misses one fails and says so, and
//! none is ever skipped. Every peer has a folder of its own, hears on loopback only, and dies with the test's process.

mod authority;
mod aws;
mod canary;
mod challenge_dns;
mod client;
pub mod documents;
pub mod keystores;
mod kubernetes;
pub mod openssl;
mod pebble;
mod ports;
mod process;
pub mod promtool;
mod proxy;
mod scratch;
mod site;
pub mod tools;
mod wait;
mod wire;

pub use authority::{ClientIdentity, ServerIdentity, TestAuthority};
pub use aws::{Aws, Ministack, Moto};
pub use canary::{Canary, Sighting};
pub use challenge_dns::ChallengeDns;
pub use client::{client_trusting, plain_client, socket_client};
pub use kubernetes::{ApiCall, ApiFault, ApiFaults, ApiRequest, ApiRule, Kubeconfig, Kubelet, Kubernetes, Watches};
pub use pebble::endpoint;
pub use pebble::{CertificateStatus, KeyAlgorithm, Pebble, PebbleOptions, Profile};
pub use ports::free_port;
pub use process::{Process, Program};
pub use proxy::{Edit, Fault, Logged, PlainProxy, Proxy, Relay, RetryAfter, Rule, Status};
pub use scratch::Scratch;
pub use site::{Daemon, Site, condition_of};
pub use wait::wait_until;
pub use wire::Wire;
