//! Plans to calls of the edge.

use claviger_config::Reason;

use super::{Outside, at};
use crate::{
    domain::{
        effect::{EdgeEffect, News, Query},
        failure::Failure,
    },
    reconcile::world::Scene,
};

impl Outside {
    pub(super) async fn look_edge(&self, scene: Scene<'_>, query: &Query) -> Result<News, Failure> {
        let Query::Hostname { hostname, id } = query else {
            return Err(Failure::new(Reason::AnswerNotUnderstood, "a fault in claviger: no question for the edge"));
        };
        let found = self.edge.find(at(&scene)?, hostname, id.as_deref()).await?;
        Ok(News::Hostname(found.map(Box::new)))
    }

    pub(super) async fn perform_edge(&self, scene: Scene<'_>, effect: &EdgeEffect) -> Result<News, Failure> {
        let at = at(&scene)?;
        let seen = match effect {
            EdgeEffect::Create { hostname, settings } => self.edge.create(at, hostname, *settings).await?,
            EdgeEffect::Refresh { id, hostname, settings } | EdgeEffect::Update { id, hostname, settings } => {
                self.edge.update(at, hostname, id, *settings).await?
            }
        };
        Ok(News::Hostname(Some(Box::new(seen))))
    }

    pub(super) async fn recall_edge(&self, scene: Scene<'_>, effect: &EdgeEffect) -> Result<Option<News>, Failure> {
        let EdgeEffect::Create { hostname, .. } = effect else { return Ok(None) };
        let found = self.edge.find(at(&scene)?, hostname, None).await?;
        Ok(found.map(|found| News::Hostname(Some(Box::new(found)))))
    }
}
