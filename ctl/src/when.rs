//! Instants as people read them.

use claviger_config::{Moment, Span};

/// How instants are told: seen from the daemon's present, or as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    present: Option<Moment>,
}

impl When {
    /// Tell them as they are, in UTC.
    pub(crate) const ABSOLUTE: Self = Self { present: None };

    /// Tell them as seen from the daemon's present, which in a demo is not the wall clock's.
    pub(crate) const fn seen_from(present: Moment) -> Self {
        Self { present: Some(present.to_second()) }
    }

    /// `in 6 days`, `3 h ago`, or the instant itself.
    pub(crate) fn tell(self, moment: Moment) -> String {
        let Some(present) = self.present else {
            return moment.to_second().to_string();
        };
        match moment.since(present).0 {
            -999..1_000 => "now".to_owned(),
            ahead @ 1_000.. => format!("in {}", length(Span(ahead))),
            behind => format!("{} ago", length(Span(behind.saturating_neg()))),
        }
    }

    /// The same, or a dash for what is not known.
    pub(crate) fn tell_if_known(self, moment: Option<Moment>) -> String {
        moment.map_or_else(|| "-".to_owned(), |moment| self.tell(moment))
    }

    /// How long ago, without the word: an age.
    pub(crate) fn age(self, moment: Option<Moment>) -> String {
        match (self.present, moment) {
            (Some(present), Some(moment)) => length(present.since(moment)),
            (None, Some(moment)) => self.tell(moment),
            (_, None) => "-".to_owned(),
        }
    }

    /// How long the instant has passed; nothing while it is still to come.
    pub(crate) fn passed(self, moment: Moment) -> Option<String> {
        self.present.filter(|present| moment < *present).map(|present| length(present.since(moment)))
    }
}

/// A length in the unit that a person would use.
fn length(span: Span) -> String {
    const UNITS: [(i64, i64, &str, &str); 3] =
        [(90_000, 1_000, "s", "s"), (5_400_000, 60_000, "min", "min"), (172_800_000, 3_600_000, "h", "h")];
    let (unit, one, many) = UNITS
        .iter()
        .find(|(below, ..)| span.0 < *below)
        .map_or((86_400_000, "day", "days"), |(_, unit, one, many)| (*unit, *one, *many));
    let count = span.0 / unit;
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: Moment = Moment(1_795_514_400_000);

    fn told(ahead: Span) -> String {
        When::seen_from(PRESENT).tell(PRESENT + ahead)
    }

    #[test]
    fn what_comes_is_told_in_the_unit_that_a_person_would_use() {
        let cases = [
            (Span(0), "now"),
            (Span(999), "now"),
            (Span::seconds(45), "in 45 s"),
            (Span::minutes(5), "in 5 min"),
            (Span::hours(30), "in 30 h"),
            (Span::days(6), "in 6 days"),
            (Span::days(365), "in 365 days"),
        ];
        for (ahead, expected) in cases {
            assert_eq!(told(ahead), expected);
        }
    }

    #[test]
    fn what_was_is_told_as_ago() {
        assert_eq!(told(Span::hours(-3)), "3 h ago");
        assert_eq!(told(Span::days(-2)), "2 days ago");
        assert_eq!(told(Span(i64::MIN)), "739943 days ago");
    }

    #[test]
    fn without_a_present_instants_are_absolute() {
        assert_eq!(When::ABSOLUTE.tell(PRESENT), "2026-11-24T10:00:00Z");
        assert_eq!(When::ABSOLUTE.tell_if_known(None), "-");
    }
}
