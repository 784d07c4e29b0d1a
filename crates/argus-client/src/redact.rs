//! Which names are sensitive.
//!
//! The values of sensitive parameters, fields, and keys are replaced by `***` before anything is
//! written. A name is sensitive when it equals one of the listed words, or ends in one after an
//! underscore (`db_password`), ignoring case.

/// The words that are sensitive unless the program lists its own.
pub const DEFAULT_SENSITIVE: [&str; 3] = ["password", "api_key", "token"];

/// A list of sensitive names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensitive {
    words: Vec<String>,
}

impl Default for Sensitive {
    fn default() -> Self {
        Self::new(DEFAULT_SENSITIVE)
    }
}

impl Sensitive {
    /// The list of these words.
    pub fn new<Word: AsRef<str>>(words: impl IntoIterator<Item = Word>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_lowercase());
        Self {
            words: words.filter(|word| !word.is_empty()).collect(),
        }
    }

    /// Whether values of this name are to be masked.
    pub fn covers(&self, name: &str) -> bool {
        let name = name.as_bytes();
        self.words.iter().any(|word| {
            let Some(at) = name.len().checked_sub(word.len()) else {
                return false;
            };
            let (before, end) = name.split_at(at);
            end.eq_ignore_ascii_case(word.as_bytes()) && matches!(before.last(), None | Some(b'_'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_names_and_their_compounds_are_sensitive() {
        let sensitive = Sensitive::default();
        for name in [
            "password",
            "Password",
            "db_password",
            "API_KEY",
            "user_token",
        ] {
            assert!(sensitive.covers(name), "{name}");
        }
        for name in ["", "passwords", "tokens", "tokenizer", "nottoken", "key"] {
            assert!(!sensitive.covers(name), "{name}");
        }
        assert!(!Sensitive::new([""; 1]).covers("x"));
    }
}
