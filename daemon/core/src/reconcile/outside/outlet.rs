//! Plans to outlets: the key is opened here and nowhere else.

use claviger_config::DnsName;

use super::{Outside, at, binding, wrapping};
use crate::{
    domain::{
        effect::{Issued, KeyUse, News, OutletEffect, OutletTarget, SealedKey},
        failure::Failure,
    },
    ports::Expected,
    reconcile::world::Scene,
};

impl Outside {
    pub(super) async fn perform_outlet(&self, scene: Scene<'_>, effect: &OutletEffect) -> Result<News, Failure> {
        match effect {
            OutletEffect::Adopt { outlet, names } => self.adopt(scene, outlet, names).await,
            OutletEffect::Deliver { outlet, key, chain } => {
                let secret = self.kms.open(at(&scene)?, &binding(&scene, KeyUse::Certificate)?, key).await?;
                self.outlet.deliver(outlet, &secret, chain).await?;
                Ok(News::Delivered(outlet.name.clone()))
            }
            OutletEffect::Reload { outlet } => {
                Ok(News::Reloaded(outlet.name.clone(), self.outlet.reload(outlet).await?))
            }
        }
    }

    /// What cannot be used (other names, expired, no pair) is no failure: a new certificate is ordered then.
    async fn adopt(&self, scene: Scene<'_>, outlet: &OutletTarget, names: &[DnsName]) -> Result<News, Failure> {
        let at = at(&scene)?;
        let Some((key, pem)) = self.outlet.take(outlet).await? else { return Ok(News::Adopted(None)) };
        let Ok((secret, algorithm, spki_sha256)) = self.craft.read_key(&key).await else {
            return Ok(News::Adopted(None));
        };
        let expected = Expected { names, spki_sha256: &spki_sha256, issuer: None, now: scene.now };
        let Ok(chain) = self.craft.verify(at, &pem, expected).await else { return Ok(News::Adopted(None)) };
        let key = self.kms.seal(at, wrapping(&scene)?, &binding(&scene, KeyUse::Certificate)?, &secret).await?;
        let key = SealedKey { key, spki_sha256, algorithm };
        Ok(News::Adopted(Some(Box::new(Issued { chain, key, issuer: None, profile: None, at: scene.now }))))
    }
}
