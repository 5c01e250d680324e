//! A plan, told once: conditions, attention, event, metric labels and audit words. Pure; writers are adapters.

use claviger_config::{
    Moment, Reason, Span, Turn,
    condition::{Attention, CommonStatus, Condition, ConditionStatus, Pending},
};

use crate::domain::{
    noun::{Noun, Viewed},
    plan::{Plan, Step},
    record::{Dated, PATIENCE, Record, Said},
};

/// What every status begins with.
pub fn common<N: Noun>(view: &Viewed<'_, N>) -> CommonStatus {
    let record = &view.seen.record;
    CommonStatus {
        observed_generation: record.generation,
        environment: record.environment.as_ref().map(ToString::to_string),
        conditions: conditions(record, view.plan),
        pending: pending(record),
        attention: attention(record, view.plan, view.now),
    }
}

fn conditions<M>(record: &Record<M>, plan: &Plan) -> Vec<Condition> {
    let message = |said: &Dated| if said.reason == plan.reason { plan.message.clone() } else { String::new() };
    let condition = |r#type: &str, said: &Dated| Condition {
        r#type: r#type.to_owned(),
        status: said.status,
        reason: said.reason,
        message: message(said),
        observed_generation: record.generation,
        last_transition_time: said.since.to_second(),
    };
    vec![condition("Ready", &record.said.ready), condition("OnSchedule", &record.said.on_schedule)]
}

fn pending<M>(record: &Record<M>) -> Option<Pending> {
    let failures = record.trouble.as_ref().map_or(0, |trouble| trouble.count);
    let intent = record.intent.as_ref()?;
    Some(Pending {
        intent: Some(intent.id.clone()),
        effect: intent.effect.terms().word.to_owned(),
        issuer: intent.effect.issuer().map(ToString::to_string),
        order_url: intent.effect.order().cloned(),
        failures,
    })
}

/// What someone must know: a person's turn, what is out of service, and somebody else's turn that has lasted or will last too long.
pub fn attention<M>(record: &Record<M>, plan: &Plan, now: Moment) -> Option<Attention> {
    let (said, trouble) = (&record.said, record.trouble.as_ref());
    let since = trouble.map_or(said.since, |trouble| trouble.since);
    let turn = plan.reason.turn();
    let due = match turn {
        Turn::Nobody => false,
        Turn::Operator | Turn::Customer => true,
        Turn::Aws | Turn::CertificateAuthority | Turn::Claviger | Turn::Cloudflare => {
            let stuck = trouble.is_some_and(|trouble| trouble.until.is_none_or(|until| until.since(since) >= PATIENCE));
            // Whoever stands in a budget's line knows why, and thousands may: worth a word after a day.
            let patience = if plan.reason == Reason::BudgetSpent { Span::days(1) } else { PATIENCE };
            stuck || now.since(since) >= patience || plan.hurts.is_some_and(|hurts| hurts <= now)
        }
    };
    due.then(|| Attention {
        reason: plan.reason,
        turn,
        since: since.to_second(),
        next_try: plan.next.map(|at| at.to_second()),
        hurts_at: plan.hurts.map(|at| at.to_second()),
        message: if plan.message.is_empty() { plan.reason.hint().to_owned() } else { plan.message.clone() },
        fix: plan.fix.clone(),
    })
}

/// Whether a plan says something else than what was said before: one line in the log, one event.
pub fn is_news(before: Option<&Said>, after: &Said) -> bool {
    before.is_none_or(|before| before.reason != after.reason || before.ready.status != after.ready.status)
}

/// One line for the log.
pub fn line(plan: &Plan) -> String {
    let what = match &plan.step {
        Step::Act(effect) => format!("does {}", effect.terms().word),
        Step::Look(query) => format!("asks {}", query.word()),
        Step::Recall(intent) => format!("asks what became of {}", intent.effect.terms().word),
        Step::Rest => "rests".to_owned(),
    };
    if plan.message.is_empty() { what } else { format!("{what}: {}", plan.message) }
}

/// Whether a subject is late: counted as `late` in the totals.
pub fn is_late(said: &Said) -> bool {
    said.on_schedule.status == ConditionStatus::False
}
