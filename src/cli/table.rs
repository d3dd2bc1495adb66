//! Lists for people.

use gist_core::export::text::one_line;

/// Columns as wide as what is in them. What others wrote is shown without what could control a terminal.
pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .map(|row| row.map(|cell| one_line(&cell)))
        .collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_controls_the_terminal() {
        let rows = vec![["long name".into(), "1".into()], ["é".into(), "a\u{1b}[2J\nb".into()]];
        assert_eq!(table(["name", "n"], rows), "name       n\nlong name  1\né          a[2J b\n");
    }
}
