//! All measurements on one HTML page, which needs no other files, scripts or fonts and can be opened from disk.

use super::study::Finding;
use crate::media::table::escaped;
use crate::{COMMIT, VERSION};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:1400px;margin:2rem auto;padding:0 1rem;color:#222}\
    h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}svg{max-width:100%;height:auto}\
    table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}\
    th,td{padding:.2rem .8rem;border-bottom:1px solid #e4e4e4;text-align:right}\
    th:first-child,td:first-child{text-align:left}.note{color:#7a3b00}footer{margin-top:3rem;color:#666;font-size:.85rem}";

/// Content of a section.
pub enum Section {
    /// A measurement with its figure and table.
    Finding(Box<Finding>),
    /// A measurement that could not be made: its name and the reason.
    Refused(String, String),
}

/// Returns the page as HTML. `command` is the command line that reproduces it.
pub fn page(sections: &[Section], command: &str) -> String {
    let body: String = sections.iter().map(section).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Tangent kernels</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>Tangent kernels of grid-based models</h1>\n\
         <p>A grid-based model is g(x; w) = Σ φ(x, p) w<sub>p</sub>, and its tangent kernel G<sub>ij</sub> = Σ φ(x<sub>i</sub>, \
         p) φ(x<sub>j</sub>, p) says what it learns how fast, and how well it generalizes (Zhao et al., <a \
         href=\"https://arxiv.org/abs/2403.20002\">arXiv 2403.20002</a>).</p>\n{body}\
         <footer>gridfield {} (commit {}); <code>{}</code></footer>\n</body>\n</html>\n",
        escaped(VERSION),
        escaped(COMMIT),
        escaped(command)
    )
}

fn section(section: &Section) -> String {
    match section {
        Section::Refused(name, why) => {
            format!("<h2>{}</h2>\n<p class=\"note\">Not measured: {}.</p>\n", escaped(name), escaped(why))
        }
        Section::Finding(finding) => {
            let notes: String =
                finding.notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note))).collect();
            format!(
                "<h2>{}</h2>\n<p>{}</p>\n{}{}{notes}",
                escaped(&finding.title),
                escaped(finding.explanation),
                finding.svg,
                finding.table.html()
            )
        }
    }
}
