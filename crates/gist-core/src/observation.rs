//! What the core sees: things said, things shown, things noted, each with its span in running-time.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// Where an observation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Said: a transcript or caption line.
    Speech,
    /// Read off the picture. The picture changed and settled at `span.start`.
    Screen,
    /// A picture, for a model that sees; it has no text. The picture changed at `span.start`.
    Picture,
    /// The user's own note.
    Note,
}

impl Source {
    /// Its name in messages and files: `speech`, `screen`, `picture`, `note`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Screen => "screen",
            Self::Picture => "picture",
            Self::Note => "note",
        }
    }

    /// The source of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Speech, Self::Screen, Self::Picture, Self::Note]
            .into_iter()
            .find(|source| source.name() == name)
    }
}

/// One thing seen, heard or noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Where it comes from.
    pub source: Source,
    /// When, in running-time nanoseconds. The end of a screen text is when it was last known to be shown.
    pub span: Span,
    /// The text, one or more lines; empty for pictures alone.
    pub text: String,
    /// A new speaker begins here (captions mark it with `>>`, `-` or a name).
    #[serde(default)]
    pub turn: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_one_name_everywhere() {
        for source in [Source::Speech, Source::Screen, Source::Picture, Source::Note] {
            assert_eq!(Source::named(source.name()), Some(source));
            assert_eq!(serde_json::to_value(source).expect("JSON"), source.name());
        }
        assert_eq!(Source::named("smell"), None);
    }
}
