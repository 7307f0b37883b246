//! Values that may be secrets: references until the moment a client is made.

use std::path::PathBuf;

use crate::topology::Setting;

/// Why a reference has no value.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The environment has no such variable.
    #[error("read environment variable `{name}`: it is not set")]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("read file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Setting {
    /// The setting that this text of a topology file is.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match (text.strip_prefix("env:"), text.strip_prefix("file:")) {
            (Some(name), _) => Self::Env(name.to_owned()),
            (_, Some(path)) => Self::File(PathBuf::from(path)),
            _ => Self::Plain(text.to_owned()),
        }
    }

    /// Its value, read now.
    ///
    /// # Errors
    /// [`SettingError`]
    pub fn resolve(&self) -> Result<String, SettingError> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Env(name) => std::env::var(name).map_err(|_| SettingError::NoVariable { name: name.clone() }),
            Self::File(path) => {
                let mut text = std::fs::read_to_string(path)
                    .map_err(|source| SettingError::File { path: path.clone(), source })?;
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                Ok(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_from_plain_values() {
        assert_eq!(Setting::parse("env:A"), Setting::Env("A".into()));
        assert_eq!(Setting::parse("file:/a/b"), Setting::File("/a/b".into()));
        assert_eq!(Setting::parse("a:env"), Setting::Plain("a:env".into()));
    }

    #[test]
    fn a_file_loses_only_its_last_line_break() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let path = folder.path().join("secret");
        std::fs::write(&path, "two\nlines\r\n").expect("a file in it");
        assert_eq!(Setting::File(path.clone()).resolve().expect("it exists"), "two\nlines");
        let missing = Setting::File(path.with_extension("missing")).resolve().expect_err("it does not exist");
        assert!(missing.to_string().starts_with("read file `"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = Setting::Env("HALCYON_TEST_UNSET".into()).resolve().expect_err("nobody sets it");
        assert_eq!(error.to_string(), "read environment variable `HALCYON_TEST_UNSET`: it is not set");
    }
}
