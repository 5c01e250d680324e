//! Who is next. Plain data: the daemon drives it with its runtime, a simulator with a loop.

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{EnvironmentName, Moment, ObjectName};

use crate::domain::{
    budget::{Budgets, Class},
    plan::Plan,
};

/// Subjects with an instant, a lane and the moment when waiting begins to hurt; environments take turns within a lane; only the
/// head of a budget's line is woken.
#[derive(Debug, Default)]
pub struct Agenda {
    waiting: BTreeSet<(Moment, ObjectName)>,
    known: BTreeMap<ObjectName, (Moment, Ticket)>,
    ready: BTreeMap<Place, Line>,
    due: BTreeMap<ObjectName, Ticket>,
    lines: BTreeMap<(Option<EnvironmentName>, Class), Line>,
    in_line: BTreeMap<ObjectName, (Option<EnvironmentName>, Class, Ticket)>,
    running: BTreeMap<ObjectName, bool>,
    served: BTreeMap<Place, u64>,
    picks: u64,
}

type Place = (Option<EnvironmentName>, Lane);
type Line = BTreeSet<(Ticket, ObjectName)>;

/// How urgent a subject is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket {
    /// Its lane.
    pub lane: Lane,
    /// When waiting begins to hurt.
    pub hurts: Moment,
    /// Its environment.
    pub environment: Option<EnvironmentName>,
}

/// Lanes, the most urgent first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// What others wait for: keys and environments.
    Floor,
    /// What a person asked for.
    Asked,
    /// What replaces something in service.
    Renewal,
    /// What is new.
    Onboarding,
    /// What is looked at although nothing is planned.
    Scan,
}

/// What comes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// Nothing before that instant.
    Idle(Option<Moment>),
    /// This subject.
    Run(ObjectName),
}

impl Agenda {
    /// Puts a subject on it. The earlier of two instants wins; a name that is out on loan runs once more afterwards.
    pub fn put(&mut self, name: ObjectName, at: Moment, ticket: Ticket) {
        if let Some(again) = self.running.get_mut(&name) {
            *again = true;
            return;
        }
        if let Some(old) = self.due.get(&name) {
            if ticket < *old {
                self.withdraw(&name);
                self.make_ready(ticket, name);
            }
            return; // its turn comes anyway
        }
        if let Some((environment, class, old)) = self.in_line.remove(&name)
            && let Some(line) = self.lines.get_mut(&(environment, class))
        {
            line.remove(&(old, name.clone()));
        }
        if let Some((old, _)) = self.known.get(&name) {
            if *old <= at {
                return;
            }
            self.waiting.remove(&(*old, name.clone()));
        }
        self.known.insert(name.clone(), (at, ticket));
        self.waiting.insert((at, name));
    }

    /// Takes a subject back from its pass.
    pub fn done(&mut self, name: ObjectName, plan: &Plan, ticket: Ticket, now: Moment) {
        let again = self.running.remove(&name).unwrap_or(false);
        match (plan.line, plan.next) {
            _ if again => self.put(name, now, ticket),
            (Some(class), _) => {
                let place = (ticket.environment.clone(), class);
                self.in_line.insert(name.clone(), (place.0.clone(), class, ticket.clone()));
                self.lines.entry(place).or_default().insert((ticket, name));
            }
            (None, Some(at)) => self.put(name, at, ticket),
            (None, None) => {} // until its document, a neighbour or a person wakes it
        }
    }

    /// The next subject, or the instant until which there is none.
    pub fn next(&mut self, budgets: &Budgets, now: Moment) -> Next {
        self.wake(now);
        let line_opens = self.open_lines(budgets, now);
        let waits = self.waiting.first().map(|(at, _)| *at);
        let opening = [waits, line_opens].into_iter().flatten().min();
        self.picks += 1;
        // Every eighth pick goes to whichever line waited longest, so that no lane starves.
        let by_lane = !self.picks.is_multiple_of(8);
        let head = |(place, line): (&Place, &Line)| {
            let (ticket, _) = line.first()?;
            Some((by_lane.then_some(place.1), self.served.get(place).copied(), ticket.hurts, place.clone()))
        };
        let Some((.., place)) = self.ready.iter().filter_map(head).min() else { return Next::Idle(opening) };
        let Some((_, name)) = self.ready.get_mut(&place).and_then(BTreeSet::pop_first) else {
            return Next::Idle(opening);
        };
        self.due.remove(&name);
        self.served.insert(place, self.picks);
        self.running.insert(name.clone(), false);
        Next::Run(name)
    }

    fn wake(&mut self, now: Moment) {
        while self.waiting.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, name)) = self.waiting.pop_first()
        {
            if let Some((_, ticket)) = self.known.remove(&name) {
                self.make_ready(ticket, name);
            }
        }
    }

    fn make_ready(&mut self, ticket: Ticket, name: ObjectName) {
        self.due.insert(name.clone(), ticket.clone());
        self.ready.entry((ticket.environment.clone(), ticket.lane)).or_default().insert((ticket, name));
    }

    fn withdraw(&mut self, name: &ObjectName) {
        let Some(ticket) = self.due.remove(name) else { return };
        if let Some(line) = self.ready.get_mut(&(ticket.environment.clone(), ticket.lane)) {
            line.remove(&(ticket, name.clone()));
        }
    }

    /// The head of a line only: no herd.
    fn open_lines(&mut self, budgets: &Budgets, now: Moment) -> Option<Moment> {
        let mut opening: Option<Moment> = None;
        let mut heads = Vec::new();
        for ((environment, class), line) in self.lines.iter_mut().filter(|(_, line)| !line.is_empty()) {
            let opens = environment.as_ref().map_or(now, |environment| budgets.opens(environment, *class, now));
            if opens > now {
                opening = Some(opening.map_or(opens, |at| at.min(opens)));
            } else {
                heads.extend(line.pop_first());
                opening = Some(now);
            }
        }
        for (ticket, name) in heads {
            self.in_line.remove(&name);
            self.make_ready(ticket, name);
        }
        opening
    }

    /// How many wait, are ready, stand in lines and are out on a pass.
    pub fn depth(&self) -> Depth {
        Depth {
            waiting: self.waiting.len(),
            ready: self.ready.values().map(BTreeSet::len).sum(),
            in_line: self.lines.values().map(BTreeSet::len).sum(),
            running: self.running.len(),
        }
    }

    /// The instant of the longest overdue subject that no pass has taken yet.
    pub fn oldest_due(&self) -> Option<Moment> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// The budget that a subject stands in line for, and how many stand before it.
    pub fn place(&self, name: &ObjectName) -> Option<(Option<&EnvironmentName>, Class, usize)> {
        let (environment, class, ticket) = self.in_line.get(name)?;
        let line = self.lines.get(&(environment.clone(), *class))?;
        Some((environment.as_ref(), *class, line.range(..(ticket.clone(), name.clone())).count()))
    }

    /// Everybody who stands in a line, with how many stand before.
    pub fn places(&self) -> impl Iterator<Item = (&ObjectName, Option<&EnvironmentName>, Class, usize)> {
        self.lines.iter().flat_map(|((environment, class), line)| {
            line.iter().enumerate().map(move |(before, (_, name))| (name, environment.as_ref(), *class, before))
        })
    }

    /// How many stand in the line of each budget.
    pub fn lines(&self) -> impl Iterator<Item = (Option<&EnvironmentName>, Class, usize)> {
        self.lines.iter().map(|((environment, class), line)| (environment.as_ref(), *class, line.len()))
    }
}

/// How full the agenda is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Depth {
    /// Subjects with an instant in the future.
    pub waiting: usize,
    /// Subjects whose instant has come.
    pub ready: usize,
    /// Subjects that wait for a budget.
    pub in_line: usize,
    /// Subjects out on a pass.
    pub running: usize,
}

#[cfg(test)]
mod tests {
    use claviger_config::{Kind, Reason, Span, desired::Surroundings};

    use super::*;
    use crate::domain::given::{NOW, surroundings};

    fn name(name: &str) -> ObjectName {
        ObjectName { kind: Kind::TlsCertificate, namespace: None, name: name.parse().unwrap() }
    }

    fn environment(name: &str) -> Option<EnvironmentName> {
        Some(name.parse().unwrap())
    }

    fn ticket(lane: Lane) -> Ticket {
        Ticket { lane, hurts: Moment::MAX, environment: environment("staging") }
    }

    fn budgets() -> Budgets {
        let mut budgets = Budgets::default();
        budgets.know(&surroundings());
        budgets
    }

    fn rest(next: Option<Moment>) -> Plan {
        Plan::rest(next, Reason::Issued)
    }

    fn in_line() -> Plan {
        Plan { line: Some(Class::AcmeOrders), ..Plan::rest(None, Reason::BudgetSpent) }
    }

    /// Runs whatever is ready now, resting until somebody wakes it.
    fn run(agenda: &mut Agenda, now: Moment) -> Vec<String> {
        let mut run = Vec::new();
        while let Next::Run(next) = agenda.next(&budgets(), now) {
            run.push(next.name.to_string());
            agenda.done(next, &rest(None), ticket(Lane::Scan), now);
        }
        run
    }

    #[test]
    fn a_subject_runs_at_its_instant_and_not_before() {
        let mut agenda = Agenda::default();
        agenda.put(name("a"), NOW + Span::hours(1), ticket(Lane::Scan));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Idle(Some(NOW + Span::hours(1))));
        assert_eq!(run(&mut agenda, NOW + Span::hours(1)), ["a"]);
        assert_eq!(agenda.next(&budgets(), NOW + Span::days(1)), Next::Idle(None));
    }

    #[test]
    fn the_earlier_of_two_instants_wins() {
        let mut agenda = Agenda::default();
        for hours in [2, 1, 3] {
            agenda.put(name("a"), NOW + Span::hours(hours), ticket(Lane::Scan));
        }
        assert_eq!(agenda.next(&budgets(), NOW), Next::Idle(Some(NOW + Span::hours(1))));
        assert_eq!(run(&mut agenda, NOW + Span::days(1)), ["a"], "and it runs once");
    }

    #[test]
    fn a_subject_is_lent_to_one_pass_at_a_time() {
        let mut agenda = Agenda::default();
        agenda.put(name("a"), NOW, ticket(Lane::Scan));
        agenda.put(name("b"), NOW, ticket(Lane::Scan));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Run(name("a")));
        agenda.put(name("b"), NOW, ticket(Lane::Asked)); // due already, and put again with another ticket
        agenda.put(name("a"), NOW, ticket(Lane::Asked));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Run(name("b")));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Idle(None), "both are out");
        agenda.done(name("b"), &rest(None), ticket(Lane::Scan), NOW);
        assert_eq!(agenda.next(&budgets(), NOW), Next::Idle(None));
    }

    #[test]
    fn whoever_is_woken_while_out_runs_once_more() {
        let mut agenda = Agenda::default();
        agenda.put(name("a"), NOW, ticket(Lane::Scan));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Run(name("a")));
        agenda.put(name("a"), NOW + Span::hours(9), ticket(Lane::Scan));
        agenda.done(name("a"), &rest(Some(NOW + Span::days(1))), ticket(Lane::Scan), NOW);
        assert_eq!(agenda.next(&budgets(), NOW), Next::Run(name("a")));
    }

    #[test]
    fn a_more_urgent_lane_goes_first_also_for_whoever_is_due_already() {
        let mut agenda = Agenda::default();
        agenda.put(name("scan"), NOW, ticket(Lane::Scan));
        agenda.put(name("renewal"), NOW, ticket(Lane::Renewal));
        agenda.put(name("floor"), NOW, ticket(Lane::Floor));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Run(name("floor")));
        agenda.put(name("scan"), NOW, ticket(Lane::Asked));
        assert_eq!(agenda.next(&budgets(), NOW), Next::Run(name("scan")));
    }

    #[test]
    fn no_lane_starves() {
        let mut agenda = Agenda::default();
        agenda.put(name("scan"), NOW, ticket(Lane::Scan));
        for index in 0..100 {
            agenda.put(name(&format!("floor-{index}")), NOW, ticket(Lane::Floor));
        }
        let place = run(&mut agenda, NOW).iter().position(|run| run == "scan").unwrap();
        assert!(place < 20, "it ran as number {place}");
    }

    #[test]
    fn environments_take_turns() {
        let mut agenda = Agenda::default();
        for index in 0..50 {
            agenda.put(
                name(&format!("big-{index}")),
                NOW,
                Ticket { environment: environment("big"), ..ticket(Lane::Renewal) },
            );
        }
        agenda.put(name("small"), NOW, Ticket { environment: environment("small"), ..ticket(Lane::Renewal) });
        let place = run(&mut agenda, NOW).iter().position(|run| run == "small").unwrap();
        assert!(place < 3, "it ran as number {place}");
    }

    #[test]
    fn within_a_line_whoever_hurts_first_goes_first() {
        let mut agenda = Agenda::default();
        for (index, days) in [30, 10, 20].into_iter().enumerate() {
            let ticket = Ticket { hurts: NOW + Span::days(days), ..ticket(Lane::Renewal) };
            agenda.put(name(&format!("ends-in-{days}-{index}")), NOW, ticket);
        }
        assert_eq!(run(&mut agenda, NOW), ["ends-in-10-1", "ends-in-20-2", "ends-in-30-0"]);
    }

    #[test]
    fn only_the_head_of_a_budgets_line_is_woken_when_it_opens() {
        let (mut agenda, mut budgets) = (Agenda::default(), budgets());
        let at: Surroundings = surroundings();
        budgets.shut(&at.name, Class::AcmeOrders, NOW + Span::hours(1));
        for days in [30, 10, 20] {
            let (name, ticket) =
                (name(&format!("ends-in-{days}")), Ticket { hurts: NOW + Span::days(days), ..ticket(Lane::Renewal) });
            agenda.put(name.clone(), NOW, ticket.clone());
            assert_eq!(agenda.next(&budgets, NOW), Next::Run(name.clone()));
            agenda.done(name, &in_line(), ticket, NOW);
        }
        assert_eq!(agenda.depth(), Depth { in_line: 3, ..Depth::default() });
        let places: Vec<_> = agenda.places().map(|(name, .., before)| (name.name.to_string(), before)).collect();
        for (place, before) in &places {
            assert_eq!(agenda.place(&name(place)).map(|(.., before)| before), Some(*before));
        }
        assert_eq!(agenda.lines().map(|(_, _, length)| length).sum::<usize>(), 3);
        assert_eq!(agenda.next(&budgets, NOW), Next::Idle(Some(NOW + Span::hours(1))));
        let now = NOW + Span::hours(1);
        assert_eq!(agenda.next(&budgets, now), Next::Run(name("ends-in-10")));
        budgets.shut(&at.name, Class::AcmeOrders, now + Span::hours(1)); // it took the token
        assert_eq!(agenda.next(&budgets, now), Next::Idle(Some(now + Span::hours(1))));
        assert_eq!(agenda.depth(), Depth { in_line: 2, running: 1, ..Depth::default() });
    }

    #[test]
    fn whoever_stands_in_a_line_is_woken_by_a_changed_document() {
        let (mut agenda, mut budgets) = (Agenda::default(), budgets());
        budgets.shut(&surroundings().name, Class::AcmeOrders, NOW + Span::days(7));
        agenda.put(name("a"), NOW, ticket(Lane::Renewal));
        assert_eq!(agenda.next(&budgets, NOW), Next::Run(name("a")));
        agenda.done(name("a"), &in_line(), ticket(Lane::Renewal), NOW);
        agenda.put(name("a"), NOW + Span::minutes(1), ticket(Lane::Asked));
        assert_eq!(agenda.depth(), Depth { waiting: 1, ..Depth::default() });
        assert_eq!(agenda.oldest_due(), Some(NOW + Span::minutes(1)));
        assert_eq!(agenda.next(&budgets, NOW + Span::minutes(1)), Next::Run(name("a")));
    }
}
