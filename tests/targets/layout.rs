//! The argument structs have the same fields at the same offsets in C++ and in the generated Rust.
//!
//! The fields are read from `kernels/args.h`, and a C++ compiler reports their offsets.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use gridfield::device::args::LAYOUT;

/// For each struct and field: the field's offset and size. An empty field name stands for the whole struct.
type Layout = BTreeMap<(String, String), (usize, usize)>;

fn rust_layout() -> Layout {
    LAYOUT.iter().map(|&(name, field, at, size)| ((name.to_owned(), field.to_owned()), (at, size))).collect()
}

/// Returns the structs of the header: name, and the names of the fields.
fn c_fields(header: &str) -> Vec<(String, Vec<String>)> {
    let code: String = header.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join(" ");
    let mut structs = Vec::new();
    for part in code.split("typedef struct ").skip(1) {
        let (name, rest) = part.split_once('{').expect("a struct has a body");
        let (body, _) = rest.split_once('}').expect("a struct ends");
        let fields = body.split(';').map(str::trim).filter(|declaration| !declaration.is_empty());
        // `const float* a`, `float a[3], b[3]`: the name is the last word before a bracket, a comma or the end.
        let names = fields.flat_map(|declaration| declaration.split(',')).map(|declarator| {
            let word = declarator.split('[').next().unwrap_or("").trim();
            word.rsplit([' ', '*']).next().unwrap_or("").to_string()
        });
        structs.push((name.trim().to_string(), names.collect()));
    }
    structs
}

/// Returns where the C++ compiler puts the fields; None without a compiler.
fn c_layout() -> Option<Layout> {
    let kernels = Path::new("kernels");
    let header = std::fs::read_to_string(kernels.join("args.h")).ok()?;
    let mut program = String::from("#include <cstdio>\n#include \"args.h\"\nint main() {\n");
    for (name, fields) in c_fields(&header) {
        program += &format!("std::printf(\"{name}  0 %zu\\n\", sizeof({name}));\n");
        for field in fields {
            program += &format!(
                "std::printf(\"{name} {field} %zu %zu\\n\", __builtin_offsetof({name}, {field}), sizeof((({name}*)0)->{field}));\n"
            );
        }
    }
    program += "}\n";
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (folder.path().join("layout.cpp"), folder.path().join("layout"));
    std::fs::write(&source, program).unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let compiled = Command::new(compiler).arg("-I").arg(kernels).arg(&source).arg("-o").arg(&binary).output().ok()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let text = String::from_utf8(Command::new(&binary).output().unwrap().stdout).unwrap();
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        ((words[0].to_string(), words[1].to_string()), (words[2].parse().unwrap(), words[3].parse().unwrap()))
    });
    Some(lines.collect())
}

#[test]
fn arguments_have_the_same_layout_in_c_and_rust() {
    let Some(c) = c_layout() else {
        crate::skip::skipped(
            "arguments_have_the_same_layout",
            "no C++ compiler, or no kernels/args.h beside this test",
        );
        return;
    };
    let rust = rust_layout();
    assert!(c.len() > 200, "the header was read");
    for (field, place) in &c {
        assert_eq!(rust.get(field), Some(place), "{field:?}: Rust on the left, C on the right");
    }
    let only_in_rust: Vec<_> = rust.keys().filter(|field| !c.contains_key(*field)).collect();
    assert!(only_in_rust.is_empty(), "{only_in_rust:?}");
}
