//! Rows of text → a Markdown table that is aligned in a terminal too.

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(ToString::to_string).collect()] }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub fn print(&self) {
        println!("{}", self.text());
    }

    /// The first column to the left, figures to the right.
    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let cell = |row: usize, column: usize| self.rows[row].get(column).map_or("", String::as_str);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                (0..self.rows.len())
                    .map(|row| cell(row, column).chars().count())
                    .max()
                    .unwrap_or_default()
                    .max(3)
            })
            .collect();
        let mut text = String::new();
        for row in 0..self.rows.len() {
            let cells: Vec<String> = (0..columns)
                .map(|column| match column {
                    0 => format!("{:<width$}", cell(row, column), width = widths[column]),
                    _ => format!("{:>width$}", cell(row, column), width = widths[column]),
                })
                .collect();
            text.extend(["| ", &cells.join(" | "), " |\n"]);
            if row == 0 {
                let rules: Vec<String> = (0..columns)
                    .map(|column| match column {
                        0 => "-".repeat(widths[column]),
                        _ => format!("{}:", "-".repeat(widths[column] - 1)),
                    })
                    .collect();
                text.extend(["| ", &rules.join(" | "), " |\n"]);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_and_rules_the_header() {
        let mut table = Table::new(&["", "rows/s"]);
        table.row(["limit".into(), "12".into()]);
        assert_eq!(table.text(), "|       | rows/s |\n| ----- | -----: |\n| limit |     12 |\n");
    }
}
