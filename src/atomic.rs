//! Atomic file writes: a reader finds either the old file or the complete new one, never a part of it.
//!
//! The bytes go to a temporary file next to the target, which is flushed to disk and then renamed over the target; the
//! folder is flushed last, so that the rename itself survives a power cut. Symbolic links are followed and kept.
//! Anything that is not a regular file, such as a pipe or a device, is written to directly.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

use crate::{Error, Result};

/// Prefix of temporary file names, by which [`remove_leftovers`] recognizes them.
pub const TEMPORARY_PREFIX: &str = ".gridfield-part-";
/// Large enough that a checkpoint of 150 MB takes only a few hundred system calls.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes a file at `path` with the content that `fill` produces, completely or not at all.
///
/// # Errors
/// Returns an error if the folder is missing or cannot be written to, if the disk is full, or if `fill` fails. The
/// previous file at `path` is then left unchanged.
pub fn write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    try_write(path, fill).map_err(|e| Error::file(path, cannot_write(&e)))
}

/// Writes the content of one of several files.
pub type Fill<'a> = &'a dyn Fn(&mut dyn Write) -> io::Result<()>;

/// Writes several files that belong together: the contents of all are complete on disk before the first of them, in the
/// order given, appears at its path.
///
/// # Errors
/// Returns the same errors as [`write()`]. The previous files are then left unchanged, unless the system fails to
/// rename one after others have been renamed.
pub fn write_together(files: &[(&Path, Fill)]) -> Result<()> {
    let fill = |(path, fill): &(&Path, Fill)| -> Result<TempPath> {
        let temporary = file_beside(path, "")?;
        let written = fill_buffered(temporary.as_file(), fill).and_then(|()| temporary.as_file().sync_all());
        written.map_err(|e| Error::file(path, cannot_write(&e)))?;
        Ok(temporary.into_temp_path())
    };
    let complete = files.iter().map(fill).collect::<Result<Vec<_>>>()?;
    complete.into_iter().zip(files).try_for_each(|(temporary, (path, _))| replace(temporary, path))
}

/// Writes `value` to `path` as indented JSON with a final newline, completely or not at all.
///
/// # Errors
/// Returns the same errors as [`write()`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// Creates an empty temporary file for the content of `path`, in the same folder. It is removed on drop unless it is
/// passed to [`replace`]. This is meant for programs and libraries that write a file themselves; `suffix` is the end of
/// its name, in case they depend on the extension.
///
/// # Errors
/// Returns an error if the folder is missing or cannot be written to.
pub fn file_beside(path: &Path, suffix: &str) -> Result<NamedTempFile> {
    let beside = |path: &Path| match target(path)? {
        Target::File(file) => temporary_in(folder_of(&file), suffix),
        Target::Stream => temporary_in(&std::env::temp_dir(), suffix),
    };
    beside(path).map_err(|e| Error::file(path, cannot_write(&e)))
}

/// Moves the finished temporary file to `path`.
///
/// # Errors
/// Returns an error if the disk is full or fails. The previous file at `path` is then left unchanged.
pub fn replace(temporary: TempPath, path: &Path) -> Result<()> {
    try_replace(temporary, path).map_err(|e| Error::file(path, cannot_write(&e)))
}

/// Creates the parent folder of `path`, and the folders above it.
///
/// # Errors
/// Returns an error if the folder cannot be created, for example because a file of that name exists.
pub fn make_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(|e| Error::file(folder, cannot_write(&e)))
}

/// Removes the temporary files that a killed process left in `folder`. Must only be used on a folder that no other
/// process is writing to.
pub fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            // Cleaning up is best effort: a file that cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the error message for a file or folder that could not be written.
pub fn cannot_write(error: &io::Error) -> String {
    let (why, remedy) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            ("the disk or its quota is full".to_owned(), "free some space or choose another output folder")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ("writing there is not permitted".to_owned(), "choose another output folder or change its permissions")
        }
        ErrorKind::NotFound => ("the folder does not exist".to_owned(), "create it or choose another"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            ("a file stands where a folder is needed".to_owned(), "choose another output folder")
        }
        ErrorKind::IsADirectory => ("a folder stands there".to_owned(), "choose another name"),
        _ => (error.to_string(), "check the disk or choose another output folder"),
    };
    format!("cannot be written, as {why}; {remedy}")
}

/// What a path refers to.
enum Target {
    /// A file that exists or may be created, at a path that is not a symbolic link.
    File(PathBuf),
    /// A pipe, a terminal or a device, which a rename must not replace.
    Stream,
}

/// Maximum number of symbolic links to follow before a cycle is assumed, as on Linux.
const MOST_LINKS: usize = 40;

fn target(path: &Path) -> io::Result<Target> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => return Ok(Target::Stream),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(Target::File(path)),
        }
    }
    Err(io::Error::other("its symbolic links do not end"))
}

fn try_write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    match target(path)? {
        Target::File(file) => {
            let temporary = temporary_in(folder_of(&file), "")?;
            fill_buffered(temporary.as_file(), fill)?;
            rename(temporary.into_temp_path(), &file)
        }
        Target::Stream => fill_buffered(&File::options().write(true).open(path)?, fill),
    }
}

fn fill_buffered(file: &File, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(BUFFER_BYTES, file);
    fill(&mut buffered)?;
    buffered.flush()
}

fn try_replace(temporary: TempPath, path: &Path) -> io::Result<()> {
    match target(path)? {
        Target::File(file) => rename(temporary, &file),
        Target::Stream => {
            let mut stream = File::options().write(true).open(path)?;
            io::copy(&mut File::open(&temporary)?, &mut stream).map(drop)
        }
    }
}

fn temporary_in(folder: &Path, suffix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX).suffix(suffix);
    #[cfg(unix)]
    {
        // The permissions of any new file: read and write for all, minus the umask. The default of tempfile is 0600.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

fn rename(temporary: TempPath, path: &Path) -> io::Result<()> {
    File::open(&temporary)?.sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_folder(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Flushes the entries of a folder. On systems other than Unix a folder cannot be opened as a file, and its entries are
/// flushed with the files.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, |f| f.write_all(b"old")).unwrap();
        let error = write(&path, |f| {
            f.write_all(b"half of the ne")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("disk or its quota is full"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_belong_together_appear_together() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_together(&[(&a, &|f| f.write_all(b"old a")), (&b, &|f| f.write_all(b"old b"))]).unwrap();
        let full = |f: &mut dyn Write| {
            f.write_all(b"half of")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        };
        let error = write_together(&[(&a, &|f| f.write_all(b"new a")), (&b, &full)]).unwrap_err().to_string();
        assert!(error.contains("b: cannot be written, as the disk or its quota is full"), "{error}");
        let texts = [&a, &b].map(|path| fs::read_to_string(path).unwrap());
        assert_eq!(texts, ["old a", "old b"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_write_replaces_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_json(&path, &1).unwrap();
        write_json(&path, &2).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("nowhere/a.json"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("nowhere/a.json: cannot be written, as the folder does not exist"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_stay() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/there"), "old").unwrap();
        symlink("elsewhere/there", at("link")).unwrap();
        symlink("link", at("link-to-link")).unwrap();
        symlink("elsewhere/not-yet", at("dangling")).unwrap();
        for (name, file) in [("link-to-link", "elsewhere/there"), ("dangling", "elsewhere/not-yet")] {
            write_json(&at(name), &1).unwrap();
            let temporary = file_beside(&at(name), ".mp4").unwrap();
            assert_eq!(temporary.path().parent().unwrap(), at("elsewhere"), "where a rename reaches");
            assert_eq!(fs::read_to_string(at(file)).unwrap(), "1\n");
            replace(temporary.into_temp_path(), &at(name)).unwrap();
            assert_eq!(fs::read_to_string(at(file)).unwrap(), "");
            assert!(fs::symlink_metadata(at(name)).unwrap().is_symlink());
        }
        symlink("circle", at("circle")).unwrap();
        assert!(write_json(&at("circle"), &1).is_err());
        let error = write_json(&at("elsewhere"), &1).unwrap_err().to_string();
        assert!(error.contains("elsewhere: cannot be written, as a folder stands there"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("pipe", &link).unwrap();
        for path in [&pipe, &link] {
            let read = |pipe: PathBuf| std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
            let reader = read(pipe.clone());
            write_json(path, &1).unwrap();
            assert_eq!(reader.join().unwrap(), "1\n");
            let temporary = file_beside(path, ".mp4").unwrap();
            temporary.as_file().write_all(b"film").unwrap();
            let reader = read(pipe.clone());
            replace(temporary.into_temp_path(), path).unwrap();
            assert_eq!(reader.join().unwrap(), "film");
        }
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_readable_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        write(&ours, |_| Ok(())).unwrap();
        File::create(&usual).unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
    }

    #[test]
    fn leftovers_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (left, other) = (folder.path().join(".gridfield-part-x"), folder.path().join("kept"));
        File::create(&left).unwrap();
        File::create(&other).unwrap();
        remove_leftovers(folder.path());
        assert!(!left.exists() && other.exists());
    }
}
