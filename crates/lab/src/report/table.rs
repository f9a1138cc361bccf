//! One table in three formats. Cells hold names that come from strangers: each format escapes them in its own way.

/// A table of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// What the columns are called.
    pub columns: Vec<String>,
    /// Cells by row, as many as columns.
    pub rows: Vec<Vec<String>>,
}

/// What a table is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180.
    Csv,
    /// GitHub's.
    Markdown,
    /// A whole page.
    Html,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[&str]) -> Self {
        Table { columns: columns.iter().map(|column| column.to_string()).collect(), rows: Vec::new() }
    }

    /// The file's content.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Csv => self.lines(|cells| cells.iter().map(|cell| csv(cell)).collect::<Vec<_>>().join(",")),
            Format::Markdown => {
                let row = |cells: &[String]| {
                    format!("| {} |", cells.iter().map(|cell| markdown(cell)).collect::<Vec<_>>().join(" | "))
                };
                let rule = format!("|{}", "---|".repeat(self.columns.len()));
                let head = format!("{}\n{rule}\n", row(&self.columns));
                self.rows.iter().fold(head, |text, cells| text + &row(cells) + "\n")
            }
            Format::Html => {
                let row = |tag: &str, cells: &[String]| {
                    let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", html(cell))).collect::<String>();
                    format!("<tr>{cells}</tr>\n")
                };
                let rows = self.rows.iter().map(|cells| row("td", cells)).collect::<String>();
                format!(
                    "<!doctype html>\n<meta charset=\"utf-8\">\n<table>\n{}{rows}</table>\n",
                    row("th", &self.columns)
                )
            }
        }
    }

    fn lines(&self, line: impl Fn(&[String]) -> String) -> String {
        std::iter::once(&self.columns).chain(&self.rows).map(|cells| line(cells) + "\r\n").collect()
    }
}

/// Quoted where it must be. A spreadsheet takes what starts like a formula for one: a quote before it says that it is text.
fn csv(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{cell}") } else { cell.to_string() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn markdown(cell: &str) -> String {
    let mut text = String::new();
    for c in reluctor::error::escape(cell).chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '!' | '#' => text.extend(['\\', c]),
            _ => text.push(c),
        }
    }
    text
}

fn html(cell: &str) -> String {
    let text = reluctor::error::escape(cell).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cell: &str) -> Table {
        Table { rows: vec![vec![cell.to_string(), "-1.5e-3".to_string()]], ..Table::new(&["name", "x"]) }
    }

    #[test]
    fn a_plain_table_looks_as_expected_in_each_format() {
        assert_eq!(table("conv1").render(Format::Csv), "name,x\r\nconv1,-1.5e-3\r\n");
        assert_eq!(table("conv1").render(Format::Markdown), "| name | x |\n|---|---|\n| conv1 | -1.5e-3 |\n");
        let page = table("conv1").render(Format::Html);
        assert!(page.contains("<tr><th>name</th><th>x</th></tr>\n<tr><td>conv1</td>"), "{page}");
    }

    #[test]
    fn names_cannot_break_out_of_their_cell() {
        assert_eq!(table("a,\"b\"").render(Format::Csv).lines().nth(1), Some("\"a,\"\"b\"\"\",-1.5e-3"));
        assert_eq!(table("=cmd()").render(Format::Csv).lines().nth(1), Some("'=cmd(),-1.5e-3"));
        let markdown = table("a|b\nc_<img>").render(Format::Markdown);
        assert_eq!(markdown.lines().nth(2), Some("| a\\|b\\\\nc\\_&lt;img> | -1.5e-3 |"));
        assert!(table("<script>\"&").render(Format::Html).contains("<td>&lt;script&gt;&quot;&amp;</td>"));
    }
}
