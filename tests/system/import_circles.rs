//! No file of a crate imports another file that imports it in turn, directly or through others. Files are parsed as far
//! as this needs: `use`, and paths that begin with `crate`, `self`, `super`, a child module or an imported name. A
//! re-exported name (`pub use`) is followed to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::repository::{source_folders, sources};

/// Path of a module from the crate's root.
type ModulePath = Vec<String>;

/// A name in a module, and the path that it stands for.
#[derive(Debug, Clone)]
struct Import {
    /// The name; `*` for all names of a module.
    name: String,
    path: Vec<String>,
    is_passed_on: bool,
}

#[derive(Debug, Default)]
struct Module {
    imports: Vec<Import>,
    /// Paths of more than one part outside of `use`.
    paths: Vec<Vec<String>>,
    /// Names of all items that the file declares, at any depth.
    declared: BTreeSet<String>,
}

struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

/// Words and signs of a source file, without comments, strings and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(n, c)| characters.get(at + n) == Some(&c));
    while at < characters.len() {
        let c = characters[at];
        if starts(at, "//") {
            while at < characters.len() && characters[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < characters.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if c == 'r' && (starts(at, "r\"") || starts(at, "r#\"")) {
            let end = if starts(at, "r#") { "\"#" } else { "\"" };
            at += if starts(at, "r#") { 3 } else { 2 };
            while at < characters.len() && !starts(at, end) {
                at += 1;
            }
            at += end.len();
        } else if c == '"' {
            at += 1;
            while at < characters.len() && characters[at] != '"' {
                at += if characters[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' && (starts(at + 2, "'") || starts(at + 1, "\\")) {
            at += 2;
            while at < characters.len() && characters[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let begin = at;
            while at < characters.len() && (characters[at].is_alphanumeric() || characters[at] == '_') {
                at += 1;
            }
            tokens.push(characters[begin..at].iter().collect());
        } else if starts(at, "::") {
            tokens.push("::".into());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.into());
            }
            at += 1;
        }
    }
    tokens
}

/// Removes the code that is compiled for the crate's own tests only.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !tokens[at..].iter().take(attribute.len()).eq(attribute.iter()) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += attribute.len();
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && [";", "}"].contains(&tokens[at - 1].as_str()) {
                break;
            }
        }
    }
    kept
}

/// Reads a tree of `use`, from after the word to its semicolon.
fn read_use(tokens: &[String], at: &mut usize, before: &[String], is_passed_on: bool, found: &mut Vec<Import>) {
    let mut path = before.to_vec();
    while *at < tokens.len() {
        match tokens[*at].as_str() {
            "::" => *at += 1,
            "{" => {
                *at += 1;
                while tokens[*at] != "}" {
                    read_use(tokens, at, &path, is_passed_on, found);
                    *at += usize::from(tokens[*at] == ",");
                }
                *at += 1;
                return;
            }
            "*" => {
                *at += 1;
                found.push(Import { name: "*".into(), path, is_passed_on });
                return;
            }
            "," | "}" | ";" => break,
            "as" => {
                let name = tokens[*at + 1].clone();
                *at += 2;
                found.push(Import { name, path, is_passed_on });
                return;
            }
            "self" if path.len() > 1 || path.first().is_some_and(|first| first != "super") => *at += 1,
            word => {
                path.push(word.into());
                *at += 1;
            }
        }
    }
    if let Some(name) = path.last().cloned() {
        found.push(Import { name, path, is_passed_on });
    }
}

fn read_module(text: &str) -> Module {
    let tokens = without_tests(tokens(text));
    let mut module = Module::default();
    let mut at = 0;
    while at < tokens.len() {
        let word = tokens[at].as_str();
        let is_path = tokens.get(at + 1).is_some_and(|next| next == "::") && (at == 0 || tokens[at - 1] != "::");
        // `use<...>` of a return type captures lifetimes and imports nothing.
        if word == "use" && tokens.get(at + 1).is_some_and(|next| next != "<") {
            let is_passed_on = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            at += 1;
            read_use(&tokens, &mut at, &[], is_passed_on, &mut module.imports);
        } else if is_path {
            let mut path = vec![word.to_string()];
            while tokens.get(at + 1).is_some_and(|next| next == "::") && at + 2 < tokens.len() {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            module.paths.push(path);
            at += 1;
        } else {
            if ["struct", "enum", "trait", "type", "const", "static", "fn", "mod", "union", "macro_rules"]
                .contains(&word)
            {
                let name =
                    tokens[at + 1..].iter().find(|token| !["!", "mut", "fn", "unsafe"].contains(&token.as_str()));
                module.declared.extend(name.cloned());
            }
            at += 1;
        }
    }
    module
}

impl Crate {
    fn read(folder: &str) -> Self {
        let has_library = sources(folder).iter().any(|(path, _)| path.ends_with("src/lib.rs"));
        let mut modules = BTreeMap::new();
        let root = medcoss_test_support::repository().join(folder);
        for (path, text) in sources(folder) {
            let below = path.strip_prefix(&root).unwrap().with_extension("");
            let mut parts: ModulePath = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if parts == ["main"] && has_library {
                continue;
            }
            if ["mod", "lib", "main"].contains(&parts.last().unwrap().as_str()) {
                parts.pop();
            }
            modules.insert(parts, read_module(&text));
        }
        Self { modules }
    }

    /// The module of the file that defines a path used in a module, and whether the path is that of a module.
    fn resolve(&self, within: &ModulePath, path: &[String], depth: usize) -> Option<(ModulePath, bool)> {
        let (first, mut rest) = path.split_first()?;
        let mut module = within.clone();
        match first.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => drop(module.pop()?),
            _ => rest = path,
        }
        let mut is_first = rest.len() == path.len();
        while let Some((name, behind)) = rest.split_first() {
            if name == "super" {
                module.pop()?;
                rest = behind;
                continue;
            }
            let child: ModulePath = module.iter().chain([name]).cloned().collect();
            if self.modules.contains_key(&child) {
                (module, rest, is_first) = (child, behind, false);
                continue;
            }
            let here = self.modules.get(&module)?;
            if here.declared.contains(name) {
                return Some((module, false));
            }
            if depth == 0 {
                return None;
            }
            let through = here.imports.iter().filter(|import| import.name == *name || import.name == "*");
            let found = through.filter_map(|import| {
                let mut path = import.path.clone();
                if import.name == "*" {
                    path.push(name.clone());
                }
                path.extend_from_slice(behind);
                self.resolve(&module, &path, depth - 1)
            });
            let found = found.into_iter().next();
            // Paths into other crates are not followed.
            return if found.is_none() && !is_first { Some((module, false)) } else { found };
        }
        Some((module, true))
    }

    /// The files that each file imports from.
    fn needs(&self) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
        let mut needs = BTreeMap::new();
        for (module, content) in &self.modules {
            let used = content.imports.iter().filter(|import| !import.is_passed_on).map(|import| (&import.path, true));
            let paths = used.chain(content.paths.iter().map(|path| (path, false)));
            let found: BTreeSet<ModulePath> = paths
                .filter_map(|(path, is_import)| {
                    let (target, is_module) = self.resolve(module, path, 8)?;
                    // An imported module is resolved where a path begins with it.
                    (target != *module && !(is_module && is_import)).then_some(target)
                })
                .collect();
            needs.insert(module.clone(), found);
        }
        needs
    }

    /// Groups of files that import each other.
    fn circles(&self) -> Vec<Vec<String>> {
        let needs = self.needs();
        let reached = |from: &ModulePath| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(module) = open.pop() {
                for next in &needs[&module] {
                    if reached.insert(next.clone()) {
                        open.push(next.clone());
                    }
                }
            }
            reached
        };
        let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> =
            needs.keys().map(|module| (module, reached(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, others) in &reached {
            let circle = others.iter().filter(|other| reached[other].contains(*module));
            let circle: Vec<String> = circle.map(|module| module.join("/")).collect();
            if !circle.is_empty() {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }
}

#[test]
fn no_files_import_each_other() {
    let mut found = String::new();
    for folder in source_folders() {
        for circle in Crate::read(&folder).circles() {
            found.push_str(&format!("{folder}: {}\n", circle.join(" ")));
        }
    }
    assert!(found.is_empty(), "files that need each other:\n{found}");
}

#[test]
fn circular_imports_are_found_through_re_exports() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let read = |folder: &Path| {
        let mut modules = BTreeMap::new();
        for name in ["", "a", "b", "c"] {
            let file = folder.join(if name.is_empty() { "lib.rs".into() } else { format!("{name}.rs") });
            let path = if name.is_empty() { vec![] } else { vec![name.to_string()] };
            modules.insert(path, read_module(&fs::read_to_string(file).unwrap()));
        }
        Crate { modules }.circles()
    };
    write("lib.rs", "mod a; mod b; mod c;\npub use a::{First, Other as Another};\npub use b::*;\n");
    write("a.rs", "use crate::b; // use crate::c::Third\npub struct First(b::Second); pub struct Other;");
    write("b.rs", "pub struct Second; #[cfg(test)] mod tests { use crate::First; }");
    write("c.rs", "pub struct Third(crate::Second, super::Another);");
    assert_eq!(read(folder.path()), Vec::<Vec<String>>::new());
    write("b.rs", "use super::c::{self};\npub struct Second(c::Third);");
    assert_eq!(read(folder.path()), [["a", "b", "c"].map(String::from)]);
}
