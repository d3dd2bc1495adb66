//! What the process ends with.

use std::fmt;

use gist_store::Error as StoreError;

use crate::pull::PullError;

/// Classes of failure. Each has an exit code of its own, so that a script can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// None of the others.
    Other = 1,
    /// The command line makes no sense (`clap` ends with the same code).
    Usage = 2,
    /// The input isn't there, isn't media, or was refused.
    Input = 3,
    /// A model is missing, corrupt or too large for this machine.
    Model = 4,
    /// GStreamer or a plugin is missing, or the pipeline broke.
    Pipeline = 5,
    /// The output can't be written.
    Output = 6,
}

/// The table for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  another failure
  2  the command line makes no sense
  3  the input isn't there, isn't a video, audio or transcript, or was refused
  4  a model is missing, corrupt or does not fit into memory
  5  GStreamer or a plugin is missing, or the pipeline broke (see `streamgist doctor`)
  6  the output can't be written, or its receiver does not take it";

/// One sentence for the user and the class it belongs to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Class {
    /// A failure of this class.
    pub(crate) fn failure(self, message: impl Into<String>) -> anyhow::Error {
        Failure { class: self, message: message.into() }.into()
    }

    /// The class an error belongs to.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_one).unwrap_or(Self::Other)
    }

    fn of_one(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Some(failure.class);
        }
        if error.is::<gist_models::Error>()
            || error.is::<gist_qwen::LoadError>()
            || error.is::<gist_core::model::ModelError>()
        {
            return Some(Self::Model);
        }
        if let Some(error) = error.downcast_ref::<StoreError>() {
            return Some(match error {
                StoreError::Missing { .. }
                | StoreError::Foreign { .. }
                | StoreError::Older { .. }
                | StoreError::Newer { .. }
                | StoreError::NoSession(_) => Self::Input,
                _ => Self::Output,
            });
        }
        match error.downcast_ref::<PullError>()? {
            PullError::Nowhere { .. } | PullError::Hub { .. } => Some(Self::Model),
            PullError::Unusable(_) | PullError::Store(_) => Some(Self::Model),
            PullError::Write { .. } | PullError::Room { .. } => Some(Self::Output),
        }
    }
}
