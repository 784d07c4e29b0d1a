//! What is on the main branch is finished: no placeholder, no test that does not run.

use super::Finding;
use super::rust_text::words;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        for (line, code) in rust.lines() {
            if let Some(message) = complaint(code) {
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

fn complaint(code: &str) -> Option<&'static str> {
    for word in words(code) {
        let is_macro = || code.contains(&format!("{word}!"));
        match word {
            "todo" | "unimplemented" if is_macro() => {
                return Some("a placeholder; write the code, or leave the feature out");
            }
            "ignore" if code.trim_start().starts_with("#[ignore") => {
                return Some("an ignored test; assert what happens today and say why");
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    fn check(text: &str, expected: &[&str]) {
        let seen = found(super::check, &[("a.rs", text)]);
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_placeholder_is_named() {
        check(
            "fn a() {\n    todo!()\n}\nfn b() { unimplemented!(\"later\") }\n",
            &[
                "a.rs:2: a placeholder; write the code, or leave the feature out",
                "a.rs:4: a placeholder; write the code, or leave the feature out",
            ],
        );
    }

    #[test]
    fn an_ignored_test_is_named() {
        let expected = "an ignored test; assert what happens today and say why";
        check("#[test]\n#[ignore]\n", &[&format!("a.rs:2: {expected}")]);
        check("#[ignore = \"slow\"]\n", &[&format!("a.rs:1: {expected}")]);
    }

    #[test]
    fn words_that_only_look_alike_are_fine() {
        check(
            "// todo!()\nlet todo = 1;\nlet s = \"#[ignore]\";\nignore(todo != 2);\n",
            &[],
        );
    }
}
