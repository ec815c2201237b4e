//! What an installation brings besides the program: completions and man pages.

use std::fs;
use std::process::{Command, Stdio};

use crate::binary::{gridfield, printed, sentence, stderr, stdout};

#[test]
fn bash_completes_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gridfield.bash"), printed(folder.path(), &["completions", "bash"])).unwrap();
    // Bash calls the function of a command with these variables set and the word as its second argument, and reads
    // COMPREPLY.
    let complete = |words: &[&str]| {
        let script = format!(
            "set -e; source ./gridfield.bash; COMP_WORDS=({}); COMP_CWORD={}; _gridfield gridfield {} ''; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1]
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &script])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["gridfield", "fit"]), ["fit-image", "fit-sdf"]);
    assert_eq!(complete(&["gridfield", "train", "--max-"]), ["--max-steps", "--max-seconds"]);
}

#[test]
fn every_shell_gets_a_script() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(printed(folder.path(), &["completions", shell]).contains("compare-image"), "{shell}");
    }
    let refusal = gridfield(folder.path(), &["completions", "tcsh"]);
    assert_eq!(refusal.status.code(), Some(2));
    assert!(stderr(&refusal).contains("possible values: bash, elvish, fish, powershell, zsh"), "{}", stderr(&refusal));
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    printed(folder.path(), &["man", "pages/man1"]);
    let page = |name: &str| fs::read_to_string(folder.path().join("pages/man1").join(name)).unwrap();
    let help = printed(folder.path(), &["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of a description are indented more.
    let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let mut n_commands = 0;
    for command in names.filter(|name| *name != "help") {
        assert!(page(&format!("gridfield-{command}.1")).contains(".SH OPTIONS"), "{command}");
        n_commands += 1;
    }
    assert!(n_commands >= 14, "{help}");
    assert!(page("gridfield-train.1").contains("max\\-seconds"));
    assert!(page("gridfield-gtk-spectrum.1").contains(".SH SYNOPSIS"));

    fs::write(folder.path().join("file"), "").unwrap();
    let refusal = sentence(folder.path(), &["man", "file"]);
    assert!(refusal.starts_with("cannot write man pages to file"), "{refusal}");
}
