//! A module uses only what stands above it in docs/architecture.md: read from the source, held against the page.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module path that the page's table names, `sweep/plan` as "sweep/plan", with its row.
fn rows_of_the_page() -> HashMap<String, usize> {
    let page = fs::read_to_string("docs/architecture.md").expect("the page is there");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let mut found = HashMap::new();
    for (row, cell) in rows.enumerate() {
        for name in cell.split('`').filter(|part| part.starts_with(|first: char| first.is_ascii_lowercase())) {
            assert!(found.insert(name.to_owned(), row).is_none(), "{name} is listed twice");
        }
    }
    assert!(found.len() > 40, "the table was read");
    found
}

/// All source files, and the module that each is, as "sweep/plan".
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { walk(&entry, into) } else { into.push(entry) }
        }
    }
    let mut files = vec![];
    walk(Path::new("src"), &mut files);
    files.sort();
    let module = |file: &PathBuf| {
        let module = file.strip_prefix("src").expect("below src").with_extension("");
        let module = module.to_str().expect("plain names").to_owned();
        module.strip_suffix("/mod").unwrap_or(&module).to_owned()
    };
    let modules = files.iter().map(|file| (file.clone(), module(file)));
    modules.filter(|(_, module)| module != "lib" && module != "main").collect()
}

/// The code of a file that a program has: without what comes after `#[cfg(test)]`, comments and texts.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().expect("a first part");
    text.lines().map(|line| line.split("//").next().expect("a first part")).collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate::` or `super::`, groups in braces taken apart.
fn paths(code: &str) -> Vec<Vec<String>> {
    fn read<'a>(mut rest: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
        let mut path = before.to_vec();
        loop {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if end > 0 {
                path.push(rest[..end].to_owned());
            }
            rest = &rest[end..];
            match rest.strip_prefix("::") {
                Some(after) if after.starts_with('{') => {
                    rest = after[1..].trim_start();
                    while !rest.starts_with('}') {
                        rest = read(rest, &path, found).trim_start();
                        // A name that is taken under another one.
                        if let Some(after) = rest.strip_prefix("as ") {
                            rest = after.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
                        }
                        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                    }
                    return &rest[1..];
                }
                Some(after) => rest = after,
                None => {
                    found.push(path);
                    return rest;
                }
            }
        }
    }
    let mut found = vec![];
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let begins = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if begins {
                read(&code[at..], &[], &mut found);
            }
        }
    }
    found
}

/// The module that a path leads to: as far as its names are modules, and further where a name is of another module (`pub use`).
fn target(
    path: &[String],
    user: &str,
    modules: &BTreeSet<String>,
    exported: &HashMap<(String, String), String>,
) -> String {
    let mut at: Vec<&str> = user.split('/').collect();
    let mut names = path.iter().map(String::as_str).peekable();
    if names.next_if_eq(&"crate").is_some() {
        at.clear();
    }
    while names.next_if_eq(&"super").is_some() {
        at.pop();
    }
    while names.next_if_eq(&"self").is_some() {}
    for name in names {
        let below = at.iter().copied().chain([name]).collect::<Vec<_>>().join("/");
        if modules.contains(&below) {
            at.push(name);
        } else {
            let here = at.join("/");
            return exported.get(&(here.clone(), name.to_owned())).cloned().unwrap_or(here);
        }
    }
    at.join("/")
}

#[test]
fn a_module_uses_only_what_stands_above_it_on_the_page() {
    let rows = rows_of_the_page();
    let sources = sources();
    let modules: BTreeSet<String> = sources.iter().map(|(_, module)| module.clone()).collect();
    for name in rows.keys() {
        assert!(modules.contains(name), "docs/architecture.md lists {name}, and there is no such module");
    }
    // What a folder's mod.rs gives out by another name is where it comes from.
    let mut exported = HashMap::new();
    let code_of = |file: &Path| code(&fs::read_to_string(file).expect("source"));
    for (file, module) in &sources {
        let text = code_of(file);
        for line in text.split(';').filter_map(|line| line.trim().strip_prefix("pub use ")) {
            let line = line.trim_start_matches("self::");
            let local = format!("super::{line}");
            for path in paths(&local) {
                let own = format!("{module}/x"); // from inside the folder
                let of = target(&path, &own, &modules, &HashMap::new());
                exported.insert((module.clone(), path.last().expect("a name").clone()), of);
            }
        }
    }
    // The nearest line of the page that a module is on, or below.
    let row = |module: &str| {
        let mut at = module;
        loop {
            if let Some(&row) = rows.get(at) {
                return Some((row, at.to_owned()));
            }
            at = &at[..at.rfind('/')?];
        }
    };
    let mut wrong = BTreeSet::new();
    let mut held = 0;
    for (file, user) in &sources {
        let Some((own, _)) = row(user) else {
            // A folder whose modules stand on lines of their own, and that holds nothing itself.
            let text = code_of(file);
            let holds =
                text.lines().any(|line| ["fn ", "pub fn ", "impl ", "struct "].iter().any(|of| line.starts_with(of)));
            assert!(file.ends_with("mod.rs") && !holds, "{user} is on no line of docs/architecture.md");
            continue;
        };
        for path in paths(&code_of(file)) {
            let used = target(&path, user, &modules, &exported);
            let Some((row, line)) = row(&used) else { continue };
            held += 1;
            if row > own {
                wrong.insert(format!("{user} uses {used}, which stands below it (`{line}`)"));
            }
        }
    }
    assert!(held > 400, "{held} uses were held against the page");
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn paths_in_braces_are_taken_apart() {
    let found = paths("use crate::a::{self, b::{C, d}, E as F};\nlet x = crate::g::h(super::i);");
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["crate::a::self", "crate::a::b::C", "crate::a::b::d", "crate::a::E", "crate::g::h", "super::i"]);
}
