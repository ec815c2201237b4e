//! Names of files as programs on other systems write them: separators, extensions in any case.

use std::path::{Path, PathBuf};

/// Extensions of the images of scenes, in lower case and in the order in which they are tried.
pub(crate) const IMAGE_EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// Returns the extension of a file name in lower case, without the dot; empty if there is none.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Returns whether an output path names a folder: one that exists, or a name that ends with a separator.
pub(crate) fn is_folder(text: &str) -> bool {
    text.ends_with(std::path::is_separator) || Path::new(text).is_dir()
}

/// Returns the file `name` of a folder, if it exists: under this name, or else with `\` as the separator of folders, or
/// with its extension in another case.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let slashed = with_slashes(name);
    let spelled = [name, &slashed].map(|name| folder.join(name.trim_start_matches("./")));
    let as_named = spelled.iter().find(|path| path.is_file()).cloned();
    as_named.or_else(|| spelled.iter().find_map(|path| other_case(path)))
}

/// Returns the name with `/` as the separator of folders.
pub(crate) fn with_slashes(name: &str) -> String {
    name.replace('\\', "/")
}

/// Returns the file `path` with its extension in capitals, in lower case or capitalized, if it exists.
pub(crate) fn other_case(path: &Path) -> Option<PathBuf> {
    let lower = extension(path);
    let capitalized = lower.get(..1)?.to_ascii_uppercase() + &lower[1..];
    let cases = [lower.to_ascii_uppercase(), lower, capitalized];
    cases.iter().map(|case| path.with_extension(case)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_under_the_spellings_of_other_systems() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("images")).unwrap();
        for name in ["images/a.JPG", "images/b.png", "c\\d.png"] {
            std::fs::write(at(name), "").unwrap();
        }
        let found = |name: &str| find(folder.path(), name);
        for name in ["images/a.JPG", "./images/a.jpg", "images\\a.Jpg", ".\\images\\a.JPG"] {
            assert_eq!(found(name).unwrap().canonicalize().unwrap(), at("images/a.JPG").canonicalize().unwrap());
        }
        assert_eq!(found("images\\b.PNG"), Some(at("images/b.png")));
        assert_eq!(found("c\\d.png"), Some(at("c\\d.png")), "a name that is there as it stands is taken");
        assert_eq!((found("images/e.png"), found("images/a")), (None, None));
    }
}
