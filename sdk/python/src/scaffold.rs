//! The files that `medcoss plugin new --language python` writes.

/// A file of a new module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaffoldFile {
    /// Name below the module's folder.
    pub name: String,
    /// Content.
    pub text: String,
}

/// Names and texts of the files, in which `{{id}}` and `{{family}}` are replaced.
const FILES: [(&str, &str); 5] = [
    ("{{id}}.py", include_str!("../../template/python/module.py.txt")),
    ("test_{{id}}.py", include_str!("../../template/python/test.py.txt")),
    ("medcoss_plugin.py", include_str!("../author/medcoss_plugin.py")),
    ("README.md", include_str!("../../template/python/README.md.txt")),
    (".gitignore", include_str!("../../template/python/gitignore.txt")),
];

/// The files of a new module. The id and the family are lower-case letters, digits and `_`, a letter first.
pub fn scaffold(id: &str, family: &str) -> Vec<ScaffoldFile> {
    let filled = |text: &str| text.replace("{{id}}", id).replace("{{family}}", family);
    FILES.iter().map(|(name, text)| ScaffoldFile { name: filled(name), text: filled(text) }).collect()
}
