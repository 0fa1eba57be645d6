//! The error of a plugin: a code for programs, a message for people, and causes.

use medcoss_abi::{PluginError, code, message::ErrorBody};

/// An error. The message says what was found and what was expected; a remedy stands on a line of its own that begins with `hint:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: i32,
    message: String,
    causes: Vec<String>,
}

impl Error {
    /// An error with one of [`code`].
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new() }
    }

    /// A setting or request that the user can fix.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(code::BAD_REQUEST, message)
    }

    /// A path that is missing or cannot be read.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::new(code::UNREADABLE, message)
    }

    /// A damaged file, or one that is not of the kind it claims to be.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(code::CORRUPT, message)
    }

    /// A valid file of a kind that is not supported.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(code::UNSUPPORTED, message)
    }

    /// A sample that is sound, but has nothing to learn: a flat signal, a tile of background. The reason takes no id. Not an error of the
    /// data: the host leaves the sample out of training and counts it, and still encodes it in the evaluation view.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::new(code::SKIPPED, reason)
    }

    /// Adds an error and its sources to the causes.
    pub fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// One of [`code`].
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The message, without causes.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with something put before its message, such as the sample's id.
    pub fn in_context(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(crate) fn into_abi(self) -> PluginError {
        let body = ErrorBody { message: self.message, causes: self.causes };
        let body = serde_json::to_string(&body).unwrap_or_else(|_| String::from("{\"message\":\"\"}"));
        PluginError { code: self.code, body: body.into() }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
