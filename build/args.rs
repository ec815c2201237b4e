//! Generates the Rust declarations for `kernels/args.h`: constants, enums and structs, with the header's comments as
//! their documentation. The header is the only place where a layout is written down.
//!
//! The header is restricted to a small part of C++: `#define GF_NAME value`, `enum Name : uint32_t { PREFIX_NAME =
//! value, … };` and `typedef struct Name { … } Name;`, one declaration per line. Any other line stops the build with an
//! error that quotes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A struct of the header.
struct Struct {
    name: String,
    doc: Vec<String>,
    fields: Vec<Field>,
}

struct Field {
    /// Name as in C, e.g. `dL_dcolor`.
    name: String,
    kind: String,
    is_pointer: bool,
    /// Length of an array, as a Rust expression.
    length: Option<String>,
    doc: Vec<String>,
}

/// Returns the Rust source for the text of `kernels/args.h`.
pub fn generate(header: &str) -> String {
    let (mut out, mut structs, mut doc) = (String::new(), Vec::new(), Vec::new());
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        let (code, comment) = split(line);
        match code.split_whitespace().collect::<Vec<_>>()[..] {
            [] => match comment {
                Some(comment) => doc.push(comment),
                None => doc.clear(),
            },
            ["#define", name, ref value @ ..] if name.starts_with("GF_") && !value.is_empty() => {
                doc.extend(comment);
                // The type in which kernels compute does not concern the host.
                if name != "GF_COMPUTE" {
                    constant(&mut out, &name[3..], &value.concat().replace("GF_", ""), &doc);
                }
                doc.clear();
            }
            [word, ..] if word.starts_with('#') => doc.clear(),
            ["enum", name, ":", "uint32_t", "{"] => {
                enumeration(&mut out, name, &std::mem::take(&mut doc), &mut lines);
            }
            ["typedef", "struct", name, "{"] => {
                let fields = fields(&mut lines);
                structs.push(Struct { name: name.to_owned(), doc: std::mem::take(&mut doc), fields });
            }
            _ => panic!("kernels/args.h: this line is not understood: {line}"),
        }
    }
    for (at, one) in structs.iter().enumerate() {
        declare(&mut out, one, &structs[..at]);
    }
    layout(&mut out, &structs);
    out
}

/// Splits a line into its code and its comment.
fn split(line: &str) -> (&str, Option<String>) {
    match line.split_once("//") {
        Some((code, comment)) => (code.trim(), Some(documented(comment.trim()))),
        None => (line.trim(), None),
    }
}

/// Returns the comment for rustdoc, which would read brackets as links.
fn documented(comment: &str) -> String {
    comment.replace('<', "\\<").replace('[', "`[").replace(']', "]`")
}

fn write_doc(out: &mut String, indent: &str, doc: &[String]) {
    for line in doc {
        writeln!(out, "{indent}/// {line}").expect("a string takes all");
    }
}

/// Writes a constant. Plain numbers are `usize`, numbers with the suffix `u` are `u32`, numbers with `f` are `f32`.
fn constant(out: &mut String, name: &str, value: &str, doc: &[String]) {
    let value = value.trim_start_matches('(').trim_end_matches(')');
    let (kind, value) = match (value.strip_suffix('u'), value.strip_suffix('f')) {
        (Some(number), _) => ("u32", number),
        (None, Some(number)) if number.contains('.') => ("f32", number),
        _ => ("usize", value),
    };
    write_doc(out, "", doc);
    writeln!(out, "pub const {name}: {kind} = {value};").expect("a string takes all");
}

/// Writes an enum. Variants lose the prefix that they have in C: `KERNEL_LINEAR` becomes `Linear`.
fn enumeration<'a>(out: &mut String, name: &str, doc: &[String], lines: &mut impl Iterator<Item = &'a str>) {
    write_doc(out, "", doc);
    let derived = "#[derive(Clone, Copy, Debug, PartialEq, Eq)]";
    writeln!(out, "#[repr(u32)]\n{derived}\npub enum {name} {{").expect("a string takes all");
    for line in lines {
        let (code, comment) = split(line);
        if code == "};" {
            break;
        }
        if code.is_empty() {
            write_doc(out, "    ", comment.as_slice());
            continue;
        }
        let (variant, value) = code.trim_end_matches(',').split_once(" = ").expect("a variant has a value");
        let (_, words) = variant.split_once('_').expect("a variant has a prefix");
        let capital = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
        let variant: String = words.split('_').map(capital).collect();
        write_doc(out, "    ", comment.as_slice());
        writeln!(out, "    {variant} = {value},").expect("a string takes all");
    }
    out.push_str("}\n");
}

fn fields<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<Field> {
    let (mut fields, mut doc) = (Vec::new(), Vec::new());
    for line in lines {
        let (code, comment) = split(line);
        if code.starts_with('}') {
            break;
        }
        doc.extend(comment);
        if code.is_empty() {
            continue;
        }
        let declaration = code.strip_suffix(';').unwrap_or_else(|| panic!("kernels/args.h: no semicolon: {line}"));
        let declaration = declaration.strip_prefix("const ").unwrap_or(declaration);
        let (kind, names) = declaration.split_once(' ').expect("a field has a type and a name");
        for name in names.split(',') {
            let (name, length) = match name.trim().split_once('[') {
                Some((name, length)) => (name, Some(length.trim_end_matches(']').replace("GF_", ""))),
                None => (name.trim(), None),
            };
            let (kind, is_pointer) = (kind.trim_end_matches('*').to_owned(), kind.ends_with('*'));
            fields.push(Field { name: name.to_owned(), kind, is_pointer, length, doc: doc.clone() });
        }
        doc.clear();
    }
    fields
}

impl Field {
    /// Returns the field's name in Rust, in lower case: gradients are `dl_dx`.
    fn rust_name(&self) -> String {
        self.name.to_lowercase()
    }

    /// Returns the field's Rust type. `lifetime` is the lifetime of its pointers; `borrowing` holds the structs that
    /// contain pointers.
    fn rust_type(&self, lifetime: &str, borrowing: &BTreeSet<&str>) -> String {
        let kind = match self.kind.as_str() {
            "float" => "f32",
            "double" => "f64",
            "uint8_t" => "u8",
            "void" => "std::ffi::c_void",
            "uint32_t" => "u32",
            "uint64_t" => "u64",
            "GF_COMPUTE" => "Compute",
            name => name,
        };
        let kind = if borrowing.contains(kind) { format!("{kind}<{lifetime}>") } else { kind.to_owned() };
        match &self.length {
            _ if self.is_pointer => format!("Ptr<{lifetime}, {kind}>"),
            Some(length) => format!("[{kind}; {length}]"),
            None => kind,
        }
    }
}

/// Returns the structs that contain pointers, directly or in a nested struct.
fn borrowing(structs: &[Struct]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for one in structs {
        if one.fields.iter().any(|field| field.is_pointer || found.contains(field.kind.as_str())) {
            found.insert(one.name.as_str());
        }
    }
    found
}

/// Writes a struct. `before` holds the structs declared so far, which this one may contain.
fn declare(out: &mut String, one: &Struct, before: &[Struct]) {
    let known = borrowing(before);
    let borrows = one.fields.iter().any(|field| field.is_pointer || known.contains(field.kind.as_str()));
    let Struct { name, doc, fields } = one;
    write_doc(out, "", doc);
    // Cameras are uploaded as plain bytes: their fields leave no gaps.
    let derived = match name.as_str() {
        _ if borrows => "Clone, Copy",
        "Camera" => "Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable",
        _ => "Clone, Copy, Debug, Default, PartialEq",
    };
    let generic = if borrows { "<'a>" } else { "" };
    writeln!(out, "#[repr(C)]\n#[derive({derived})]\npub struct {name}{generic} {{").expect("a string takes all");
    for field in fields {
        write_doc(out, "    ", &field.doc);
        writeln!(out, "    pub {}: {},", field.rust_name(), field.rust_type("'a", &known)).expect("a string takes all");
    }
    out.push_str("}\n");
    if borrows && name.ends_with("Args") {
        let safety = "// SAFETY: `#[repr(C)]`, generated from the declaration in C; a test compares the offsets.";
        let item = format!("unsafe impl Args for {name}<'_> {{\n    type Static = {name}<'static>;\n}}");
        writeln!(out, "{safety}\n{item}").expect("a string takes all");
    }
}

/// Writes the table of the fields' offsets in Rust, under their names in C.
fn layout(out: &mut String, structs: &[Struct]) {
    let known = borrowing(structs);
    out.push_str(
        "/// Struct, field by its name in C, offset and size; an empty field name stands for the whole struct.\n",
    );
    out.push_str("#[doc(hidden)]\npub const LAYOUT: &[(&str, &str, usize, usize)] = &[\n");
    for Struct { name, fields, .. } in structs {
        let whole = if known.contains(name.as_str()) { format!("{name}<'static>") } else { name.clone() };
        writeln!(out, "    (\"{name}\", \"\", 0, size_of::<{whole}>()),").expect("a string takes all");
        for field in fields {
            let (at, kind) = (field.rust_name(), field.rust_type("'static", &known));
            let place = format!("std::mem::offset_of!({whole}, {at}), size_of::<{kind}>()");
            writeln!(out, "    (\"{name}\", \"{}\", {place}),", field.name).expect("a string takes all");
        }
    }
    out.push_str("];\n");
}
