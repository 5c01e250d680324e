//! Series of each object: kept as numbers until they are sent, so that a scrape of many thousands takes little memory.

use prometheus::{
    Encoder, TextEncoder,
    proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// Families that have one series per object, up to a limit.
pub(super) struct Table {
    families: &'static [(&'static str, &'static str)],
    labels: &'static [&'static str],
    rows: Vec<Row>,
    omitted: usize,
}

struct Row {
    labels: Box<[Box<str>]>,
    values: Box<[Option<f64>]>,
}

/// Objects of a kind with series of their own, at most.
const OBJECTS: usize = 10_000;

/// How many series are put into text at once.
const PIECE: usize = 500;

impl Table {
    /// An empty one: families with their help, and what their series are labelled with.
    pub(super) const fn new(
        families: &'static [(&'static str, &'static str)],
        labels: &'static [&'static str],
    ) -> Self {
        Self { families, labels, rows: Vec::new(), omitted: 0 }
    }

    /// One object: its labels and a value for each family; what is unknown has none.
    pub(super) fn put(&mut self, labels: &[&str], values: &[Option<f64>]) {
        debug_assert!(
            labels.len() == self.labels.len() && values.len() == self.families.len(),
            "{labels:?} {values:?}"
        );
        if self.rows.len() < OBJECTS {
            self.rows.push(Row { labels: labels.iter().map(|&label| label.into()).collect(), values: values.into() });
        } else {
            self.omitted += 1;
        }
    }

    /// How many objects found no room.
    pub(super) const fn omitted(&self) -> usize {
        self.omitted
    }

    /// The name of each family, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.families.iter().map(|(name, _)| *name)
    }

    /// A piece of a family in the text format, from that row on, and where the next one begins; none behind the last value. The
    /// first piece, from row 0, has the family's head.
    pub(super) fn piece(&self, number: usize, begin: usize) -> Option<(Result<Vec<u8>, prometheus::Error>, usize)> {
        let (name, help) = self.families[number];
        let known =
            self.rows.iter().enumerate().skip(begin).filter_map(|(at, row)| Some((at, row, row.values[number]?)));
        let piece: Vec<_> = known.take(PIECE).collect();
        let (last, ..) = *piece.last()?;
        let text = family(name, help, piece.into_iter().map(|(_, row, value)| self.series(row, value)).collect());
        let head = if begin == 0 { 0 } else { HEAD };
        Some((text.map(|text| without_lines(text, head)), last + 1))
    }

    fn series(&self, row: &Row, value: f64) -> Metric {
        let pairs = self.labels.iter().zip(&row.labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.to_string());
            pair
        });
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_gauge(gauge);
        metric.set_label(pairs.collect());
        metric
    }
}

/// `# HELP` and `# TYPE`: once per family.
const HEAD: usize = 2;

fn family(name: &str, help: &str, series: Vec<Metric>) -> Result<Vec<u8>, prometheus::Error> {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(series);
    let mut text = Vec::new();
    TextEncoder::new().encode(&[family], &mut text)?;
    Ok(text)
}

fn without_lines(text: Vec<u8>, lines: usize) -> Vec<u8> {
    if lines == 0 {
        return text;
    }
    text.split_inclusive(|byte| *byte == b'\n').skip(lines).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [(&str, &str); 2] = [("a_seconds", "A."), ("b_seconds", "B.")];

    fn text(table: &Table, number: usize) -> String {
        pieces(table, number).concat()
    }

    fn pieces(table: &Table, number: usize) -> Vec<String> {
        let (mut pieces, mut begin) = (Vec::new(), 0);
        while let Some((text, next)) = table.piece(number, begin) {
            pieces.push(String::from_utf8(text.unwrap()).unwrap());
            begin = next;
        }
        pieces
    }

    #[test]
    fn what_is_unknown_has_no_series_and_what_nobody_has_has_no_head() {
        let mut table = Table::new(&FAMILIES, &["resource"]);
        table.put(&["web"], &[Some(1.5), None]);
        table.put(&["api"], &[None, None]);
        assert_eq!(text(&table, 0), "# HELP a_seconds A.\n# TYPE a_seconds gauge\na_seconds{resource=\"web\"} 1.5\n");
        assert_eq!(text(&table, 1), "");
    }

    #[test]
    fn a_family_of_many_pieces_has_one_head_and_every_series_once() {
        let mut table = Table::new(&FAMILIES, &["resource"]);
        let count = PIECE * 2 + 1;
        (0..count).for_each(|number| table.put(&[&format!("c\"{number}")], &[Some(number as f64), Some(0.0)]));
        let text = text(&table, 0);
        assert_eq!((pieces(&table, 0).len(), text.matches("# ").count()), (3, 2));
        let series: Vec<_> = text.lines().skip(HEAD).collect();
        assert_eq!(series.len(), count);
        assert!(
            series.iter().enumerate().all(|(at, line)| *line == format!("a_seconds{{resource=\"c\\\"{at}\"}} {at}"))
        );
    }

    #[test]
    fn who_finds_no_room_is_counted() {
        let mut table = Table::new(&FAMILIES, &["resource"]);
        (0..OBJECTS + 2).for_each(|_| table.put(&["web"], &[Some(0.0), None]));
        assert_eq!((table.rows.len(), table.omitted()), (OBJECTS, 2));
    }
}
