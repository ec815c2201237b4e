//! Tables of numbers, for a terminal and for HTML pages.

use std::fmt::Write as _;

/// Rows with their column headings; every row has as many cells as there are headings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Headings of the columns.
    pub head: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table with the given headings and rows.
    pub fn new(head: &[&str], rows: Vec<Vec<String>>) -> Self {
        Table { head: head.iter().map(|&name| name.to_owned()).collect(), rows }
    }

    /// Formats the table in columns, two spaces apart; all but the first column are right-aligned.
    pub fn text(&self) -> String {
        let cells = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| cells().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let cell = |column: usize, text: &String| match column {
            0 => format!("{text:<0$}", widths[0]),
            _ => format!("{text:>0$}", widths[column]),
        };
        let line =
            |row: &Vec<String>| row.iter().enumerate().map(|(c, text)| cell(c, text)).collect::<Vec<_>>().join("  ");
        cells().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns the table as HTML.
    pub fn html(&self) -> String {
        let mut out = String::from("<table>\n");
        let mut row = |tag: &str, cells: &[String]| {
            let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            let _ = writeln!(out, "<tr>{cells}</tr>");
        };
        row("th", &self.head);
        self.rows.iter().for_each(|cells| row("td", cells));
        out + "</table>\n"
    }
}

/// Escapes `text` for HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Formats a number with three digits, with an exponent where there would be many zeros.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        _ if value.is_infinite() => "∞".to_owned(),
        0.0 => "0".to_owned(),
        size if (1e-2..1e4).contains(&size) => {
            let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.0, 1.0, 0.012345, 123.45, 1e-9, f64::INFINITY, f64::NAN].map(figure);
        assert_eq!(shown, ["0", "1.00", "0.0123", "123", "1.00e-9", "∞", "–"]);
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let table = Table::new(&["model", "Δ"], vec![vec!["a<b".into(), "10".into()]]);
        assert_eq!(table.text(), "model   Δ\na<b    10");
        assert!(table.html().contains("<td>a&lt;b</td><td>10</td>"));
    }
}
