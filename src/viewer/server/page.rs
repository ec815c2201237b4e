//! The page that browsers show, complete: it loads nothing else.

/// The page, with placeholders for its style, its script, and the nonce that marks both as its own.
const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");
/// One script in several files, which see each other's names.
const SCRIPT: &str = concat!(
    include_str!("../page/camera.js"),
    include_str!("../page/pictures.js"),
    include_str!("../page/connection.js"),
    include_str!("../page/course.js"),
    include_str!("../page/overlay.js"),
    include_str!("../page/photograph.js"),
    include_str!("../page/path.js"),
    include_str!("../page/box.js"),
    include_str!("../page/plane.js"),
    include_str!("../page/input.js"),
    include_str!("../page/panel.js"),
);

/// Returns the page, whose style and script are marked with `nonce`.
pub fn page(nonce: &str) -> String {
    PAGE.replace("{{nonce}}", nonce).replace("{{style}}", STYLE).replace("{{script}}", SCRIPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let page = page("n");
        assert!(page.contains("<script nonce=\"n\">") && page.contains("<style nonce=\"n\">"));
        assert!(page.contains("connect();") && page.contains("#overlay") && !page.contains("{{"));
        for foreign in ["http://", "https://", "src=\"", "@import", "style=\""] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
