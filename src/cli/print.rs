//! Output for people: printing to stdout and stderr without the panic of `println!` when the reader has gone away, and
//! formatting of numbers.

use std::io::{self, Write as _};

use crate::decoder::LayerNeurons;

/// Prints `line` to stdout.
///
/// # Errors
/// Returns an error if stdout is closed or full; [`super::main`] treats a closed stdout as success.
pub fn to_stdout(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", line.trim_end())?;
    stdout.flush()
}

/// Prints `line` to stderr. Errors are ignored: if stderr is closed, there is nobody left to tell.
pub fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{}", line.trim_end());
}

/// Returns the name by which this program was called, for printing commands that can be copied.
pub fn program() -> String {
    std::env::args_os().next().map_or_else(|| "gridfield".to_owned(), |name| shell_word(&name.to_string_lossy()))
}

/// Returns `text` as one word of a shell command, quoted if necessary.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Formats `1234567.0` as `1.23 M`: three digits and a metric prefix.
pub fn metric(value: f64) -> String {
    let (scaled, prefix) = match value {
        v if v >= 999.5e6 => (v / 1e9, " G"),
        v if v >= 999.5e3 => (v / 1e6, " M"),
        v if v >= 999.5 => (v / 1e3, " k"),
        v => (v, ""),
    };
    let decimals = match scaled {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$}{prefix}")
}

/// Formats `28.314` as `28.31 dB`, and the PSNR of identical images as `∞ dB`.
pub fn decibels(psnr: f64) -> String {
    if psnr == f64::INFINITY { "∞ dB".to_owned() } else { format!("{psnr:.2} dB") }
}

/// Formats `11681792` as `11,681,792`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits are ASCII")).collect();
    groups.join(",")
}

/// Formats `250.0` seconds as `4 min 10 s`, with at most two units.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) if seconds < 9.95 => format!("{seconds:.1} s"),
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s:02} s"),
        (h, min, _) => format!("{h} h {min:02} min"),
    }
}

/// Formats the live neurons of each layer, as in `density 1: 64 of 64, color 1: 60 of 64`.
pub fn neurons(layers: &[LayerNeurons]) -> String {
    let of_layer = |LayerNeurons { layer, alive, of }: &LayerNeurons| format!("{layer}: {alive} of {of}");
    layers.iter().map(of_layer).collect::<Vec<_>>().join(", ")
}

/// Formats the values as one line below a line of their headings, aligned in columns.
pub fn table_line(columns: &[(&str, String)]) -> String {
    let width = |(name, value): &(&str, String)| name.chars().count().max(value.chars().count());
    let names = columns.iter().map(|column| format!("{:<1$}", column.0, width(column)));
    let values = columns.iter().map(|column| format!("{:<1$}", column.1, width(column)));
    let line = |cells: Vec<String>| cells.join("  ").trim_end().to_owned();
    format!("{}\n{}", line(names.collect()), line(values.collect()))
}

/// Returns aligned rows of names and values.
pub fn rows(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(name, text)| format!("{name:<12}{text}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        let shown = [0.0, 7.126, 99.96, 999.0, 999.9, 310_400.0, 1_923_000.0, 25e9].map(metric);
        assert_eq!(shown, ["0.00", "7.13", "100", "999", "1.00 k", "310 k", "1.92 M", "25.0 G"]);
    }

    #[test]
    fn equal_images_have_an_infinite_ratio() {
        assert_eq!([28.314, f64::INFINITY].map(decibels), ["28.31 dB", "∞ dB"]);
    }

    #[test]
    fn words_of_a_shell_are_quoted_where_they_must_be() {
        let shown = ["outputs/lego/hash", "my scene", "it's"].map(shell_word);
        assert_eq!(shown, ["outputs/lego/hash", "'my scene'", r"'it'\''s'"]);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 11_681_792].map(grouped), ["0", "999", "1,000", "11,681,792"]);
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let shown = [0.25, 9.97, 59.4, 59.6, 250.0, 3599.0, 3900.0, 90_000.0].map(duration);
        assert_eq!(
            shown,
            ["0.2 s", "10 s", "59 s", "1 min 00 s", "4 min 10 s", "59 min 59 s", "1 h 05 min", "25 h 00 min"]
        );
    }
}
