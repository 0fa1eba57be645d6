//! Failures of commands: exit code and report.

use std::fmt::Write;
use std::process::ExitCode;

use medcoss_core::{DataError, DeviceError, Error, ModelError};
use medcoss_plugin_host::{PluginError, PluginUnavailable};
use medcoss_runtime::is_interruption;

use crate::{hints, interrupt};

/// Exit code of an error that the user can fix: a file, a setting, a plugin that has to be replaced.
const USER_ERROR: u8 = 1;
/// Exit code of a fault in this program or in a plugin's code.
const INTERNAL: u8 = 2;

/// The failure of a command.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
    /// Whether another rank of the same training reports the failure.
    is_reported: bool,
}

impl Failure {
    /// A failure that the user can fix, with exit code 1.
    pub fn user(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USER_ERROR, error: error.into(), is_reported: false }
    }

    /// A failure inside of the program or a plugin, with exit code 2.
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self { code: INTERNAL, error: error.into(), is_reported: false }
    }

    /// A failure of a run: an interruption, a fault of this program or of a plugin's code, or an error that the user can
    /// fix.
    pub fn of_run(error: anyhow::Error) -> Self {
        let is_fault = |layer: &(dyn std::error::Error + 'static)| {
            layer.downcast_ref::<PluginError>().is_some_and(|error| !error.is_user_error())
                || layer.downcast_ref::<Error>().is_some_and(is_internal)
        };
        let code = match is_interruption(&error) {
            true => interrupt::EXIT_CODE,
            false if error.chain().any(is_fault) => INTERNAL,
            false => USER_ERROR,
        };
        Self { code, error, is_reported: false }
    }

    /// The error, for a command that decides its exit code later.
    pub fn into_error(self) -> anyhow::Error {
        self.error
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// The failure as a rank other than the root reports it: not at all where another rank failed.
    pub fn of_other_rank(self) -> Self {
        let is_reported = self.error.chain().any(|layer| matches!(layer.downcast_ref(), Some(Error::Rank { .. })));
        Self { is_reported, ..self }
    }

    /// The report: `error: ` with the message, its causes, and at the end the hints, which messages carry on lines of
    /// their own. The report ends with a line end.
    pub fn report(&self) -> String {
        if self.is_reported {
            return String::new();
        }
        let mut report = String::new();
        let mut remedies = Vec::new();
        for (depth, layer) in self.error.chain().enumerate() {
            let text = layer.to_string();
            let (lines, hinted): (Vec<_>, Vec<_>) = text.lines().partition(|line| !line.starts_with("hint: "));
            let label = if depth == 0 { "error" } else { "  caused by" };
            // Writing into a string does not fail.
            let _ = writeln!(report, "{label}: {}", lines.join("\n  "));
            remedies.extend(hinted.into_iter().map(String::from));
            remedies.extend(layer.downcast_ref().and_then(hints::hint).map(|hint| format!("hint: {hint}")));
        }
        let is_unknown = |layer: &(dyn std::error::Error + 'static)| {
            layer.downcast_ref().is_some_and(|error| matches!(error, PluginUnavailable::Unknown(_)))
        };
        if self.error.chain().any(is_unknown) {
            remedies.push("hint: `medcoss plugin list` shows what was found where; --plugin-dir adds a folder".into());
        }
        for hint in remedies {
            report.push_str(&hint);
            report.push('\n');
        }
        report
    }
}

/// Whether an error of the core is a fault of the core itself: nothing that a user gives leads to it.
fn is_internal(error: &Error) -> bool {
    matches!(
        error,
        Error::DatasetFault(_)
            | Error::Device(DeviceError::ReadBack { .. } | DeviceError::Benchmark { .. })
            | Error::Data(DataError::LoaderPanicked | DataError::NoFeatures | DataError::Clustering { .. })
            | Error::Model(ModelError::NotEarlier { .. })
    )
}

/// Selects the exit code by the side that caused the error.
impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        if error.is_user_error() { Self::user(error) } else { Self::internal(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_the_core_have_a_code_of_their_own() {
        let code = |error: Error| Failure::of_run(anyhow::Error::new(error).context("stage 1 ct")).code;
        let detail = "3 points, expected 4";
        assert_eq!(code(DataError::Clustering { detail: detail.into() }.into()), INTERNAL);
        assert_eq!(code(DataError::LoaderPanicked.into()), INTERNAL);
        let (what, reason) = ("losses".into(), "gone".into());
        assert_eq!(code(DeviceError::ReadBack { what, reason }.into()), INTERNAL);
        assert_eq!(code(DataError::NoSamples { modality: "ct".into() }.into()), USER_ERROR);
        assert_eq!(code(DeviceError::NotFound { kind: "cuda", index: 0, n_devices: 0 }.into()), USER_ERROR);
    }

    #[test]
    fn hints_come_last_and_causes_in_order() {
        let error = anyhow::anyhow!("no such tag\nhint: update").context("reading\nsecond line\nhint: copy again");
        let failure = Failure::user(error);
        let expected = "error: reading\n  second line\n  caused by: no such tag\nhint: copy again\nhint: update\n";
        assert_eq!(failure.report(), expected);
        assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", ExitCode::from(1)));
    }
}
