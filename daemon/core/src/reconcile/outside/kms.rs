//! Plans to calls of the KMS namespace.

use claviger_config::Reason;

use super::{Outside, at, binding, wrapping};
use crate::{
    domain::{
        effect::{KmsEffect, News, Query, SealedKey},
        failure::Failure,
    },
    ports::NewKey,
    reconcile::world::Scene,
};

impl Outside {
    pub(super) async fn look_kms(&self, scene: Scene<'_>, query: &Query) -> Result<News, Failure> {
        let at = at(&scene)?;
        let found = match query {
            Query::Key { arn, alias } => self.kms.read_key(at, arn, alias, scene.name).await?,
            Query::LostKey { alias } => self.kms.find_by_object(at, alias, scene.name).await?,
            _ => return Err(Failure::new(Reason::AnswerNotUnderstood, "a fault in claviger: no question for KMS")),
        };
        Ok(News::Key(found.map(Box::new)))
    }

    pub(super) async fn perform_kms(&self, scene: Scene<'_>, effect: &KmsEffect) -> Result<News, Failure> {
        let at = at(&scene)?;
        match effect {
            KmsEffect::CreateAlias { alias, arn } => {
                self.kms.create_alias(at, alias, arn).await?;
                Ok(News::Aliased)
            }
            KmsEffect::CreateKey { spec, purpose } => {
                let key = NewKey { object: scene.name, intent: scene.intent_id, spec: *spec, purpose: *purpose };
                Ok(News::KeyCreated(self.kms.create_key(at, key).await?))
            }
            KmsEffect::SealNewKey { algorithm, r#use } => {
                let (secret, spki_sha256) = self.craft.new_key(*algorithm).await?;
                let binding = binding(&scene, r#use.clone())?;
                let key = self.kms.seal(at, wrapping(&scene)?, &binding, &secret).await?;
                Ok(News::KeySealed(r#use.clone(), SealedKey { key, spki_sha256, algorithm: *algorithm }))
            }
            KmsEffect::SetRotation { arn, period } => {
                self.kms.set_rotation(at, arn, *period).await?;
                Ok(News::Rotation(*period))
            }
        }
    }

    pub(super) async fn recall_kms(
        &self,
        scene: Scene<'_>,
        intent: &str,
        effect: &KmsEffect,
    ) -> Result<Option<News>, Failure> {
        let KmsEffect::CreateKey { .. } = effect else { return Ok(None) };
        Ok(self.kms.find_by_intent(at(&scene)?, intent).await?.map(News::KeyCreated))
    }
}
