//! Files that appear whole or not at all: a temporary file beside the target, then a rename.

use crate::{Error, Result};
use std::path::Path;
use tempfile::{NamedTempFile, TempPath};

/// An empty file in the folder of `path`, removed on drop unless it is given to [`replace`]. `suffix` is how its name
/// ends, for programs that look at it.
pub(super) fn file_beside(path: &Path, suffix: &str) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gridfield-").suffix(suffix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, as for any other file
    builder.tempfile_in(folder).map_err(|e| unwritable(path, &e))
}

/// Gives the finished temporary file its name, once its bytes are on the disk.
pub(super) fn replace(temporary: TempPath, path: &Path) -> Result<()> {
    let synced = std::fs::File::open(&temporary).and_then(|file| file.sync_all());
    synced.map_err(|e| unwritable(path, &e))?;
    temporary.persist(path).map_err(|e| unwritable(path, &e.error))
}

/// The error for a target that cannot be written.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::file(path, format!("cannot be written: {error}; choose a folder that exists and is writable"))
}
