//! Tables for people, of which programs can split lines at blanks.

/// Rows below a head, each column as wide as it has to be.
pub fn table<const COLUMNS: usize>(head: [&str; COLUMNS], rows: impl Iterator<Item = [String; COLUMNS]>) -> String {
    let mut table = vec![head.map(str::to_owned)];
    table.extend(rows);
    let mut widths = [0; COLUMNS];
    for row in &table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        format!("{}\n", line.trim_end())
    };
    table.iter().map(line).collect()
}
