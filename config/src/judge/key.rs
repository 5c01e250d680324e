//! What a key's document may say.

use super::{
    Incumbent, Own,
    environment::{immutable, word},
};
use crate::{
    admin::Finding,
    desired::Spec,
    document::{Code, Document},
    key::{KeySpec, KmsKeySpec},
    moment::Span,
};

pub(super) const OWN: &[Own] = &[
    kind_and_purpose_are_for_life,
    kind_serves_purpose,
    name_makes_an_alias,
    period_is_whole_days,
    rotation_is_for_symmetric_keys,
];

fn spec(document: &Document) -> Option<&KmsKeySpec> {
    match &*document.spec {
        Spec::KmsKey(spec) => Some(spec),
        _ => None,
    }
}

fn kind_and_purpose_are_for_life(document: &Document, incumbent: Option<&Incumbent>) -> Vec<Finding> {
    let (Some(now), Some(Spec::KmsKey(then))) = (spec(document), incumbent.map(|incumbent| &*incumbent.document))
    else {
        return Vec::new();
    };
    let purpose = immutable(document, "spec.purpose", now.purpose.word(), then.purpose.word());
    let kind = immutable(document, "spec.keySpec", now.key_spec.word(), then.key_spec.word());
    purpose.into_iter().chain(kind).collect()
}

fn kind_serves_purpose(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let unfit = spec(document).filter(|spec| !spec.key_spec.serves(spec.purpose));
    let finding = |spec: &KmsKeySpec| {
        let place = document.at("spec.keySpec");
        let blanks = [("found", spec.key_spec.word()), ("purpose", spec.purpose.word())];
        let fit = KeySpec::ALL.into_iter().filter(|kind| kind.serves(spec.purpose)).map(KeySpec::word);
        Code::KeySpecMismatch.at(&place, &blanks).found(spec.key_spec.word()).accepts(fit)
    };
    unfit.map(finding).into_iter().collect()
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>: no dots.
fn name_makes_an_alias(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let name = document.name.name.as_str();
    let impossible = spec(document).filter(|_| name.contains('.'));
    let alias = format!("alias/…/{name}");
    let blanks = [("found", alias.as_str()), ("why", "it would hold a dot")];
    let finding = |_| Code::AliasImpossible.at(&document.at("metadata.name"), &blanks).found(name);
    impossible.map(finding).into_iter().collect()
}

fn rotation_is_for_symmetric_keys(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let stuck = spec(document).filter(|spec| spec.rotation.is_some() && !spec.key_spec.rotates());
    let finding = |spec: &KmsKeySpec| {
        let blanks = [("found", spec.key_spec.word())];
        Code::RotationUnsupported.at(&document.at("spec.rotation"), &blanks).found(spec.key_spec.word())
    };
    stuck.map(finding).into_iter().collect()
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html>: `RotationPeriodInDays`, 90 to 2560.
fn period_is_whole_days(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let Some(period) = spec(document).and_then(|spec| spec.rotation).map(|rotation| rotation.period) else {
        return Vec::new();
    };
    if (90..=2560).contains(&period.whole_days()) && period == Span::days(period.whole_days()) {
        return Vec::new();
    }
    let found = word(period);
    let finding = Code::RotationPeriodRefused.at(&document.at("spec.rotation.period"), &[("found", &found)]);
    vec![finding.found(&found).accepts(["90d to 2560d"])]
}
